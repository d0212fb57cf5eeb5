"""Why identifiers are one person, or what keeps them apart: the evidence behind `solve`, for people.

An explanation is made of the fragments of the clusters concerned. It holds the persons, the shortest path of used edges
between two identifiers of one person, or the skipped edges between two persons with every reason and what would have to
change, and the shared identifiers that were seen but join nobody. `explain_text` puts it into words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations, pairwise

import msgspec
import networkx as nx

from pipeline.core import times
from pipeline.core.fragment import Fragment, Sighting, ids_of
from pipeline.core.grouping import PersonIds, grouping
from pipeline.core.identifiers import Registry
from pipeline.core.solve import Pair, edges_of, hubs_of, pair, solve, text_order
from pipeline.core.touchpoint import Id


class UnknownIdentifier(LookupError):
    """The identifier was never seen."""


class Person(msgspec.Struct, frozen=True):
    profile_id: str
    identifiers: list[str]
    shared: bool = False
    oversize: bool = False


class Edge(msgspec.Struct, frozen=True, omit_defaults=True):
    """Two identifiers seen together. first and last: RFC 3339, each with the id of the touchpoint that showed it.
    reasons: every rule that using the edge would break; changes: for each, what would have to be different."""

    a: str
    b: str
    count: int
    first: str
    first_touchpoint: str
    last: str
    last_touchpoint: str
    sources: dict[str, int]
    reasons: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()


class Hub(msgspec.Struct, frozen=True):
    """A shared identifier, since when, and with whom of the explained persons it was seen how often."""

    identifier: str
    since: str
    seen_with: dict[str, int]


class Explanation(msgspec.Struct, frozen=True, omit_defaults=True):
    """verdict: person (about one identifier), same, different. persons: of the identifiers asked for, in their order.
    path: from the first identifier to the second. kept and skipped: about one identifier, all edges of its person;
    about two, skipped has the edges between them."""

    verdict: str
    asked: list[str]
    persons: list[Person]
    path: list[Edge] = []
    kept: list[Edge] = []
    skipped: list[Edge] = []
    hubs: list[Hub] = []


def explain(fragments: Iterable[Fragment], registry: Registry, one: Id, other: Id | None = None) -> Explanation:
    """Explains the person of `one`, or how `one` and `other` relate. `fragments`: all of the clusters of both. Raises
    UnknownIdentifier."""
    case = _Case(list(fragments), registry)
    for asked in (one, other):
        if asked is not None and asked not in case.group_of:
            raise UnknownIdentifier(asked)
    ours = case.group_of[one]
    if other is None:
        return case.about(one, ours)
    theirs = case.group_of[other]
    if ours is theirs:
        return case.same(one, other, ours)
    return case.different(one, other, ours, theirs)


def to_json(explanation: Explanation) -> bytes:
    return msgspec.json.format(msgspec.json.encode(explanation))


def graph(fragments: Iterable[Fragment], registry: Registry) -> nx.Graph:
    """The identifiers of clusters with kept and skipped edges, hubs as lone nodes; ready for GraphML."""
    return _Case(list(fragments), registry).graph()


class _Case:
    def __init__(self, fragments: list[Fragment], registry: Registry) -> None:
        self._fragments = fragments
        self._registry = registry
        by_id = {fragment.id: fragment for fragment in fragments}
        members = sorted(_mentioned(fragments), key=lambda id: (registry.rank(id), text_order(id)))
        self.group_of = grouping(members, by_id.get, registry).group_of
        self._hubs = hubs_of(fragments)
        self._evidence = edges_of(fragments, registry)
        solution = solve(list(self.group_of), self._evidence.edges, registry, self._evidence.forbidden)
        self._reasons = {(edge.a, edge.b): edge.reasons for edge in solution.skipped}
        self._sightings = _sightings(fragments, self._hubs)
        self._plain = {id: plain for fragment in fragments for id, plain in fragment.plain.items()}

    def about(self, one: Id, group: PersonIds) -> Explanation:
        edges = [two for two in self._evidence.edges if two[0] in group.ids or two[1] in group.ids]
        return Explanation(
            "person",
            [self._label(one)],
            [self._person(group)],
            kept=[self._edge(two) for two in edges if two not in self._reasons],
            skipped=[self._edge(two) for two in edges if two in self._reasons],
            hubs=self._hubs_around([group]),
        )

    def same(self, one: Id, other: Id, group: PersonIds) -> Explanation:
        kept = nx.Graph(two for two in self._evidence.edges if two not in self._reasons)
        way = nx.shortest_path(kept, one, other) if one != other else []
        path = [self._edge(pair(a, b)) for a, b in pairwise(way)]
        return Explanation("same", [self._label(one), self._label(other)], [self._person(group)], path=path)

    def different(self, one: Id, other: Id, ours: PersonIds, theirs: PersonIds) -> Explanation:
        between = [
            two
            for two in self._reasons
            if {self.group_of[two[0]].ids, self.group_of[two[1]].ids} == {ours.ids, theirs.ids}
        ]
        return Explanation(
            "different",
            [self._label(one), self._label(other)],
            [self._person(ours), self._person(theirs)],
            skipped=[self._edge(two) for two in between or self._first_obstacles(one, other)],
            hubs=self._hubs_around([ours, theirs]),
        )

    def graph(self) -> nx.Graph:
        drawn = nx.Graph()
        for id, group in self.group_of.items():
            person = self._registry.profile_id(group.owner)
            drawn.add_node(self._label(id), type=self._registry.type(id), person=person, shared=group.shared)
        for two in self._evidence.edges:
            edge = self._edge(two)
            reasons = " ".join(edge.reasons)
            drawn.add_edge(edge.a, edge.b, count=edge.count, last=edge.last, kept=not reasons, reasons=reasons)
        return drawn

    def _first_obstacles(self, one: Id, other: Id) -> list[Pair]:
        """Where two persons meet only through others: the skipped edges on a way between them."""
        every = nx.Graph(self._evidence.edges.keys())
        if one not in every or other not in every or not nx.has_path(every, one, other):
            return []
        way = nx.shortest_path(every, one, other, weight=lambda a, b, _: 1 + 1000 * (pair(a, b) in self._reasons))
        return [two for a, b in pairwise(way) if (two := pair(a, b)) in self._reasons]

    def _edge(self, two: Pair) -> Edge:
        seen = self._sightings[two]
        first = min(seen, key=lambda s: (s.first, s.first_event, s.first_source))
        last = max(seen, key=lambda s: (s.last, s.last_event, s.last_source))
        reasons = self._reasons.get(two, ())
        return Edge(
            a=self._label(two[0]),
            b=self._label(two[1]),
            count=sum(sighting.count for sighting in seen),
            first=times.text(first.first),
            first_touchpoint=first.first_event,
            last=times.text(last.last),
            last_touchpoint=last.last_event,
            sources=_summed(sighting.sources for sighting in seen),
            reasons=reasons,
            changes=tuple(self._change(reason, two) for reason in reasons),
        )

    def _change(self, reason: str, two: Pair) -> str:
        """What would have to be different for this reason to go. The persons are as they are now: they hold at least
        what they held when the edge was skipped."""
        ours, theirs = (self.group_of[id].ids for id in two)
        identity = self._registry.policy.identity
        rule, _, type = reason.partition(":")
        values = sorted(self._label(id) for id in (*ours, *theirs) if self._registry.type(id) == type)
        if rule == "unique":
            return f"{_and(values)} would be one person: a person has one {type} while identity.unique names it"
        if rule == "limit":
            return f"the person would have {len(values)} {type} values: identity.limits allows {identity.limits[type]}"
        if rule == "person_max":
            size = len(ours) + len(theirs)
            return f"the person would have {size} identifiers: identity.person_max allows {identity.person_max}"
        apart = [(a, b) for a, b in sorted(self._evidence.forbidden) if _across(a, b, ours, theirs)]
        return "; ".join(self._lift(a, b) for a, b in apart)

    def _lift(self, a: Id, b: Id) -> str:
        vetoes = [f.vetoes[key][-1][0] for f in self._fragments for key in f.vetoes if pair(*ids_of(key)) == (a, b)]
        named = f"{self._label(a)} and {self._label(b)}"
        if not vetoes:
            return f"{named} are a pair of identity.forbidden"
        return f"{named} were unlinked at {times.text(max(vetoes))}: a later identity.observed with both lifts that"

    def _hubs_around(self, groups: list[PersonIds]) -> list[Hub]:
        around: dict[Id, dict[Id, int]] = {}
        members = {id for group in groups for id in group.ids}
        for fragment in self._fragments:
            for key, sighting in fragment.sets.items():
                ids = ids_of(key)
                for hub in self._hubs.intersection(ids) - members:
                    for id in members.intersection(ids):
                        seen_with = around.setdefault(hub, {})
                        seen_with[id] = seen_with.get(id, 0) + sighting.count
        return [
            Hub(self._label(hub), times.text(self._since(hub)), {self._label(id): n for id, n in sorted(seen.items())})
            for hub, seen in sorted(around.items())
        ]

    def _since(self, hub: Id) -> int:
        own = [fragment.hub for fragment in self._fragments if fragment.id == hub and fragment.hub]
        return min(own or (fragment.shared[hub] for fragment in self._fragments if hub in fragment.shared))

    def _person(self, group: PersonIds) -> Person:
        labels = [self._label(id) for id in group.ids]
        return Person(self._registry.profile_id(group.owner), labels, group.shared, group.oversize)

    def _label(self, id: Id) -> str:
        """The readable value where the policy publishes it, else the canonical text."""
        type = self._registry.type(id)
        plain = self._plain.get(id)
        readable = self._registry.policy.publish.identifiers.get(type, "raw") == "raw"
        return f"{type}:{plain}" if plain is not None and readable else id


def _mentioned(fragments: Iterable[Fragment]) -> set[Id]:
    ids: set[Id] = set()
    for fragment in fragments:
        ids.add(fragment.id)
        for key in fragment.sets:
            ids.update(ids_of(key))
    return ids


def _sightings(fragments: Iterable[Fragment], hubs: set[Id]) -> dict[Pair, list[Sighting]]:
    sightings: dict[Pair, list[Sighting]] = {}
    for fragment in fragments:
        for key, sighting in fragment.sets.items() if fragment.id not in hubs else ():
            for a, b in combinations(ids_of(key), 2):
                sightings.setdefault(pair(a, b), []).append(sighting)
    return sightings


def _across(a: Id, b: Id, ours: tuple[Id, ...], theirs: tuple[Id, ...]) -> bool:
    return (a in ours and b in theirs) or (b in ours and a in theirs)


def _summed(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for count in counts:
        for name, number in count.items():
            total[name] = total.get(name, 0) + number
    return dict(sorted(total.items()))


def _and(values: list[str]) -> str:
    return values[0] if len(values) == 1 else f"{', '.join(values[:-1])} and {values[-1]}"
