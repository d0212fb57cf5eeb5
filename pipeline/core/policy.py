"""The policy: who is one person, what is published, when a trigger fires. Every key is optional.

A policy is TOML. Unknown keys, wrong types and contradictions are a PolicyError that names key, line and what is
allowed. A table that is given replaces the default table whole. FOLD_KEYS decide how touchpoints are folded: changing
one of them needs a rebuild; every other key applies to all history at the next start. Of READ_KEYS, which say what is
an identifier at all, a worker that is alone sees to the rebuild itself.
"""

from __future__ import annotations

import hashlib
import tomllib
from decimal import Decimal
from functools import cached_property
from typing import Any, Final

import msgspec

from pipeline.core import policy_text
from pipeline.core import policy_values as values
from pipeline.core.policy_lines import line_of
from pipeline.core.policy_sections import (
    BLOCKS,
    FAMILIES,
    HUB_DEGREE_DEFAULT,
    ORDER,
    Bounds,
    DeadLetters,
    Identity,
    Profile,
    Publish,
    Retention,
    Rfm,
    Triggers,
)
from pipeline.core.policy_values import Reader, Wrong
from pipeline.core.rules import RuleError, compiled
from pipeline.core.times import MINUTE


class PolicyError(ValueError):
    """A policy that cannot be used. `key`: dotted, `line`: from 1; None where the text is no TOML."""

    def __init__(self, key: str | None, line: int | None, reason: str, allowed: str | None = None) -> None:
        where = ", ".join(part for part in (f"line {line}" if line else "", key or "") if part)
        super().__init__(
            f"policy{': ' + where if where else ''}: {reason}" + (f" (allowed: {allowed})" if allowed else "")
        )
        self.key, self.line, self.reason, self.allowed = key, line, reason, allowed


class Policy(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    identity: Identity = Identity()
    publish: Publish = Publish()
    profile: Profile = Profile()
    retention: Retention = Retention()
    triggers: Triggers = Triggers()
    bounds: Bounds = Bounds()
    dead_letters: DeadLetters = DeadLetters()

    @cached_property
    def digest(self) -> str:
        """32 hexadecimal digits of the whole effective policy."""
        return _digest(msgspec.to_builtins(self))

    @cached_property
    def fold_digest(self) -> str:
        """The same of the keys that decide how touchpoints are folded."""
        return _digest({f"{section}.{key}": getattr(getattr(self, section), key) for section, key in FOLD_KEYS})

    @cached_property
    def fold_values(self) -> dict[str, str]:
        """These keys with their values as TOML."""
        return {f"{section}.{key}": policy_text.value_of(getattr(self, section), key) for section, key in FOLD_KEYS}


FOLD_KEYS: Final = (
    ("identity", "order"),
    ("identity", "unique"),
    ("identity", "blocked"),
    ("identity", "blocked_defaults"),
    ("identity", "blocked_patterns"),
    ("identity", "normalise"),
    ("identity", "fold_case"),
    ("identity", "default_region"),
    ("identity", "email_provider_rules"),
    ("identity", "loyalty_properties"),
    ("identity", "clamp_past"),
    ("identity", "clamp_future"),
    ("identity", "dedup_window"),
    ("profile", "timezone"),
)

READ_KEYS: Final = ("identity.blocked", "identity.blocked_defaults", "identity.blocked_patterns")
"""Dotted; they are among FOLD_KEYS, as the anchor of a touchpoint is chosen from what is not blocked."""

_types = values.distinct(values.several(values.type_name))
_minute = values.duration(MINUTE)
_name = values.matching(r"[a-z0-9][a-z0-9_-]{0,62}", "small letters, digits, - and _")
RECORD_BYTES_LEAST: Final = 1_024
"""Below that not even an empty document or fragment would fit."""

_SECTIONS: Final[dict[str, tuple[type[msgspec.Struct], dict[str, Reader]]]] = {
    "identity": (
        Identity,
        {
            "order": values.distinct(values.several(values.type_name, least=1)),
            "unique": _types,
            "limits": values.table(values.type_name, values.whole(1)),
            "hub_degree": values.number_or_table,
            "hub_fanout": values.whole(1),
            "person_max": values.whole(1),
            "component_max": values.whole(1),
            "blocked": values.several(values.text),
            "blocked_defaults": values.flag,
            "blocked_patterns": values.patterns,
            "forbidden": values.several(values.pair),
            "normalise": values.flag,
            "fold_case": _types,
            "default_region": values.region,
            "email_provider_rules": values.flag,
            "loyalty_properties": values.distinct(values.several(values.text)),
            "clamp_past": values.duration(MINUTE),
            "clamp_future": values.duration(),
            "dedup_window": values.duration(MINUTE),
        },
    ),
    "publish": (
        Publish,
        {
            "identifiers": values.table(values.type_name, values.one_of("raw", "sha256", "omit")),
            "min_interval": values.duration(),
            "reduced": values.table(_name, values.distinct(values.several(values.one_of(*BLOCKS), least=1))),
        },
    ),
    "profile": (
        Profile,
        {
            "currency": values.currency,
            "timezone": values.time_zone,
            "ropo_window": _minute,
            "rfm": values.fields(
                {
                    "recency_days": values.rising(values.several(values.whole(1), count=4)),
                    "frequency": values.rising(values.several(values.whole(1), count=4)),
                    "monetary": values.rising(values.several(values.above_zero(values.decimal), count=4)),
                }
            ),
            "affinity_half_life": _minute,
            "preference_min": values.whole(1),
            "position_weights": values.several(values.share, count=3),
            "source_priority": values.table(values.text, values.whole(-1_000_000)),
            "segments": values.table(_name, values.text),
        },
    ),
    "retention": (Retention, {"anonymous": values.or_empty(_minute), "known": values.or_empty(_minute)}),
    "triggers": (
        Triggers,
        {
            "enabled": values.distinct(values.several(values.one_of(*FAMILIES))),
            "cart_delay": _minute,
            "checkout_delay": _minute,
            "session_idle": _minute,
            "grace": values.duration(),
            "max_hold": values.duration(),
            "max_age": _minute,
            "skew": values.duration(),
            "regroup": values.duration(),
            "any_order": values.one_of("cancel", "keep"),
            "threshold": values.table(values.currency, values.above_zero(values.decimal)),
            "robot_items": values.whole(1),
            "robot_value": values.above_zero(values.decimal),
            "steps": values.rising(values.several(values.duration(), least=1)),
            "cap_24h": values.whole(1),
            "cap_7d": values.whole(1),
            "expires_after": _minute,
            "episode_expiry": _minute,
            "family_window": values.duration(),
            "store_basket_delay": _minute,
            "wishlist_delay": _minute,
            "browse_delay": _minute,
            "browse_views": values.whole(1),
            "browse_order_block": values.duration(),
            "price_drop": values.above_zero(values.share),
            "low_stock": values.whole(1),
            "recovery_window": _minute,
            "permitted": values.distinct(values.several(_name, least=1)),
            "require_consent": values.flag,
            "contact_hints": values.one_of("never", "own_cart"),
            "exclude_segments": values.distinct(values.several(_name)),
            "holdout": values.share,
            "quiet_hours": values.or_empty(values.hours),
            "send_window": values.or_empty(values.window),
        },
    ),
    "bounds": (
        Bounds,
        {
            **{name: values.whole(1) for name in Bounds.__struct_fields__ if name != "touches"},
            **dict.fromkeys(("touchpoint_bytes", "fragment_bytes", "document_bytes"), values.whole(RECORD_BYTES_LEAST)),
            "touches": values.several(values.whole(1), count=2),
        },
    ),
    "dead_letters": (DeadLetters, {"max_share": values.above_zero(values.share)}),
}


def load(text: str) -> Policy:
    """TOML -> the effective policy. PolicyError for the first thing that is wrong."""
    try:
        given = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(None, None, f"this is no TOML: {error}") from None
    try:
        policy = _build(given)
        _check(policy, given)
    except Wrong as wrong:
        raise PolicyError(".".join(wrong.within), line_of(text, wrong.within), wrong.reason, wrong.allowed) from None
    return policy


def _build(given: dict[str, Any]) -> Policy:
    sections: dict[str, Any] = {}
    for name, keys in values.table(values.known(_SECTIONS), lambda keys: keys)(given).items():
        struct, readers = _SECTIONS[name]
        if not isinstance(keys, dict):
            raise Wrong("this is not a table", f"[{name}]", (name,))
        found = {}
        for key, value in keys.items():
            try:
                known = values.known(readers)(key)
                found[known] = readers[known](value)
            except Wrong as wrong:
                raise Wrong(wrong.reason, wrong.allowed, (name, key, *wrong.within)) from None
        if name == "identity":
            found = _fit_identity(found)
        elif name == "profile" and "rfm" in found:
            found["rfm"] = Rfm(**found["rfm"])
        sections[name] = struct(**found)
    return Policy(**sections)


def _fit_identity(given: dict[str, Any]) -> dict[str, Any]:
    """Defaults follow what is given: no type outside the order, no second limit on a unique type."""
    order, default = given.get("order", ORDER), Identity()
    unique, limits = given.get("unique"), given.get("limits")
    if unique is None:
        unique = tuple(type for type in default.unique if type in order)
    if limits is None:
        limits = {type: most for type, most in default.limits.items() if type in order and type not in unique}
    degrees = {"default": HUB_DEGREE_DEFAULT} | given.get("hub_degree", default.hub_degree)
    return given | {"unique": unique, "limits": limits, "hub_degree": degrees}


def _check(policy: Policy, given: dict[str, Any]) -> None:
    """What is wrong only in combination."""
    identity, triggers, profile = policy.identity, policy.triggers, policy.profile
    if len(identity.order) > values.ORDER_MAX:
        raise Wrong("too many types", f"{values.ORDER_MAX} at most", ("identity", "order"))
    for key in ("unique", "limits"):
        for type in getattr(identity, key):
            if type not in identity.order:
                raise Wrong(f"{type} is not in identity.order", ", ".join(identity.order), ("identity", key, type))
    for type in identity.unique:
        if identity.limits.get(type, 1) != 1:
            reason = f"{type} is unique and limited to {identity.limits[type]}"
            raise Wrong(reason, "a limit of 1, or none", ("identity", "limits", type))
    _check_forbidden(policy)
    if sum(profile.position_weights) != 1:
        raise Wrong("the weights do not add up to 1", "three shares with sum 1", ("profile", "position_weights"))
    for name, rule in profile.segments.items():
        try:
            compiled(rule)
        except RuleError as error:
            raise Wrong(f"this is no rule: {error}", "a CEL expression", ("profile", "segments", name)) from None
    if triggers.cap_7d < triggers.cap_24h:
        raise Wrong("fewer in 7 days than in 24 hours", f"{triggers.cap_24h} or more", ("triggers", "cap_7d"))
    if triggers.max_hold < triggers.grace:
        raise Wrong("shorter than triggers.grace", "triggers.grace or longer", ("triggers", "max_hold"))
    if triggers.max_age < triggers.grace + triggers.max_hold:
        raise Wrong("what is held would be too old", "triggers.grace + max_hold or longer", ("triggers", "max_age"))
    for segment in triggers.exclude_segments:
        if segment not in profile.segments:
            reason = f"{segment} is no segment"
            raise Wrong(reason, "names of profile.segments", ("triggers", "exclude_segments"))
    for key in ("cart_delay", "checkout_delay", "store_basket_delay", "wishlist_delay", "browse_delay"):
        idle = triggers.session_idle if key == "browse_delay" else 0
        if getattr(triggers, key) + idle + triggers.steps[-1] >= triggers.episode_expiry:
            reason = f"{key} and the last of steps do not end before episode_expiry"
            within = key if key in given.get("triggers", {}) else "episode_expiry"
            raise Wrong(reason, "together shorter than triggers.episode_expiry", ("triggers", within))


def _check_forbidden(policy: Policy) -> None:
    """Both of a pair must be identifiers under the policy's own rules, and two."""
    if not policy.identity.forbidden:
        return
    from pipeline.core.identifiers import Registry, Unusable

    identify = Registry(policy).identify
    for pair in policy.identity.forbidden:
        try:
            one, other = (identify(type, value).id for type, value in pair)
        except Unusable as unusable:
            raise Wrong(str(unusable), "two identifiers", ("identity", "forbidden")) from None
        if one is None or other is None:
            blocked = pair[0] if one is None else pair[1]
            raise Wrong(f"{list(blocked)} is no identifier or blocked", "two identifiers", ("identity", "forbidden"))
        if one == other:
            reason = f"{list(pair[0])} and {list(pair[1])} are one identifier"
            raise Wrong(reason, "two different identifiers", ("identity", "forbidden"))


def _digest(plain: Any) -> str:
    return hashlib.blake2b(msgspec.json.encode(plain, order="deterministic"), digest_size=16).hexdigest()


def dump(policy: Policy) -> str:
    """The effective policy as TOML with every key; reading it back gives an equal policy."""
    return policy_text.written(policy)
