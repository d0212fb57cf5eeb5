"""The evidence about some identifiers, solved: persons, edges kept and skipped with their reasons, hubs around.

`explain` answers for one identifier (its person) or for two (the shortest path of used edges between them, or what
keeps them apart).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations, pairwise

import networkx as nx

from pipeline.core import times
from pipeline.core.explain.changes import Changes
from pipeline.core.explain.known import Known
from pipeline.core.explain.records import Edge, Explanation, Hub, Person
from pipeline.core.fragment import Fragment, Sighting, ids_of
from pipeline.core.grouping import PersonIds, grouping
from pipeline.core.solve import Pair, edges_of, pair, solve, text_order
from pipeline.core.touchpoint import Id


def explain(known: Known, one: Id, other: Id | None = None) -> Explanation:
    """Explains the person of `one`, or how `one` and `other` relate. Both must be known."""
    if other is None or other == one:
        return Case(known, one).about(one)
    case = Case(known, one, other)
    same = case.group_of[one] is case.group_of[other]
    return case.same(one, other) if same else case.different(one, other)


class Case:
    """group_of: the person of each identifier around `names`. edges: pairs seen together, hubs left out, with their
    newest time. reasons: of the skipped ones."""

    def __init__(self, known: Known, *names: Id) -> None:
        self.known = known
        registry = known.registry
        self._fragments = known.around(*names)
        by_id = {fragment.id: fragment for fragment in self._fragments}
        members = sorted(_mentioned(self._fragments), key=lambda id: (registry.rank(id), text_order(id)))
        self.group_of = grouping(members, by_id.get, registry).group_of
        self.edges, forbidden = edges_of(self._fragments, registry)
        solution = solve(members, self.edges, registry, forbidden)
        self.reasons = {(edge.a, edge.b): edge.reasons for edge in solution.skipped}
        self.reasons |= {two: ("oversize",) for two in self.edges if two[0] in solution.oversize}
        self._sightings = _sightings(self._fragments, known.hubs)
        self._changes = Changes(known, self._fragments, self.group_of, self.edges, forbidden)

    def about(self, one: Id) -> Explanation:
        group = self.group_of[one]
        edges = self.edges_at(group)
        return Explanation(
            "person",
            [self.known.label(one)],
            [self.person(group)],
            kept=[self.edge(two) for two in edges if two not in self.reasons],
            skipped=[self.edge(two) for two in edges if two in self.reasons],
            hubs=[self._own_hub(one)] if group.shared else self._hubs_around([group]),
        )

    def same(self, one: Id, other: Id) -> Explanation:
        kept = nx.Graph(sorted(two for two in self.edges if two not in self.reasons))
        path = [self.edge(pair(a, b)) for a, b in pairwise(nx.shortest_path(kept, one, other))]
        persons = [self.person(self.group_of[one])]
        return Explanation("same", [self.known.label(one), self.known.label(other)], persons, path=path)

    def different(self, one: Id, other: Id) -> Explanation:
        ours, theirs = self.group_of[one], self.group_of[other]
        between = [
            two
            for two in sorted(self.reasons, key=lambda two: (not {one, other} <= {*two}, two))
            if {self.group_of[two[0]].owner, self.group_of[two[1]].owner} == {ours.owner, theirs.owner}
        ]
        shared = [id for id, group in ((one, ours), (other, theirs)) if group.shared]
        return Explanation(
            "different",
            [self.known.label(one), self.known.label(other)],
            [self.person(ours), self.person(theirs)],
            skipped=[self.edge(two) for two in between or self._obstacles(one, other)],
            hubs=[self._own_hub(id, one, other) for id in shared] or self._hubs_around([ours, theirs]),
        )

    def edges_at(self, *groups: PersonIds) -> list[Pair]:
        """Kept and skipped edges of persons."""
        members = {id for group in groups for id in group.ids}
        return [two for two in sorted(self.edges) if two[0] in members or two[1] in members]

    def _obstacles(self, one: Id, other: Id) -> list[Pair]:
        """Where two persons meet only through others: the skipped edges on the way that has fewest of them."""
        every = nx.Graph(sorted(self.edges))
        if one not in every or other not in every or not nx.has_path(every, one, other):
            return []
        way = nx.shortest_path(every, one, other, weight=lambda a, b, _: 1 + 10_000 * (pair(a, b) in self.reasons))
        return [two for a, b in pairwise(way) if (two := pair(a, b)) in self.reasons]

    def edge(self, two: Pair) -> Edge:
        seen = self._sightings[two]
        first = min(seen, key=lambda s: (s.first, s.first_event, s.first_source))
        last = max(seen, key=lambda s: (s.last, s.last_event, s.last_source))
        reasons = self.reasons.get(two, ())
        return Edge(
            a=self.known.label(two[0]),
            b=self.known.label(two[1]),
            count=sum(sighting.count for sighting in seen),
            first=times.text(first.first),
            first_touchpoint=first.first_event,
            last=times.text(last.last),
            last_touchpoint=last.last_event,
            sources=_summed(sighting.sources for sighting in seen),
            reasons=reasons,
            changes=self._changes.of(two, reasons),
        )

    def person(self, group: PersonIds) -> Person:
        labels = [self.known.label(id) for id in group.ids]
        return Person(self.known.registry.profile_id(group.owner), labels, group.shared, group.oversize)

    # -- hubs --------------------------------------------------------------------------------------------------------

    def hubs_at(self, members: set[Id]) -> dict[Id, dict[Id, int]]:
        """Hubs -> members that they were seen with -> how often."""
        around: dict[Id, dict[Id, int]] = {}
        for fragment in self._fragments:
            for key, sighting in fragment.sets.items():
                ids = ids_of(key)
                for hub in self.known.hubs.intersection(ids) - members:
                    for id in members.intersection(ids):
                        seen_with = around.setdefault(hub, {})
                        seen_with[id] = seen_with.get(id, 0) + sighting.count
        return around

    def _hubs_around(self, groups: list[PersonIds]) -> list[Hub]:
        """Those that all of the persons were seen with come first."""
        around = self.hubs_at({id for group in groups for id in group.ids})
        hubs = [
            self._hub(hub, seen, len(groups) > 1 and all(seen.keys() & set(group.ids) for group in groups))
            for hub, seen in sorted(around.items())
        ]
        return sorted(hubs, key=lambda hub: not hub.both)

    def _own_hub(self, hub: Id, *asked: Id) -> Hub:
        """asked: two, of which it is one."""
        seen: dict[Id, int] = {}
        for fragment in self._fragments:
            for key, sighting in fragment.sets.items():
                ids = ids_of(key)
                for id in ids if hub in ids else ():
                    seen[id] = seen.get(id, 0) + sighting.count
        seen.pop(hub, None)
        return self._hub(hub, seen, bool(asked) and seen.keys() >= {*asked} - {hub})

    def _hub(self, hub: Id, seen: Mapping[Id, int], both: bool) -> Hub:
        known = self.known
        return Hub(
            known.label(hub),
            times.text(self._since(hub)),
            {known.label(id): count for id, count in sorted(seen.items())},
            known.anchors_of(hub),
            known.weaker_of(hub),
            self._changes.of_hub(hub),
            both,
        )

    def _since(self, hub: Id) -> int:
        own = [fragment.hub for fragment in self._fragments if fragment.id == hub and fragment.hub]
        return min(own or (fragment.shared[hub] for fragment in self._fragments if hub in fragment.shared))


def _mentioned(fragments: Iterable[Fragment]) -> set[Id]:
    ids: set[Id] = set()
    for fragment in fragments:
        ids.add(fragment.id)
        ids.update(fragment.rest)
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


def _summed(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for count in counts:
        for name, number in count.items():
            total[name] = total.get(name, 0) + number
    return dict(sorted(total.items()))
