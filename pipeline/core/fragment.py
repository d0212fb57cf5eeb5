"""The fragment: everything folded from the touchpoints anchored at one identifier.

Every member is a set or a register with a commutative, associative, idempotent law, so that the order of folding does
not show. Members are None or empty until their first fact. Facts carry the time they were received, so that a trigger
can be judged by what was known at a time. Times are whole microseconds since 1970-01-01 UTC; money is decimal text.
"""

from __future__ import annotations

from typing import Any

import msgspec

from pipeline.core.catalogue.facts import Price, Stock
from pipeline.core.touchpoint import Id


class Sighting(msgspec.Struct, array_like=True, gc=False):
    """Identifiers seen together on one touchpoint, at all times. Ties of first and last: (time, event id, source)."""

    first: int
    first_event: str
    first_source: str
    last: int
    last_event: str
    last_source: str
    last_channel: str
    count: int
    sources: dict[str, int]
    seen: list[tuple[int, int]]
    """(time, received) pairs by time, at most 8: the one received first and the newest."""
    observed: list[tuple[int, int]] = []
    """The same of `identity.observed` with this set."""
    app: int = 0
    """When it was first received from channel app; 0: never."""


class Seen(msgspec.Struct, array_like=True, gc=False):
    """One identifier's share of the sets that the bound dropped, or of a contact hint. received: the smallest time."""

    first: int
    last: int
    count: int
    sources: dict[str, int]
    received: int


class Trait(msgspec.Struct, array_like=True, gc=False, frozen=True):
    time: int
    event: str
    source: str
    value: Any


class Consent(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """state: granted, denied or revoked. Order of laws: (effective, granted < denied < revoked, event)."""

    effective: int
    state: str
    event: str
    source: str
    received: int
    proof: str | None = None


class Line(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """An item of a cart or an order. quantity and price are decimal text."""

    sku: str
    quantity: str = "1"
    price: str | None = None
    currency: str | None = None
    name: str | None = None
    variant: str | None = None
    product_id: str | None = None
    size: str | None = None
    brand: str | None = None
    category: str | None = None
    url: str | None = None
    image_url: str | None = None


class Placed(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """A state of an order: order.placed or order.updated. The register keeps placed: the oldest, updated: the newest by
    (time, event, source)."""

    time: int
    event: str
    source: str
    received: int
    channel: str
    lines: list[Line]
    total: str | None = None
    currency: str | None = None
    store: str | None = None
    fulfilment: str | None = None
    status: str | None = None
    cart: str | None = None
    checkout: str | None = None


class Mark(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """That something happened to an order: the oldest by (time, event)."""

    time: int
    event: str
    received: int


class Order(msgspec.Struct, array_like=True, gc=False):
    placed: Placed | None = None
    updated: Placed | None = None
    cancelled: Mark | None = None
    ready: Mark | None = None
    picked_up: Mark | None = None
    earlier: list[Placed] = []
    """Placements that were received before `placed` though they are newer: until then the order was known by them."""


class Return(msgspec.Struct, array_like=True, gc=False, frozen=True):
    time: int
    received: int
    channel: str
    order: str
    lines: list[Line]
    amount: str | None = None
    currency: str | None = None


class Older(msgspec.Struct, array_like=True, gc=False):
    """What is left of orders that the bound dropped. net and returned: decimal text. first, last: of their times."""

    orders: int
    net: str
    with_return: int
    returned: str
    first: int
    last: int


class Change(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """One change of a cart or of a store basket. kind: add, remove, set (snapshot: the lines replace the cart's) or
    checkout (no lines of its own: stage only). stage: cart, checkout or store_basket. transient: what an implicit cart
    of this touchpoint would hang on; only where the cart has an id. store: where a basket is carried."""

    time: int
    event: str
    source: str
    received: int
    kind: str
    channel: str
    lines: list[Line]
    stage: str = "cart"
    checkout: str | None = None
    recovery_url: str | None = None
    currency: str | None = None
    value: str | None = None
    device: str | None = None
    transient: Id | None = None
    store: str | None = None


class Cart(msgspec.Struct, array_like=True, gc=False):
    """Changes of one cart known to this fragment, sorted by (time, event, source), the newest `changes_per_cart`.
    `cart_id` is the shop's id; None for an implicit cart. `transient`: the identifier an implicit cart is keyed by."""

    cart_id: str | None
    transient: Id | None
    source: str
    changes: list[Change]


class Activity(msgspec.Struct, array_like=True, gc=False, frozen=True):
    received: int
    event: str
    session: str | None
    device: str | None = None


class Click(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """message.sent, message.opened or message.clicked."""

    time: int
    received: int
    kind: str
    trigger: str | None
    link: str | None
    session: str | None


class Wish(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """A change of one SKU on the wish list. line: the product as it was wished; None: it was taken off."""

    time: int
    event: str
    source: str
    received: int
    sku: str
    line: Line | None = None
    store: str | None = None


class Subscription(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """Somebody wants to be told when a product is back. line: the product as it was named."""

    time: int
    event: str
    source: str
    received: int
    channel: str
    line: Line


class Offered(msgspec.Struct, array_like=True, gc=False):
    """What is known of an SKU that the fragment wants to know of. wanted: when it was last put somewhere. prices,
    stocks: the newest by (time, event, source). asked: the SKU's home was asked for them."""

    wanted: int
    prices: list[Price] = []
    stocks: list[Stock] = []
    asked: bool = False


class SharedList(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """A snapshot of a list that is shared with the staff of a store."""

    time: int
    event: str
    source: str
    received: int
    lines: list[Line]
    name: str | None = None
    store: str | None = None


class Viewed(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """A product view. lines: what was looked at, if it was said; one product as a rule."""

    time: int
    event: str
    source: str
    received: int
    channel: str
    session: str | None
    lines: list[Line]


class Visit(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """A store was visited, or something scanned in it: `kind` is the touchpoint's type."""

    time: int
    event: str
    source: str
    received: int
    kind: str
    store: str | None = None


class CampaignTouch(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """A touch: a touchpoint with a campaign. The texts are those of the campaign."""

    time: int
    event: str
    source: str
    received: int
    channel: str
    origin: str | None = None
    medium: str | None = None
    name: str | None = None


class Sizes(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """Sizes that somebody said to have: (category, size) pairs."""

    time: int
    received: int
    pairs: list[tuple[str, str]]


class Bounce(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """That an address bounced: of several, the one received first."""

    time: int
    received: int


class Fragment(msgspec.Struct, array_like=True, gc=False):
    id: Id
    version: int = 0
    born: int = 0
    """Smallest time first seen as an anchor (received time for a clamped one); 0: never an anchor."""
    received: int = 0
    """Newest received time."""
    sets: dict[str, Sighting] = {}
    """Key: the ids, strongest first, joined by a line feed."""
    rest: dict[Id, Seen] = {}
    plain: dict[Id, str] = {}
    """Readable values of e-mail and phone ids."""
    hub: int = 0
    """Received time at which this identifier became a hub; 0: it is none."""
    shared: dict[Id, int] = {}
    """Identifiers of `sets` that are hubs, with the same time."""
    vetoes: dict[str, list[tuple[int, int]]] = {}
    """Pair (strongest first, joined by a line feed) -> (time, received) of identity.unlinked, as of a sighting."""
    hints: dict[str, Seen] = {}
    """`type:value` of unverified contacts; never linked, never published."""
    traits: dict[str, list[Trait]] = {}
    """All values of the newest time, at most one per source."""
    consents: dict[str, list[Consent]] = {}
    """`channel LF purpose` -> the newest 8, in the order of the law; the last one holds."""
    orders: dict[str, Order] = {}
    returns: dict[str, Return] = {}
    """By `source LF event id`."""
    carts: dict[str, Cart] = {}
    """By cart key: the shop's cart id, or `~source LF transient id` for an implicit cart."""
    activity: dict[int, Activity] = {}
    """By time; the newest ACTIVITY_MAX are kept."""
    clicks: dict[str, Click] = {}
    """By `source LF event id`."""
    days: dict[int, dict[str, int]] = {}
    """Day number (days since 1970-01-01 in profile.timezone) -> what was counted: views, cart_adds, orders."""
    sessions: dict[str, int] = {}
    """Session id -> newest activity time; the newest 200 are kept."""
    devices: dict[str, int] = {}
    """`channel LF device type/os` -> newest time: which kinds of device the anchor was seen on."""
    met: int | None = None
    """Smallest time seen with an anchor that is a hub: all that is known of who was seen with hubs only."""
    dropped: dict[str, int] = {}
    """Which bound dropped how much."""
    older: dict[str, Older] = {}
    """`currency LF channel` -> orders that were neither cancelled nor kept; currency empty: the policy's."""
    wishes: dict[str, Wish] = {}
    """SKU -> the newest change, by (time, event, source)."""
    wished: list[Wish] = []
    """Changes that newer ones replaced: the newest 50, for who asks what was known at a time."""
    lists: dict[str, SharedList] = {}
    """List id -> the newest snapshot by (time, event, source)."""
    views: list[Viewed] = []
    """By (time, event, source); the newest `bounds.views`."""
    baskets: dict[str, Cart] = {}
    """Store baskets, keyed and kept as carts are: a scan adds, a saved basket is a snapshot."""
    visits: list[Visit] = []
    """By (time, event, source); the newest 200."""
    stores: dict[int, dict[str, int]] = {}
    """Day number -> stores that were named on it, with the newest time."""
    touches: list[CampaignTouch] = []
    """By (time, event, source); of more than `bounds.touches` allow the first and the newest."""
    sizes: dict[str, Sizes] = {}
    """By `source LF event id`; the newest 50."""
    rhythm: dict[str, dict[int, int]] = {}
    """Channel -> hour of the day in profile.timezone -> how often the person was there."""
    deeds: int = 0
    """How many touchpoints said more than that somebody was there or looked at a product."""
    bounces: dict[str, Bounce] = {}
    """Identifiers, and `type:value` of unverified contacts, that messages cannot be sent to."""
    offers: dict[str, Offered] = {}
    """SKUs in carts, in store baskets, on the wish list and subscribed to: the last 200."""
    subscriptions: dict[str, list[Subscription]] = {}
    """SKU -> the newest 8, by (time, event, source)."""
    counted: dict[str, tuple[int, str]] = {}
    """SKU -> day and store under which its home counts the wish of this fragment."""
    looks: int = 0
    """How many were product views."""
    turns: dict[Id, int] = {}
    """Identifiers that a new policy judged another way: hubs or not; how often."""
    traces: tuple[tuple[int, str], ...] = ()
    """(received, trace) of the newest touchpoints that were traced, ascending; the newest 4."""
    puts: int = 0
    """How many of the deeds changed carts."""
    trades: int = 0
    """How many were of orders and returns."""
    trips: int = 0
    """How many named a store or came from one."""
    words: int = 0
    """How many said anything else: traits, consents, wishes, lists, campaigns, sizes."""


def set_key(ids: tuple[Id, ...]) -> str:
    return "\n".join(ids)


def ids_of(key: str) -> list[Id]:
    return key.split("\n")  # type: ignore[return-value]
