"""The sections of a policy: every key with its default, as the core uses it.

Durations are whole microseconds, None where there is none; numbers that need not be whole are Decimal. What each key
is for stands in deploy/policy.toml.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Final

import msgspec

from pipeline.core.policy_values import Hours
from pipeline.core.times import DAY, HOUR, MINUTE, SECOND

Duration = Annotated[int, "duration"]
"""Whole microseconds, written as `90s`, `60m`, `24h`, `30d`."""

ORDER: Final = ("loyalty", "customer", "email", "phone", "device", "cookie", "checkout")
FAMILIES: Final = (
    "checkout",
    "cart",
    "store_basket",
    "wishlist",
    "browse",
    "price_drop",
    "low_stock",
    "back_in_stock",
)
BLOCKS: Final = (
    "identifiers",
    "traits",
    "consents",
    "commerce",
    "preferences",
    "engagement",
    "carts",
    "wishlist",
    "lists",
    "attribution",
    "segments",
    "store",
    "triggers",
    "lineage",
)
HUB_DEGREE_DEFAULT: Final = 50


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """`unique` and `limits` name types of `order` only. `hub_degree` always has the key `default`."""

    order: tuple[str, ...] = ORDER
    unique: tuple[str, ...] = ("loyalty", "customer")
    limits: dict[str, int] = msgspec.field(
        default_factory=lambda: {"email": 5, "phone": 5, "device": 20, "cookie": 50, "checkout": 50}
    )
    hub_degree: dict[str, int] = msgspec.field(
        default_factory=lambda: {"device": 10, "cookie": 10, "default": HUB_DEGREE_DEFAULT}
    )
    hub_fanout: int = 1000
    person_max: int = 1000
    component_max: int = 10000
    blocked: tuple[str, ...] = ()
    blocked_defaults: bool = True
    blocked_patterns: dict[str, tuple[str, ...]] = {}
    forbidden: tuple[tuple[tuple[str, str], tuple[str, str]], ...] = ()
    normalise: bool = True
    fold_case: tuple[str, ...] = ()
    default_region: str = ""
    email_provider_rules: bool = False
    loyalty_properties: tuple[str, ...] = ("loyalty_id", "loyaltyId", "card_no")
    clamp_past: Duration = 400 * DAY
    clamp_future: Duration = 5 * MINUTE
    dedup_window: Duration = 48 * HOUR

    def degree_of(self, type: str) -> int:
        """With more distinct anchors than this an identifier of the type is shared."""
        return self.hub_degree.get(type, self.hub_degree["default"])


class Publish(msgspec.Struct, frozen=True, kw_only=True):
    """`reduced`: name of a further topic -> the blocks of its documents."""

    identifiers: dict[str, str] = msgspec.field(
        default_factory=lambda: {"email": "raw", "phone": "raw", "checkout": "omit"}
    )
    min_interval: Duration = SECOND
    reduced: dict[str, tuple[str, ...]] = {}

    @property
    def reduced_topics(self) -> tuple[str, ...]:
        return tuple(f"profiles.{name}" for name in self.reduced)

    @property
    def profile_topics(self) -> tuple[str, ...]:
        """Where redirects and tombstones go: `profiles` and the reduced topics."""
        return ("profiles", *self.reduced_topics)


class Rfm(msgspec.Struct, frozen=True, kw_only=True):
    """Cut points between the scores 1 to 5."""

    recency_days: tuple[int, ...] = (7, 30, 90, 180)
    frequency: tuple[int, ...] = (1, 2, 4, 8)
    monetary: tuple[Decimal, ...] = (Decimal(50), Decimal(150), Decimal(400), Decimal(1000))


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    currency: str = "EUR"
    timezone: str = "Europe/Istanbul"
    ropo_window: Duration = 30 * DAY
    rfm: Rfm = Rfm()
    affinity_half_life: Duration = 60 * DAY
    preference_min: int = 2
    position_weights: tuple[Decimal, ...] = (Decimal("0.4"), Decimal("0.2"), Decimal("0.4"))
    source_priority: dict[str, int] = msgspec.field(default_factory=lambda: {"server/crm": 10})
    segments: dict[str, str] = {}


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """None: for ever."""

    anonymous: Duration | None = 395 * DAY
    known: Duration | None = None


class Triggers(msgspec.Struct, frozen=True, kw_only=True):
    enabled: tuple[str, ...] = FAMILIES
    cart_delay: Duration = 60 * MINUTE
    checkout_delay: Duration = 60 * MINUTE
    session_idle: Duration = 30 * MINUTE
    grace: Duration = 2 * MINUTE
    max_hold: Duration = 15 * MINUTE
    max_age: Duration = 72 * HOUR
    skew: Duration = 5 * MINUTE
    regroup: Duration = 24 * HOUR
    any_order: str = "cancel"
    threshold: dict[str, Decimal] = {}
    robot_items: int = 300
    robot_value: Decimal = Decimal(100000)
    steps: tuple[Duration, ...] = (0,)
    cap_24h: int = 1
    cap_7d: int = 3
    expires_after: Duration = 24 * HOUR
    episode_expiry: Duration = 30 * DAY
    family_window: Duration = 48 * HOUR
    store_basket_delay: Duration = 2 * HOUR
    wishlist_delay: Duration = 7 * DAY
    browse_delay: Duration = 4 * HOUR
    browse_views: int = 2
    browse_order_block: Duration = 10 * DAY
    price_drop: Decimal = Decimal("0.10")
    low_stock: int = 3
    recovery_window: Duration = 7 * DAY
    permitted: tuple[str, ...] = ("email", "push", "sms")
    require_consent: bool = True
    contact_hints: str = "never"
    exclude_segments: tuple[str, ...] = ()
    holdout: Decimal = Decimal("0.0")
    quiet_hours: Hours | None = None
    send_window: Hours | None = None


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept at most. `touches`: first and last."""

    identifiers_per_touchpoint: int = 32
    touchpoint_bytes: int = 262_144
    value_chars: int = 512
    sets_per_fragment: int = 256
    orders: int = 400
    carts: int = 20
    changes_per_cart: int = 500
    lines_per_cart: int = 200
    views: int = 200
    wishlist: int = 200
    lists: int = 20
    traits: int = 200
    day_buckets: int = 90
    touches: tuple[int, int] = (5, 20)
    fragment_bytes: int = 524_288
    document_bytes: int = 917_504


class DeadLetters(msgspec.Struct, frozen=True, kw_only=True):
    max_share: Decimal = Decimal("0.5")
