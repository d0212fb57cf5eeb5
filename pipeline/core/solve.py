"""Who is one person: from the edges between identifiers to persons.

1. An edge is a pair of identifiers seen on one touchpoint, with the newest time; edges at hubs are left out.
2. Edges are added in this order: rank of the weaker end (strong layers first), newest time, smaller sum of ranks, text.
3. An edge is skipped if the joined person would have two values of a unique type, too many of a limited one, more than
   `person_max` identifiers, or both ends of a forbidden pair. Every rule it would break is kept as a reason.
4. What hangs together afterwards is one person. An edge inside one person changes nothing.

A component that breaks no rule as a whole cannot have a skipped edge, so it is neither sorted nor checked edge by edge.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from itertools import combinations
from typing import NamedTuple

from pipeline.core.fragment import Fragment, ids_of
from pipeline.core.identifiers import Registry
from pipeline.core.touchpoint import Id

LONG_AGO = -(1 << 63)
FIELD_BITS = 32

Pair = tuple[Id, Id]
"""Two identifiers, the smaller in text order first."""


class Evidence(NamedTuple):
    """What fragments say: edges with their newest time, hubs left out; pairs that must not be in one person."""

    edges: dict[Pair, int]
    forbidden: set[Pair]


class Skipped(NamedTuple):
    """An edge that was not used. `reasons`: every rule it would have broken, sorted."""

    a: Id
    b: Id
    time: int
    reasons: tuple[str, ...]


Key = tuple[int, int, int, str, str, Id, Id]
"""Where an edge comes in the order of the rule: rank of the weaker end, minus the newest time, sum of ranks, texts; and
the edge itself."""


Refused = tuple[Key, int, bool]
"""An edge that was not used, the limits that the joined person would be over, whether a pair in it is forbidden."""


class Solution(NamedTuple):
    """`persons`: each sorted by (rank, text), strongest first; in the order of their first identifiers. `skipped`: in
    the order of the rule. `oversize`: identifiers of components with more than `component_max`; each stands alone."""

    persons: list[tuple[Id, ...]]
    skipped: list[Skipped]
    oversize: frozenset[Id] = frozenset()


def text_order(id: Id) -> str:
    """Key for comparing canonical texts: by type, then by value, both by code point."""
    return id.replace(":", "\0", 1)


def pair(a: Id, b: Id) -> Pair:
    return (a, b) if text_order(a) < text_order(b) else (b, a)


def hubs_of(fragments: Iterable[Fragment], as_of: int | None = None) -> set[Id]:
    """Identifiers known to be shared by what was received up to `as_of` (None: all)."""
    hubs: set[Id] = set()
    for fragment in fragments:
        if fragment.hub and (as_of is None or fragment.hub <= as_of):
            hubs.add(fragment.id)
        hubs.update(id for id, since in fragment.shared.items() if as_of is None or since <= as_of)
    return hubs


def edges_of(fragments: Iterable[Fragment], registry: Registry, as_of: int | None = None) -> Evidence:
    """The evidence of fragments by what was received up to `as_of` (None: all)."""
    known = list(fragments)
    hubs = hubs_of(known, as_of)
    edges: dict[Pair, int] = {}
    observed: dict[Pair, int] = {}
    for fragment in known:
        if fragment.id in hubs:
            continue
        for key, sighting in fragment.sets.items():
            time = _newest(sighting.seen, as_of)
            if time is None or "\n" not in key:
                continue
            lifted = _newest(sighting.observed, as_of)
            for two in _pairs(key, hubs):
                if time > edges.get(two, LONG_AGO):
                    edges[two] = time
                if lifted is not None and lifted > observed.get(two, LONG_AGO):
                    observed[two] = lifted
    return Evidence(edges, _vetoes(known, observed, as_of) | _forbidden_by_policy(edges, registry))


def _pairs(key: str, hubs: set[Id]) -> Iterable[Pair]:
    ids = ids_of(key)
    if len(ids) == 2 and not hubs:
        return (pair(*ids),)
    return combinations(sorted((id for id in ids if id not in hubs), key=text_order), 2)


def _newest(seen: list[tuple[int, int]], as_of: int | None) -> int | None:
    """The newest time of (time, received) pairs by what was received up to `as_of`."""
    if as_of is None:
        return seen[-1][0] if seen else None
    return max((time for time, received in seen if received <= as_of), default=None)


def _vetoes(fragments: list[Fragment], observed: Mapping[Pair, int], as_of: int | None) -> set[Pair]:
    """Vetoes newer than the last observation of both identifiers on one touchpoint."""
    vetoes = set()
    for fragment in fragments:
        for key, seen in fragment.vetoes.items():
            two, time = pair(*ids_of(key)), _newest(seen, as_of)
            if time is not None and time > observed.get(two, LONG_AGO):
                vetoes.add(two)
    return vetoes


def _forbidden_by_policy(edges: Iterable[Pair], registry: Registry) -> set[Pair]:
    apart = partners(registry)
    if not apart:
        return set()
    ends = {end for two in edges for end in two}
    return {pair(a, b) for a in ends for b in apart.get(a, ()) if b in ends}


@lru_cache(maxsize=8)
def partners(registry: Registry) -> dict[Id, set[Id]]:
    """Who must not be with whom by the policy."""
    found: dict[Id, set[Id]] = {}
    for raw in registry.policy.identity.forbidden:
        a, b = (registry.identify(type, value).id for type, value in raw)
        if a and b:
            found.setdefault(a, set()).add(b)
            found.setdefault(b, set()).add(a)
    return found


def solve(
    vertices: Collection[Id], edges: Mapping[Pair, int], registry: Registry, forbidden: Collection[Pair] = ()
) -> Solution:
    """The persons of `vertices`. `edges`: pair -> newest time in microseconds. Both by the rules of `edges_of`."""
    limits, foes = limits_of(registry), foes_of(forbidden)
    persons: list[list[Id]] = []
    troubled: set[Id] = set()
    oversize: set[Id] = set()
    for component in connected(vertices, edges):
        if len(component) > registry.policy.identity.component_max:
            oversize.update(component)
            persons.extend([id] for id in component)
        elif breaks_a_rule(component, limits, foes):
            troubled.update(component)
        else:
            persons.append(component)
    strength = {id: (registry.rank(id), text_order(id)) for id in vertices}
    skipped: list[Skipped] = []
    if troubled:
        keys = sorted(key_of(two, time, strength) for two, time in edges.items() if two[0] in troubled)
        groups, refused = one_by_one({id: limits.load(id) for id in troubled}, keys, limits, foes)
        persons.extend(groups)
        skipped = [Skipped(key[5], key[6], -key[1], limits.reasons(over, hostile)) for key, over, hostile in refused]
    for person in persons:
        person.sort(key=strength.__getitem__)
    persons.sort(key=lambda person: strength[person[0]])
    return Solution([tuple(person) for person in persons], skipped, frozenset(oversize))


def connected(vertices: Iterable[Id], edges: Iterable[Pair]) -> list[list[Id]]:
    """What hangs together by any edge. Union-find by relabelling the smaller side: a group is one shared list."""
    group_of = {id: [id] for id in vertices}
    for a, b in edges:
        small, large = group_of[a], group_of[b]
        if small is large:
            continue
        if len(small) > len(large):
            small, large = large, small
        large.extend(small)
        for id in small:
            group_of[id] = large
    return [group for id, group in group_of.items() if group[0] == id]


def key_of(two: Pair, time: int, strength: Mapping[Id, tuple[int, str]]) -> Key:
    """strength: rank and text of an identifier."""
    a, b = two
    (rank_a, text_a), (rank_b, text_b) = strength[a], strength[b]
    return rank_a if rank_a > rank_b else rank_b, -time, rank_a + rank_b, text_a, text_b, a, b


class Limits:
    """How much of what a person may hold, as one integer with a field per limit.

    The load of an identifier has a 1 in each field that counts it; loads add up. A load plus `slack` has the top bit of
    a field set exactly when the field is above its limit, so that one addition checks all limits."""

    def __init__(self, registry: Registry) -> None:
        identity = registry.policy.identity
        fields = [(identity.person_max, "person_max", "")]
        fields += [(1, f"unique:{type}", type) for type in identity.unique]
        fields += [(limit, f"limit:{type}", type) for type, limit in identity.limits.items()]
        self._type = registry.type
        self._loads: dict[str, int] = {}
        self._names: list[tuple[int, str]] = []
        self._told: dict[tuple[int, bool], tuple[str, ...]] = {}
        self.slack = self.tops = 0
        for n, (limit, reason, type) in enumerate(fields):
            one, top = 1 << n * FIELD_BITS, 1 << (n + 1) * FIELD_BITS - 1
            self._names.append((top, reason))
            self.tops |= top
            self.slack += top - one * (limit + 1)
            if type:
                self._loads[type] = self._loads.get(type, 1) + one

    def load(self, id: Id) -> int:
        return self._loads.get(self._type(id), 1)

    def reasons(self, over: int, forbidden: bool) -> tuple[str, ...]:
        """Names of the fields in `over`; kept, as a crowded component asks for the same ones again and again."""
        reasons = self._told.get((over, forbidden))
        if reasons is None:
            named = [name for top, name in self._names if over & top]
            reasons = self._told[over, forbidden] = tuple(sorted(named + ["forbidden"] * forbidden))
        return reasons


@lru_cache(maxsize=8)
def limits_of(registry: Registry) -> Limits:
    return Limits(registry)


def foes_of(forbidden: Collection[Pair]) -> dict[Id, list[Id]]:
    foes: dict[Id, list[Id]] = {}
    for a, b in forbidden:
        foes.setdefault(a, []).append(b)
        foes.setdefault(b, []).append(a)
    return foes


def breaks_a_rule(component: list[Id], limits: Limits, foes: Mapping[Id, list[Id]]) -> bool:
    if len(component) == 1:
        return False
    if (sum(map(limits.load, component)) + limits.slack) & limits.tops:
        return True
    ids = set(component) if foes else ()
    return any(foe in ids for id in ids for foe in foes.get(id, ()))


def one_by_one(
    loads: Mapping[Id, int], keys: Iterable[Key], limits: Limits, foes: Mapping[Id, Collection[Id]]
) -> tuple[list[list[Id]], list[Refused]]:
    """The groups that edges in the order of the rule make of identifiers with their loads, and the edges that were not
    used. A group in the making is the one list of all its identifiers, `load_of` has its load by the first of them."""
    load_of = dict(loads)
    group_of = {id: [id] for id in load_of}
    slack, tops = limits.slack, limits.tops
    refused: list[Refused] = []
    for key in keys:
        small, large = group_of[key[5]], group_of[key[6]]
        if small is large:
            continue
        joined = load_of[small[0]] + load_of[large[0]]
        over = (joined + slack) & tops
        hostile = bool(foes) and _hostile(small, large, group_of, foes)
        if over or hostile:
            refused.append((key, over, hostile))
            continue
        if len(small) > len(large):
            small, large = large, small
        load_of[large[0]] = joined
        large += small
        for id in small:
            group_of[id] = large
    return [group for id, group in group_of.items() if group[0] == id], refused


def _hostile(
    one: list[Id], other: list[Id], group_of: Mapping[Id, list[Id]], foes: Mapping[Id, Collection[Id]]
) -> bool:
    """Whether an identifier of the one must not be with one of the other."""
    small, large = (one, other) if len(one) <= len(other) else (other, one)
    return any(group_of.get(foe) is large for id in small for foe in foes.get(id, ()))
