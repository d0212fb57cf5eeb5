"""What would have to be different for an edge to be used, or for an identifier to be shared no more.

For each reason the rule and whose values break it. Whether a newer touchpoint with both would do is not guessed: it is
solved. The persons are as they are now: they hold at least what they held when the edge was skipped.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from pipeline.core import times
from pipeline.core.explain.known import Known
from pipeline.core.fragment import Fragment, ids_of
from pipeline.core.grouping import PersonIds
from pipeline.core.solve import Pair, pair, solve
from pipeline.core.touchpoint import Id

SOLVED_MAX: Final = 50
"""Edges of one explanation for which it is solved what a newer touchpoint would do."""


class Changes:
    def __init__(
        self,
        known: Known,
        fragments: Sequence[Fragment],
        group_of: Mapping[Id, PersonIds],
        edges: Mapping[Pair, int],
        forbidden: Collection[Pair],
    ) -> None:
        self._known, self._fragments, self._group_of = known, fragments, group_of
        self._edges, self._forbidden = edges, forbidden
        self._solved = 0

    def of(self, two: Pair, reasons: Sequence[str]) -> tuple[str, ...]:
        told = [self._reason(reason, two) for reason in reasons]
        if reasons and "forbidden" not in reasons and "oversize" not in reasons and self._solved < SOLVED_MAX:
            self._solved += 1
            told += self._newer(two)
        return tuple(told)

    def of_hub(self, hub: Id) -> str:
        known, identity = self._known, self._known.registry.policy.identity
        type = known.registry.type(hub)
        told = []
        if known.anchors_of(hub) > identity.degree_of(type):
            allowed = identity.degree_of(type)
            told.append(f"seen with {known.anchors_of(hub):,} anchors: identity.hub_degree allows {type} {allowed:,}")
        if known.weaker_of(hub) > identity.hub_fanout:
            weaker = known.weaker_of(hub)
            told.append(
                f"as anchor seen with {weaker:,} identifiers: identity.hub_fanout allows {identity.hub_fanout:,}"
            )
        return "; ".join(told)

    def _reason(self, reason: str, two: Pair) -> str:
        ours, theirs = (self._group_of[id].ids for id in two)
        identity = self._known.registry.policy.identity
        rule, _, type = reason.partition(":")
        values = sorted(self._known.label(id) for id in (*ours, *theirs) if self._known.registry.type(id) == type)
        if rule == "unique":
            return f"{_and(values)} would be one person: a person has one {type} while identity.unique names it"
        if rule == "limit":
            return f"the person would have {len(values)} {type} values: identity.limits allows {identity.limits[type]}"
        if rule == "person_max":
            size = len(ours) + len(theirs)
            return f"the person would have {size} identifiers: identity.person_max allows {identity.person_max}"
        if rule == "oversize":
            return f"more than {identity.component_max} identifiers hang together here: identity.component_max"
        apart = [(a, b) for a, b in sorted(self._forbidden) if _across(a, b, ours, theirs)]
        return "; ".join(self._lift(a, b) for a, b in apart)

    def _lift(self, a: Id, b: Id) -> str:
        vetoes = [f.vetoes[key][-1][0] for f in self._fragments for key in f.vetoes if pair(*ids_of(key)) == (a, b)]
        named = f"{self._known.label(a)} and {self._known.label(b)}"
        if not vetoes:
            return f"{named} are a pair of identity.forbidden"
        return f"{named} were unlinked at {times.text(max(vetoes))}: a later identity.observed with both lifts that"

    def _newer(self, two: Pair) -> list[str]:
        """What a touchpoint with both, newer than all others, would do to who is one person."""
        latest = max(self._edges.values())
        edges = dict(self._edges) | {two: latest + 1}
        solution = solve(list(self._group_of), edges, self._known.registry, self._forbidden)
        group = next((ids for ids in solution.persons if two[0] in ids and two[1] in ids), None)
        if group is None:
            return []
        left = [id for end in two for id in self._group_of[end].ids if id not in group]
        lost = f", without {_and([self._known.label(id) for id in left][:5])}" if left else ""
        return [f"a touchpoint with both after {times.text(latest)} would make the two one person{lost}"]


def _across(a: Id, b: Id, ours: tuple[Id, ...], theirs: tuple[Id, ...]) -> bool:
    return (a in ours and b in theirs) or (b in ours and a in theirs)


def _and(values: list[str]) -> str:
    return values[0] if len(values) == 1 else f"{', '.join(values[:-1])} and {values[-1]}"
