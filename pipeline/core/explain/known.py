"""All fragments of a history or a state, with an index of who was seen with whom; identifiers as people type them.

Another policy can be laid over it if both fold touchpoints in the same way: who is shared is counted anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy

from pipeline.core.explain.similar import similar
from pipeline.core.fragment import Fragment, ids_of
from pipeline.core.identifiers import Registry, Unusable
from pipeline.core.solve import hubs_of
from pipeline.core.touchpoint import Id


class UnknownIdentifier(LookupError):
    """The identifier was never seen, or never can be."""


class Malformed(ValueError):
    """The text is no identifier: it is written type:value."""


class Known:
    """`fragments`: all there are. Those of identifiers that were never an anchor may be missing."""

    def __init__(self, fragments: Iterable[Fragment], registry: Registry) -> None:
        self.registry = registry
        self.fragments = {fragment.id: fragment for fragment in fragments}
        self.hubs = hubs_of(self.fragments.values())
        self._plain: dict[Id, str] = {}
        self._met_by: dict[Id, list[Id]] = {}
        for fragment in self.fragments.values():
            self._plain.update(fragment.plain)
            for id in _mentioned(fragment):
                self._met_by.setdefault(id, []).append(fragment.id)

    def __contains__(self, id: Id) -> bool:
        return id in self._met_by

    def label(self, id: Id) -> str:
        """The readable value where the policy publishes it, else the canonical text."""
        type, plain = self.registry.type(id), self._plain.get(id)
        readable = self.registry.policy.publish.identifiers.get(type, "raw") == "raw"
        return f"{type}:{plain}" if plain is not None and readable else id

    def find(self, text: str) -> Id:
        """The identifier that was meant by type:value or a canonical text. Raises Malformed, UnknownIdentifier."""
        type, _, value = text.partition(":")
        if not type or not value.strip():
            raise Malformed(f"{text!r} is no identifier: it is written type:value{self._suggest(text)}")
        if Id(text) in self:
            return Id(text)
        try:
            meant = self.registry.identify(type, value)
        except Unusable as unusable:
            raise Malformed(f"{text[:80]!r} is no identifier: {unusable}") from None
        if meant.id is None and meant.hint:
            raise UnknownIdentifier(f"{text} is no valid {type}: such values are kept as contact hints and join nobody")
        if meant.id is None:
            raise UnknownIdentifier(f"{text} is a blocked value (identity.blocked): it never becomes an identifier")
        if meant.id not in self:
            raise UnknownIdentifier(f"{text} was never seen{self._suggest(text)}")
        return meant.id

    def _suggest(self, text: str) -> str:
        found = similar(text, (self.label(id) for id in self._met_by))
        return f"; did you mean {' or '.join(found)}?" if found else ""

    def around(self, *names: Id) -> list[Fragment]:
        """The fragments of all that hangs together with these identifiers, and of the hubs that it was seen with."""
        found: dict[Id, None] = {}
        seen: set[Id] = set()
        waiting = list(names)
        for name in names:
            found.update(dict.fromkeys(self._met_by.get(name, ())))
        while waiting:
            id = waiting.pop()
            if id in seen:
                continue
            seen.add(id)
            if id in self.fragments:
                found[id] = None
            if id not in self.hubs:
                anchors = self._met_by.get(id, ())
                found.update(dict.fromkeys(anchors))
                own = [self.fragments[a] for a in (*anchors, id) if a in self.fragments and a not in self.hubs]
                waiting += [other for fragment in own for key in fragment.sets for other in ids_of(key)]
        return [self.fragments[id] for id in sorted(found) if id in self.fragments]

    def anchors_of(self, id: Id) -> int:
        """How many distinct anchors other than itself it was seen with."""
        return sum(1 for anchor in self._met_by.get(id, ()) if anchor != id)

    def weaker_of(self, id: Id) -> int:
        """How many distinct weaker identifiers it was seen with as anchor."""
        fragment = self.fragments.get(id)
        return 0 if fragment is None else len(_mentioned(fragment) - {id})

    def under(self, registry: Registry) -> Known:
        """The same under another policy that folds touchpoints in the same way."""
        identity = registry.policy.identity
        hubs = {id for id in self._met_by if self.anchors_of(id) > identity.degree_of(registry.type(id))}
        hubs |= {id for id in self.fragments if self.weaker_of(id) > identity.hub_fanout}
        met = _met(self.fragments, hubs)
        ids = self.fragments.keys() | met.keys()
        return Known((_with_hubs(self.fragments.get(id) or Fragment(id), hubs, met) for id in ids), registry)


def _mentioned(fragment: Fragment) -> set[Id]:
    return {id for key in fragment.sets for id in ids_of(key)} | fragment.rest.keys()


def _met(fragments: dict[Id, Fragment], hubs: set[Id]) -> dict[Id, int]:
    """When identifiers were first seen with an anchor that is a hub."""
    met: dict[Id, int] = {}
    for hub in hubs & fragments.keys():
        fragment = fragments[hub]
        firsts = [(id, seen.first) for id, seen in fragment.rest.items()]
        firsts += [(id, sighting.first) for key, sighting in fragment.sets.items() for id in ids_of(key)]
        for id, first in firsts:
            if id != hub:
                met[id] = min(first, met.get(id, first))
    return met


def _with_hubs(fragment: Fragment, hubs: set[Id], met: dict[Id, int]) -> Fragment:
    """The fragment as if these had always been the hubs."""
    counted = copy(fragment)
    counted.met = met.get(fragment.id)
    counted.hub = (fragment.hub or 1) if fragment.id in hubs else 0
    counted.shared = {id: fragment.shared.get(id, 1) for id in _mentioned(fragment) & hubs if id != fragment.id}
    return counted
