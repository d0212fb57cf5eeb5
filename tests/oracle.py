"""The oracle: who is one person and what is known of each, from all touchpoints at once, in the plainest way.

It shares no code with the core: it knows nothing of fragments, shards or messages, keeps no state, and looks at every
edge again for every question. `profile_id` is the registry's, as it only hashes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import combinations

import networkx as nx

from pipeline.core.identifiers import Registry
from pipeline.core.touchpoint import Id, Touchpoint

NOT_LINKING = ("identity.unlinked", "privacy.erasure_requested", "privacy.access_requested")


@dataclass
class Person:
    ids: frozenset[Id]
    profile_id: str
    shared: bool
    touchpoints: int = 0
    first_seen: int | None = None
    orders: dict[str, Decimal] = field(default_factory=dict)


@dataclass
class Answer:
    persons: list[Person]
    skipped: dict[frozenset[Id], tuple[str, ...]]
    hubs: set[Id]
    since: dict[Id, int]
    """First time each identifier was seen; of a hub, as an anchor."""

    def groups(self) -> set[frozenset[Id]]:
        return {person.ids for person in self.persons}

    def conflicts(self, person: Person) -> int:
        return sum(1 for edge in self.skipped if edge & person.ids)

    def profile_ids(self) -> dict[Id, str]:
        return {id: person.profile_id for person in self.persons for id in person.ids}


def answer(touchpoints: Iterable[Touchpoint], registry: Registry) -> Answer:
    once = list({(tp.id, tp.source, tp.ids[0]): tp for tp in touchpoints if tp.ids}.values())
    linking = [tp for tp in once if tp.type not in NOT_LINKING]
    hubs = _hubs(linking, registry)
    newest = _edges(linking, hubs)
    for component in list(nx.connected_components(nx.Graph(map(tuple, newest)))):
        if len(component) > registry.policy.identity.component_max:
            newest = {edge: time for edge, time in newest.items() if not edge <= component}
    apart = _vetoes(once, hubs) | _of_policy(registry)
    graph = nx.Graph()
    graph.add_nodes_from(id for tp in linking for id in tp.ids)
    skipped = {}
    for edge in sorted(newest, key=lambda edge: _urgency(edge, newest[edge], registry)):
        ours, theirs = (nx.node_connected_component(graph, end) for end in edge)
        reasons = () if ours == theirs else _broken(ours | theirs, apart, registry)
        if reasons:
            skipped[edge] = reasons
        else:
            graph.add_edge(*edge)
    persons = [_person(frozenset(ids), linking, hubs, registry) for ids in nx.connected_components(graph)]
    since = {}
    for tp in sorted(linking, key=lambda tp: tp.time, reverse=True):
        since.update({id: tp.time for id in tp.ids if id not in hubs or id == tp.ids[0]})
    return Answer(persons, skipped, hubs, since)


def _text(id: Id) -> tuple[str, str]:
    type, _, value = id.partition(":")
    return type, value


def _rank(id: Id, registry: Registry) -> int:
    order = registry.policy.identity.order
    type, _ = _text(id)
    return order.index(type) if type in order else len(order)


def _hubs(touchpoints: list[Touchpoint], registry: Registry) -> set[Id]:
    identity = registry.policy.identity
    anchors, weaker = defaultdict(set), defaultdict(set)
    for tp in touchpoints:
        for id in tp.ids[1:]:
            anchors[id].add(tp.ids[0])
            weaker[tp.ids[0]].add(id)
    by_degree = {id for id, seen in anchors.items() if len(seen) > identity.degree_of(_text(id)[0])}
    return by_degree | {id for id, seen in weaker.items() if len(seen) > identity.hub_fanout}


def _edges(touchpoints: list[Touchpoint], hubs: set[Id]) -> dict[frozenset[Id], int]:
    newest: dict[frozenset[Id], int] = {}
    for tp in touchpoints:
        for two in combinations([] if tp.ids[0] in hubs else tp.ids, 2):
            if not hubs.intersection(two):
                newest[frozenset(two)] = max(tp.time, newest.get(frozenset(two), tp.time))
    return newest


def _vetoes(touchpoints: list[Touchpoint], hubs: set[Id]) -> set[frozenset[Id]]:
    vetoes = {}
    for tp in sorted(touchpoints, key=lambda tp: tp.time):
        if tp.type == "identity.unlinked":
            vetoes[frozenset(tp.ids)] = tp.time
    lifts = [tp for tp in touchpoints if tp.type == "identity.observed" and tp.ids[0] not in hubs]
    return {two for two, time in vetoes.items() if not any(two <= set(tp.ids) and tp.time >= time for tp in lifts)}


def _of_policy(registry: Registry) -> set[frozenset[Id]]:
    pairs = registry.policy.identity.forbidden
    return {frozenset(registry.identify(type, value).id for type, value in two) for two in pairs}


def _urgency(edge: frozenset[Id], time: int, registry: Registry) -> tuple:
    ranks = [_rank(id, registry) for id in edge]
    return max(ranks), -time, sum(ranks), sorted(map(_text, edge))


def _broken(ids: set[Id], apart: set[frozenset[Id]], registry: Registry) -> tuple[str, ...]:
    identity = registry.policy.identity
    count = Counter(_text(id)[0] for id in ids)
    broken = [f"unique:{type}" for type in identity.unique if count[type] > 1]
    broken += [f"limit:{type}" for type, limit in identity.limits.items() if count[type] > limit]
    broken += ["person_max"] * (len(ids) > identity.person_max)
    broken += ["forbidden"] * any(two <= ids for two in apart)
    return tuple(sorted(broken))


def _person(ids: frozenset[Id], touchpoints: list[Touchpoint], hubs: set[Id], registry: Registry) -> Person:
    anchored = [tp for tp in touchpoints if tp.ids[0] in ids]
    births = [(tp.time if tp.client_time is None else tp.received, _text(tp.ids[0]), tp.ids[0]) for tp in anchored]
    seen = [(tp.time, _text(id), id) for tp in touchpoints for id in ids.intersection(tp.ids)]
    person = Person(ids, registry.profile_id(min(births or seen)[2]), bool(ids & hubs), len(anchored))
    person.first_seen = min((tp.time for tp in anchored), default=None)
    for tp in sorted(anchored, key=lambda tp: (tp.time, tp.id), reverse=True):
        if tp.type == "order.placed":
            person.orders[tp.data.order.id] = tp.data.order.total
    return person
