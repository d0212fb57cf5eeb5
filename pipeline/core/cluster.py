"""What a root keeps at hand of a large cluster, so that an epoch costs what it touches and solving decodes nothing.

A changed fragment is compared with what it said before; only edges that differ are put into their components, and only
components that changed are solved. The result is the one of `grouping`, which looks at all fragments: what is here is
made from them and can be made again. A component's edges are kept in the order of the rule.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import combinations
from operator import itemgetter
from sys import intern
from typing import TypeVar

from pipeline.core.fragment import Fragment, ids_of
from pipeline.core.grouping import PersonIds, owner_of
from pipeline.core.identifiers import Registry
from pipeline.core.solve import (
    LONG_AGO,
    Key,
    Pair,
    connected,
    key_of,
    limits_of,
    one_by_one,
    pair,
    partners,
    text_order,
)
from pipeline.core.timers import Timers
from pipeline.core.touchpoint import Id

_ONE_END, _OTHER_END = itemgetter(5), itemgetter(6)
"""Of a Key."""

K = TypeVar("K")


class Part:
    """What one fragment says of who is one person. hubs: identifiers that it knows to be shared, since when. first:
    when each identifier was first seen with the anchor. edges: without those at hubs; lifts: observations, vetoes: with
    the newest time."""

    __slots__ = ("born", "edges", "first", "hubs", "lifts", "met", "vetoes")

    def __init__(self) -> None:
        self.born = 0
        self.met: int | None = None
        self.hubs: dict[Id, int] = {}
        self.first: dict[Id, int] = {}
        self.edges: dict[Pair, int] = {}
        self.lifts: dict[Pair, int] = {}
        self.vetoes: dict[Pair, int] = {}


NOTHING = Part()


def part_of(fragment: Fragment, hubs: Collection[Id]) -> Part:
    """hubs: all that the cluster knows."""
    part = Part()
    part.born, part.met = fragment.born, fragment.met
    part.hubs = {_same(id): since for id, since in fragment.shared.items()}
    if fragment.hub:
        part.hubs[_same(fragment.id)] = fragment.hub
    first = part.first
    for name, seen in fragment.rest.items():
        first[_same(name)] = seen.first
    for key, sighting in fragment.sets.items():
        ids = [_same(id) for id in ids_of(key)]
        for id in ids:
            if sighting.first < first.get(id, sighting.first + 1):
                first[id] = sighting.first
        if len(ids) > 1 and fragment.id not in hubs:
            _pairs(part, ids, hubs, sighting.seen, sighting.observed)
    for key, seen_apart in fragment.vetoes.items():
        if seen_apart:
            part.vetoes[pair(*map(_same, ids_of(key)))] = seen_apart[-1][0]
    return part


def _pairs(
    part: Part, ids: list[Id], hubs: Collection[Id], seen: list[tuple[int, int]], observed: list[tuple[int, int]]
) -> None:
    edges, lifts = part.edges, part.lifts
    for a, b in combinations([id for id in ids if id not in hubs], 2):
        two = pair(a, b)
        if seen and seen[-1][0] > edges.get(two, LONG_AGO):
            edges[two] = seen[-1][0]
        if observed and observed[-1][0] > lifts.get(two, LONG_AGO):
            lifts[two] = observed[-1][0]


def _same(id: Id) -> Id:
    """One text for all places where an identifier is kept."""
    return Id(intern(id))


class Component:
    """Identifiers that hang together, with their loads. order: its edges in the order of the rule; fresh: edges still
    to be put there. loose: an edge went, it may have come apart. settled: no rule is broken by it as a whole. joined:
    identifiers that came since it was solved; it was oversize then."""

    __slots__ = ("fresh", "joined", "load", "loads", "loose", "order", "oversize", "settled")

    def __init__(self, id: Id, load: int) -> None:
        self.loads = {id: load}
        self.load = load
        self.order: list[Key] = []
        self.fresh: list[Key] = []
        self.joined = [id]
        self.loose = self.oversize = False
        self.settled = True


class Cluster:
    """`fragment_of` reads the shard. `group_of`, `since`: as in a Grouping. `times`: when seats are due; `holds`: up to
    when facts must be read for it. Nothing depends on the order of its sets."""

    def __init__(self, fragment_of: Callable[[Id], Fragment | None], registry: Registry) -> None:
        self._fragment_of, self._registry = fragment_of, registry
        self._limits = limits_of(registry)
        self._component_max = registry.policy.identity.component_max
        self.group_of: dict[Id, PersonIds] = {}
        self.since: dict[Id, int] = {}
        self.times, self.holds = Timers(), Timers()
        self.unread: set[Id] = set()
        """Members whose fragments changed since they were last read."""
        self._owners: dict[str, Id] = {}
        self._members: set[Id] = set()
        self._parts: dict[Id, Part] = {}
        self._met_by: dict[Id, set[Id]] = {}
        """Identifier -> anchors whose fragments mention it."""
        self._hubs: dict[Id, list[int]] = {}
        """Shared identifier -> how many fragments know, and since when it is."""
        self._strength: dict[Id, tuple[int, str]] = {}
        self._edges: dict[Pair, int] = {}
        self._vetoed: dict[Pair, int] = {}
        self._component_of: dict[Id, Component] = {}
        self._dirty: dict[Component, None] = {}
        self._pairs: set[Pair] = set()
        """Pairs whose evidence changed."""
        self._aged: set[Id] = set()
        """Identifiers of which it may have changed when they were first seen."""
        self._altered: set[Id] = set()
        """Identifiers whose persons are to be described anew."""

    def __len__(self) -> int:
        return len(self._members)

    def groups(self) -> Iterator[PersonIds]:
        return (group for name, group in self.group_of.items() if group.ids[0] == name)

    def owner(self, profile_id: str, registry: Registry) -> Id | None:
        """The identifier that the profile of a person is made from; None: nobody here has that profile."""
        return self._owners.get(profile_id)

    def heard(self, name: Id) -> bool:
        """Whether its fragment said that anything was seen."""
        return bool(self._parts.get(name, NOTHING).first)

    def settled(self, name: Id) -> bool:
        """Whether new times of known edges change nothing for an identifier."""
        component = self._component_of.get(name)
        return component is None or component.settled

    def companions(self, name: Id) -> list[Id]:
        """The identifiers of its component."""
        component = self._component_of.get(name)
        return [name] if component is None else list(component.loads)

    def around(self, name: Id, since: int) -> list[Id]:
        """The identifiers that may have been in its component at any time after `since`: hubs joined until they were
        found to be some."""
        found: dict[Id, None] = {}
        waiting = [name]
        while waiting:
            id = waiting.pop()
            if id in found:
                continue
            found[id] = None
            waiting += self.companions(id)
            part = self._parts.get(id, NOTHING)
            met_by = self._met_by.get(id, ())
            if self._young(id, since):
                waiting += met_by
                waiting += part.first
            waiting += [hub for hub in (*part.hubs, *met_by) if self._young(hub, since)]
        return [id for id in found if id in self._component_of]

    def _young(self, id: Id, since: int) -> bool:
        hub = self._hubs.get(id)
        return hub is not None and hub[1] > since

    def change(self, names: Iterable[Id]) -> tuple[list[PersonIds], list[Id]]:
        """Takes in new members and changed fragments. Returns the persons that differ from those before, strongest
        first, and the identifiers of which it may have changed whether they are settled."""
        stale = {*names, *self.unread}
        self.unread.clear()
        self._aged.update(stale - self._members)
        self._members.update(stale)
        while stale:
            found = {hub for name in stale for hub in self._read(name)}
            stale = {anchor for hub in found for anchor in (*self._met_by.get(hub, ()), hub) if anchor in self._parts}
            for hub in found:
                self._aged.update(self._parts.get(hub, NOTHING).first, (hub,))
        for name in self._aged:
            self._date(name)
        self._aged.clear()
        self._connect()
        return self._solve()

    def in_order(self, groups: Iterable[PersonIds]) -> list[PersonIds]:
        """Persons by their strongest identifiers."""
        return sorted(groups, key=lambda group: self._strength[group.ids[0]])

    # -- facts -------------------------------------------------------------------------------------------------------

    def _read(self, anchor: Id) -> set[Id]:
        """Compares a fragment with what it said before. Returns identifiers that are shared only now, or no more."""
        fragment = self._fragment_of(anchor)
        old = self._parts.get(anchor, NOTHING)
        new = NOTHING if fragment is None else part_of(fragment, self._hubs)
        found = self._count_hubs(old.hubs, new.hubs)
        if fragment is None:
            self._parts.pop(anchor, None)
        else:
            self._parts[_same(anchor)] = new
        if (old is NOTHING) != (fragment is None) or old.born != new.born:
            self._altered.add(anchor)
            self._aged.add(anchor)
        if old.met != new.met:
            self._aged.add(anchor)
        for id in _different(old.first, new.first):
            self._aged.add(id)
            if id in new.first:
                self._met_by.setdefault(id, set()).add(anchor)
            else:
                self._met_by[id].discard(anchor)
        for before, after in ((old.edges, new.edges), (old.lifts, new.lifts), (old.vetoes, new.vetoes)):
            self._pairs.update(_different(before, after))
        return found

    def _count_hubs(self, old: Mapping[Id, int], new: Mapping[Id, int]) -> set[Id]:
        found = set()
        for id, since in new.items():
            known = self._hubs.get(id)
            if known is None:
                known = self._hubs[id] = [0, since]
                found.add(id)
            known[0] += id not in old
            known[1] = min(known[1], since)
        for id in old.keys() - new.keys():
            self._hubs[id][0] -= 1
            if not self._hubs[id][0]:
                del self._hubs[id]
                found.add(id)
        return found

    def _date(self, name: Id) -> None:
        """When an identifier was first seen, and with that whether it is one of the persons' identifiers."""
        anchors: Iterable[Id] = self._met_by.get(name, ())
        own = self._parts.get(name, NOTHING)
        times = []
        if name in self._hubs:
            anchors = (name,) if name in own.first else ()
        elif own.met is not None:
            times.append(own.met)
        times += [self._parts[a].first[name] for a in anchors if a == name or a not in self._hubs]
        since = min(times, default=None)
        if since != self.since.get(name):
            self._altered.add(name)
            if since is None:
                del self.since[name]
            else:
                self.since[name] = since
        self._stand(name, name in self._members and (since is not None or name in self._hubs))

    def _stand(self, name: Id, present: bool) -> None:
        if present == (name in self._component_of):
            if present:
                self._dirty[self._component_of[name]] = None
            return
        for anchor in self._met_by.get(name, ()):
            self._pairs.update(two for two in self._parts[anchor].edges if name in two)
        if present:
            self._strength[name] = self._registry.rank(name), text_order(name)
            self._component_of[name] = component = Component(name, self._limits.load(name))
            self._dirty[component] = None
        else:
            component = self._component_of[name]
            component.loose = True
            self._dirty[component] = None
            self._altered.add(name)

    # -- edges -------------------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        """Puts changed edges in their places. What goes is taken out first, while the orders are in order."""
        added = []
        for two in self._pairs:
            self._look_apart(two)
            time = self._newest(two)
            if not all(self._stands(id) for id in two):
                time = None
            known = self._edges.get(two)
            if time == known:
                continue
            if known is not None:
                component = self._component_of[two[0]]
                del component.order[bisect_left(component.order, key_of(two, known, self._strength))]
                component.loose |= time is None
                self._dirty[component] = None
            if time is None:
                del self._edges[two]
            else:
                self._edges[two] = time
                added.append((two, time))
        self._pairs.clear()
        for two, time in added:
            self._join(*two).fresh.append(key_of(two, time, self._strength))

    def _stands(self, id: Id) -> bool:
        return id in self._component_of and id in self._members and (id in self.since or id in self._hubs)

    def _sayings(self, two: Pair) -> Iterator[Part]:
        """What fragments that mention both say."""
        few, many = sorted((self._met_by.get(id, set()) for id in two), key=len)
        return (self._parts[anchor] for anchor in few if anchor in many)

    def _newest(self, two: Pair) -> int | None:
        return max((time for part in self._sayings(two) if (time := part.edges.get(two)) is not None), default=None)

    def _look_apart(self, two: Pair) -> None:
        """Whether the newest veto is newer than the last observation of both."""
        vetoes = [part.vetoes[two] for id in two if (part := self._parts.get(id)) and two in part.vetoes]
        if not vetoes and two not in self._vetoed:
            return
        lifted = max((part.lifts.get(two, LONG_AGO) for part in self._sayings(two)), default=LONG_AGO)
        time = max(vetoes, default=None)
        if time is not None and time > lifted:
            self._vetoed[two] = time
        else:
            self._vetoed.pop(two, None)
        for id in two:
            if id in self._component_of:
                self._dirty[self._component_of[id]] = None

    def _join(self, a: Id, b: Id) -> Component:
        small, large = self._component_of[a], self._component_of[b]
        self._dirty[large] = None
        if small is large:
            return large
        if len(small.loads) > len(large.loads):
            small, large = large, small
        large.loads |= small.loads
        large.joined += small.loads
        large.load += small.load
        large.loose |= small.loose
        large.fresh += small.order
        large.fresh += small.fresh
        for id in small.loads:
            self._component_of[id] = large
        self._dirty.pop(small, None)
        self._dirty[large] = None
        return large

    # -- persons -----------------------------------------------------------------------------------------------------

    def _solve(self) -> tuple[list[PersonIds], list[Id]]:
        changed: list[PersonIds] = []
        turned: list[Id] = []
        foes = self._foes()
        for component in [part for dirty in list(self._dirty) for part in self._parts_of(dirty)]:
            was_settled = component.settled
            changed += self._persons(component, foes)
            turned += component.joined if component.settled == was_settled else component.loads
            component.joined.clear()
        self._dirty.clear()
        self._altered.clear()
        return self.in_order(changed), turned

    def _parts_of(self, component: Component) -> list[Component]:
        """What a component has come apart into."""
        if component.fresh:
            component.order += component.fresh
            component.order.sort()
            component.fresh.clear()
        if not component.loose:
            return [component]
        for name in component.loads:
            if not self._stands(name):
                del self._component_of[name]
                self._forget(name)
        loads = {name: load for name, load in component.loads.items() if name in self._component_of}
        found = []
        for ids in connected(loads, [key[5:] for key in component.order]):
            one = Component(ids[0], 0)
            one.loads = {id: loads[id] for id in ids}
            one.load, one.joined = sum(one.loads.values()), ids
            self._component_of.update(dict.fromkeys(ids, one))
            found.append(one)
        for key in component.order:
            self._component_of[key[5]].order.append(key)
        return found

    def _forget(self, name: Id) -> None:
        group = self.group_of.pop(name, None)
        if group is not None and self._owners.get(profile_id := self._registry.profile_id(group.owner)) == name:
            del self._owners[profile_id]

    def _foes(self) -> dict[Id, set[Id]]:
        foes = dict(partners(self._registry))
        for a, b in self._vetoed:
            foes[a] = foes.get(a, set()) | {b}
            foes[b] = foes.get(b, set()) | {a}
        return foes

    def _persons(self, component: Component, foes: Mapping[Id, Collection[Id]]) -> Iterator[PersonIds]:
        """The persons of a component that are not as before."""
        persons, conflicts = self._split(component, foes)
        oversize, group_of = component.oversize, self.group_of
        for person in persons:
            refused = sum([conflicts[name] for name in person]) if conflicts else 0
            before = group_of.get(person[0])
            if (
                before is None
                or len(before.ids) != len(person)
                or before.conflicts != refused
                or before.oversize != oversize
                or before.shared != (len(person) == 1 and person[0] in self._hubs)
                or any(group_of.get(name) is not before for name in person)
                or not self._altered.isdisjoint(person)
            ):
                yield self._person(person, oversize, refused)

    def _split(self, component: Component, foes: Mapping[Id, Collection[Id]]) -> tuple[Iterable[list[Id]], Counter[Id]]:
        """How a component falls into persons; of one that stays oversize only those who joined or may be others. With
        the number of skipped edges at identifiers."""
        loads, limits = component.loads, self._limits
        was_oversize, component.oversize = component.oversize, len(loads) > self._component_max
        if component.oversize:
            component.settled = False
            names = [*component.joined, *(loads.keys() & self._altered)] if was_oversize else loads
            return [[id] for id in dict.fromkeys(names)], Counter()
        enmity = bool(foes) and len(loads) > 1 and self._hostile(component, foes)
        component.settled = not enmity
        if len(loads) == 1 or not (enmity or (component.load + limits.slack) & limits.tops):
            return [list(loads)], Counter()
        persons, refused = one_by_one(loads, component.order, limits, foes if enmity else {})
        component.settled &= not refused
        skipped = [key for key, _, _ in refused]
        conflicts = Counter(map(_ONE_END, skipped))
        conflicts.update(map(_OTHER_END, skipped))
        return persons, conflicts

    def _hostile(self, component: Component, foes: Mapping[Id, Collection[Id]]) -> bool:
        of = self._component_of.get
        return any(of(foe) is component for id in component.loads.keys() & foes.keys() for foe in foes[id])

    def _person(self, names: list[Id], oversize: bool, refused: int) -> PersonIds:
        ids = tuple(sorted(names, key=self._strength.__getitem__))
        anchors = tuple(sorted(name for name in ids if name in self._parts))
        born = {name: part.born for name in anchors if (part := self._parts[name]).born}
        shared = len(ids) == 1 and ids[0] in self._hubs
        group = PersonIds(ids, anchors, owner_of(ids, born, self.since), shared, oversize, refused)
        for name in ids:
            self._forget(name)
        for name in ids:
            self.group_of[name] = group
        self._owners[self._registry.profile_id(group.owner)] = group.owner
        return group


def _different(old: Mapping[K, int], new: Mapping[K, int]) -> list[K]:
    """Keys that are not in both with the same value."""
    return [key for key in old.keys() | new.keys() if old.get(key) != new.get(key)]
