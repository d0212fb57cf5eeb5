"""Whom a trigger reaches: channels in the policy's order, each with the address to use, and why the others are out.

`email` needs an e-mail identifier, `sms` a phone, `push` a device seen on channel app; any other channel is one that
the trait `channels` names. The address is the cart's own, else the newest of the person; one that bounced is none. A
denied or revoked marketing consent closes a channel; with `require_consent`, so does the lack of one. Denied profiling
closes all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from hashlib import sha256
from typing import Any, Final

from pipeline.core.blocks.identifiers import published
from pipeline.core.blocks.traits import traits
from pipeline.core.episode import Episode
from pipeline.core.facts.consents import law
from pipeline.core.fragment import Consent, Fragment, Sighting, ids_of
from pipeline.core.identifiers import Registry
from pipeline.core.person import Person
from pipeline.core.touchpoint import Id

_TYPES: Final = {"email": "email", "sms": "phone", "push": "device"}
_ADDRESSES: Final = frozenset(_TYPES.values())
_REFUSED: Final = ("denied", "revoked")


class Addressing:
    def __init__(self, person: Person, registry: Registry, as_of: int | None) -> None:
        self._person, self._registry, self._as_of = person, registry, as_of
        self._policy = registry.policy.triggers

    def channels(self, episode: Episode) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
        """(channels to use, channels excluded with the reason), as a record shows them."""
        used: list[dict[str, Any]] = []
        excluded: list[dict[str, str]] = []
        for channel in self._policy.permitted:
            reachable, address = self._address(channel, episode)
            if not reachable:
                excluded.append({"channel": channel, "reason": "not_addressable"})
            elif self.profiling_refused or not self._may_use(channel):
                excluded.append({"channel": channel, "reason": "consent"})
            else:
                used.append({"channel": channel, "rank": len(used) + 1, "identifier": address})
        return used, excluded

    def refused(self, channel: str) -> bool:
        """Whether the person said no to messages on a channel, or to profiling."""
        return self.profiling_refused or self._state(channel, "marketing") in _REFUSED

    @cached_property
    def changed_at(self) -> int:
        """The newest time at which a consent took effect, or was received, or identifiers were first seen together."""
        found = 0
        for fragment in self._person.fragments:
            for kept in fragment.consents.values():
                found = max(found, 0, *(min(one.effective, one.received) for one in self._known(kept)))
            for sighting in fragment.sets.values():
                time, received = min(sighting.seen, key=lambda seen: seen[1])
                if self._as_of is None or received <= self._as_of:
                    found = max(found, time)
        return found

    @cached_property
    def profiling_refused(self) -> bool:
        return self._state("*", "profiling") in _REFUSED

    @cached_property
    def timezone(self) -> str | None:
        return next((value for value in self._trait("timezone") if isinstance(value, str)), None)

    def _may_use(self, channel: str) -> bool:
        state = self._state(channel, "marketing")
        return state == "granted" or (state is None and not self._policy.require_consent)

    def _state(self, channel: str, purpose: str) -> str | None:
        """What holds of the channel's consent and the one for all channels, over all fragments."""
        best: Consent | None = None
        for fragment in self._person.fragments:
            for name in (channel, "*"):
                for consent in self._known(fragment.consents.get(f"{name}\n{purpose}", ())):
                    if best is None or law(consent) > law(best):
                        best = consent
        return None if best is None else best.state

    def _known(self, consents: Iterable[Consent]) -> Iterable[Consent]:
        as_of = self._as_of
        return consents if as_of is None else (consent for consent in consents if consent.received <= as_of)

    def _address(self, channel: str, episode: Episode) -> tuple[bool, dict[str, Any] | None]:
        """(can be reached, the identifier as published)."""
        type = _TYPES.get(channel)
        if type is None:
            named = self._trait("channels")
            return channel in named, None
        seen = self._seen.get(type)
        if seen:
            own = {fragment for _, fragment in episode.changes}
            best = max((fragment in own, id == fragment, time, id) for fragment, id, time in seen)
            return True, self._shown(best[3])
        if self._policy.contact_hints == "own_cart":
            return self._hint(type, {fragment for _, fragment in episode.changes})
        return False, None

    @cached_property
    def _seen(self) -> dict[str, list[tuple[Id, Id, int]]]:
        """By type (fragment, identifier, newest time) of what could be an address; a device only where seen on channel
        app."""
        found: dict[str, list[tuple[Id, Id, int]]] = {}
        addresses = {id: type for id in self._person.ids if (type := id.partition(":")[0]) in _ADDRESSES}
        if not addresses:
            return found
        for fragment in self._person.fragments:
            for id, time, app in self._sightings(fragment):
                kind = addresses.get(id)
                if kind is not None and (app or kind != "device") and id not in self._bounced:
                    found.setdefault(kind, []).append((fragment.id, id, time))
        return found

    @cached_property
    def _bounced(self) -> set[str]:
        return {
            address
            for fragment in self._person.fragments
            for address, bounce in fragment.bounces.items()
            if self._as_of is None or bounce.received <= self._as_of
        }

    def _sightings(self, fragment: Fragment) -> Iterator[tuple[Id, int, bool]]:
        """(identifier, newest time, whether on channel app)"""
        for key, sighting in fragment.sets.items():
            time = self._newest(sighting)
            if time is not None:
                app = sighting.app > 0 and (self._as_of is None or sighting.app <= self._as_of)
                for id in ids_of(key):
                    yield id, time, app
        for id, share in fragment.rest.items():
            if self._as_of is None or share.received <= self._as_of:
                yield id, share.last, _on_app(share.sources)

    def _newest(self, sighting: Sighting) -> int | None:
        if self._as_of is None:
            return sighting.last
        return max((time for time, received in sighting.seen if received <= self._as_of), default=None)

    def _shown(self, id: Id) -> dict[str, Any] | None:
        plain = next((one.plain[id] for one in self._person.fragments if id in one.plain), None)
        shown = published(id, plain, self._registry)
        return None if shown is None else {"type": shown[1], "value": shown[2]}

    def _hint(self, type: str, own: set[Id]) -> tuple[bool, dict[str, Any] | None]:
        """The newest unverified contact that was typed in with the cart."""
        hints = [
            (seen.last, key.partition(":")[2])
            for fragment in self._own(own)
            for key, seen in fragment.hints.items()
            if key.startswith(f"{type}:") and (self._as_of is None or seen.received <= self._as_of)
            if key not in self._bounced
        ]
        if not hints:
            return False, None
        value = max(hints)[1]
        how = self._registry.policy.publish.identifiers.get(type, "raw")
        if how == "omit":
            return True, None
        if how == "sha256":
            return True, {"type": f"{type}_sha256", "value": sha256(value.encode()).hexdigest(), "verified": False}
        return True, {"type": type, "value": value, "verified": False}

    def _own(self, own: set[Id]) -> list[Fragment]:
        return [fragment for fragment in self._person.fragments if fragment.id in own]

    def _trait(self, name: str) -> list[Any]:
        """The value of a trait as a list; empty where there is none."""
        if not any(name in fragment.traits for fragment in self._person.fragments):
            return []
        found = traits(self._person.fragments, self._registry.policy) or {}
        value = found.get(name, {}).get("value")
        return value if isinstance(value, list) else [] if value is None else [value]


def _on_app(sources: Iterable[str]) -> bool:
    return any(source.startswith("app/") for source in sources)
