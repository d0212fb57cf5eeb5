"""The rules every touchpoint has to pass, whatever dialect it came in.

1. Envelope: id, source `<channel>/<name>`, type without reverse-DNS prefix.
2. Time: clamped to [received - clamp_past, received + clamp_future].
3. Data: the members that the type needs, tidied.
4. Identifiers: normalised, blocked ones taken out, unverified ones kept as hints; one value of a unique type.
"""

from __future__ import annotations

from typing import Final

import msgspec

from pipeline.core import times
from pipeline.core.events import NO_LINK, UNLINKED
from pipeline.core.identifiers import Cache, Identified, Registry, Unusable
from pipeline.core.touchpoint import Data, Id, RawIdentifier, Touchpoint
from pipeline.dialects.refused import (
    NO_IDENTIFIER,
    TOO_MANY_IDENTIFIERS,
    TWO_VALUES_OF_UNIQUE,
    Refused,
    bad_envelope,
    bad_field,
)
from pipeline.dialects.rules import Rule, channel_of, checked_channel, rule_of
from pipeline.dialects.tidy import Tidy

Given = tuple[RawIdentifier, ...]
SETS_KEPT: Final = 50_000
ID_CHARS_MAX: Final = 256
RECEIVED_MAX: Final = times.parse("9000-01-01T00:00:00Z")
"""Deadlines years after a received time can still be written."""


class Names(msgspec.Struct, frozen=True, gc=False):
    """The identifiers of one touchpoint: ids strongest first, readable values, hints, and how many were blocked."""

    ids: tuple[Id, ...]
    plain: dict[Id, str] | None
    hints: tuple[tuple[str, str], ...]
    blocked: int


class Admission:
    """The rules under one policy. Raises Refused; keeps nothing but bounded caches."""

    def __init__(self, registry: Registry) -> None:
        policy = registry.policy
        self._identify = registry.identify
        self._together: Cache[Given, Names] = Cache(self._resolve, SETS_KEPT)
        self._past, self._future = policy.identity.clamp_past, policy.identity.clamp_future
        self._unique = frozenset(policy.identity.unique)
        self._identifiers_max = policy.bounds.identifiers_per_touchpoint
        self._channels: Cache[str, str] = Cache(channel_of)
        self._rules: Cache[str, Rule] = Cache(rule_of)
        self._tidy = Tidy(policy.bounds.value_chars, policy.identity.clamp_future).tidy

    def received(self, recorded: int | None, timestamp: int | None, otherwise: int | None) -> int:
        """When a record was received: its own word, unless the transport's timestamp shows that it lies ahead."""
        if timestamp is None or timestamp < 0:
            received = otherwise if recorded is None else recorded
        elif recorded is None or recorded > timestamp + self._future:
            received = timestamp
        else:
            received = recorded
        if received is None:
            raise bad_envelope("time: the record has none, and there is none before it")
        if not 0 < received < RECEIVED_MAX:
            raise bad_field("recordedtime", "outside the years 1970 to 8999")
        return received

    def admit(
        self, id: str, source: str, type: str, time: int | None, received: int, data: Data, dialect: str = "cloudevents"
    ) -> Touchpoint:
        """The touchpoint. `data` becomes part of it, tidied."""
        if not id or len(id) > ID_CHARS_MAX:
            raise bad_envelope(f"id: not 1 to {ID_CHARS_MAX} characters")
        channel = self._channels[source]
        if data.channel is not None:
            channel = checked_channel("data.channel", data.channel)
        rule = self._rules[type]
        client_time = None
        if time is None:
            time = received
        elif time > received + self._future:
            client_time, time = time, received + self._future
        elif time < received - self._past or time < 1:
            client_time, time = time, max(1, received - self._past)
        effective = self._tidy(data, rule, received)
        tp = Touchpoint(id, source, channel, rule.type, time, received, (), data)
        if client_time is not None:
            tp.client_time = client_time
        if effective is not None:
            tp.effective = effective
        if dialect != "cloudevents":
            tp.dialect = dialect
        if rule.named:
            self._name(tp, data)
        data.identifiers = []
        return tp

    def _name(self, tp: Touchpoint, data: Data) -> None:
        """Resolves the identifiers of the data."""
        raw = data.identifiers
        if data.cart is not None and data.cart.checkout_id is not None and tp.type not in NO_LINK:
            raw.append(RawIdentifier("checkout", data.cart.checkout_id))
        given = tuple(raw)
        names = self._together[given] if tp.type not in NO_LINK else self._resolve(given, alone=True)
        if not names.ids:
            raise Refused(NO_IDENTIFIER, f"{tp.type} has no usable identifier")
        if tp.type == UNLINKED and len(names.ids) != 2:
            raise bad_field("data.identifiers", f"{tp.type} needs exactly two")
        tp.ids = names.ids
        if names.plain is not None:
            tp.plain = names.plain
        if names.hints:
            tp.hints = names.hints
        if names.blocked:
            tp.blocked = names.blocked

    def _resolve(self, given: Given, alone: bool = False) -> Names:
        """alone: unique types may have several values."""
        if len(given) > self._identifiers_max:
            raise Refused(TOO_MANY_IDENTIFIERS, f"{len(given)} identifiers, {self._identifiers_max} are allowed")
        named: dict[Id, Identified] = {}
        hints: list[tuple[str, str]] = []
        blocked = 0
        for index, one in enumerate(given):
            if one.value is None:
                continue
            try:
                who = self._identify(one.type, one.value)
            except Unusable as unusable:
                raise bad_field(f"data.identifiers[{index}]", str(unusable)) from None
            if who.id is not None and one.verified:
                if who.id not in named or who.plain is not None:
                    named[who.id] = who
            elif who.id is not None or who.hint:
                hints.append((one.type, who.plain or who.strength[2]))
            else:
                blocked += 1
        if not alone and len(named) > 1:
            self._check_unique([who.strength[1] for who in named.values()])
        ids = tuple(sorted(named, key=lambda id: named[id].strength) if len(named) > 1 else named)
        plain = {id: who.plain for id, who in named.items() if who.plain is not None}
        return Names(ids, plain or None, tuple(dict.fromkeys(hints)) if hints else (), blocked)

    def _check_unique(self, types: list[str]) -> None:
        for type in self._unique:
            if types.count(type) > 1:
                raise Refused(TWO_VALUES_OF_UNIQUE, f"{types.count(type)} values of {type}")
