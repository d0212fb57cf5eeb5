"""How a cluster falls into persons: hubs aside, solved, each with the profile id of its oldest anchor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from pipeline.core.fragment import Fragment, ids_of
from pipeline.core.identifiers import Registry
from pipeline.core.solve import Skipped, edges_of, hubs_of, solve, text_order
from pipeline.core.touchpoint import Id


class PersonIds(msgspec.Struct, frozen=True, gc=False):
    """ids: strongest first. anchors: those that have a fragment, by text. owner: the identifier that the profile id is
    made from. conflicts: skipped edges at ids."""

    ids: tuple[Id, ...]
    anchors: tuple[Id, ...]
    owner: Id
    shared: bool
    oversize: bool
    conflicts: int


class Grouping(msgspec.Struct, gc=False):
    """The persons of a cluster. since: first time each identifier was seen; of a hub, only as an anchor.
    settled: nothing was skipped or forbidden, so that new times of known edges change nothing."""

    groups: list[PersonIds]
    group_of: dict[Id, PersonIds]
    since: dict[Id, int]
    settled: bool

    def owner(self, profile_id: str, registry: Registry) -> Id | None:
        """The identifier that the profile of a person is made from; None: nobody here has that profile."""
        return next((group.owner for group in self.groups if registry.profile_id(group.owner) == profile_id), None)


def grouping(
    members: Iterable[Id],
    fragment_of: Callable[[Id], Fragment | None],
    registry: Registry,
    as_of: int | None = None,
) -> Grouping:
    """The persons of a cluster by what was received up to `as_of` (None: all). Edges to identifiers that are not
    members wait."""
    fragments = [fragment for name in members if (fragment := fragment_of(name)) is not None]
    hubs = hubs_of(fragments, as_of)
    since = _since(fragments, hubs, as_of)
    vertices = [name for name in members if name in since or name in hubs]
    edges, forbidden = edges_of(fragments, registry, as_of)
    known = set(vertices)
    present = {two: time for two, time in edges.items() if two[0] in known and two[1] in known}
    solution = solve(vertices, present, registry, forbidden)
    conflicts = _conflicts(solution.skipped)
    born = {fragment.id: fragment.born for fragment in fragments if fragment.born}
    with_fragment = {fragment.id for fragment in fragments}
    groups = [
        PersonIds(
            ids,
            tuple(sorted(with_fragment.intersection(ids))),
            owner_of(ids, born, since),
            len(ids) == 1 and ids[0] in hubs,
            ids[0] in solution.oversize,
            sum(conflicts.get(name, 0) for name in ids),
        )
        for ids in solution.persons
    ]
    settled = not solution.skipped and not forbidden and not solution.oversize
    return Grouping(groups, {name: group for group in groups for name in group.ids}, since, settled)


def _since(fragments: Iterable[Fragment], hubs: set[Id], as_of: int | None) -> dict[Id, int]:
    """When identifiers were first seen: hubs as anchors only; those seen with a hub as anchor by what it told them."""
    since: dict[Id, int] = {}
    for fragment in fragments:
        anchor = fragment.id
        alone = anchor in hubs
        if fragment.met is not None and not alone:
            _lower(since, anchor, fragment.met)
        for key, sighting in fragment.sets.items():
            if as_of is not None and all(received > as_of for _, received in sighting.seen):
                continue
            for name in (anchor,) if alone else ids_of(key):
                if name == anchor or name not in hubs:
                    _lower(since, name, sighting.first)
        for name, seen in fragment.rest.items():
            if name == anchor or not (alone or name in hubs):
                _lower(since, name, seen.first)
    return since


def _lower(times: dict[Id, int], name: Id, time: int) -> None:
    if time < times.get(name, time + 1):
        times[name] = time


def owner_of(ids: tuple[Id, ...], born: Mapping[Id, int], since: Mapping[Id, int]) -> Id:
    """The identifier that the profile id is made from: the oldest anchor. born: of those that ever were one."""
    anchors = [(born[name], text_order(name), name) for name in ids if name in born]
    if anchors:
        return min(anchors)[2]
    return min((since.get(name, 0), text_order(name), name) for name in ids)[2]


def _conflicts(skipped: Iterable[Skipped]) -> dict[Id, int]:
    conflicts: dict[Id, int] = {}
    for edge in skipped:
        for name in (edge.a, edge.b):
            conflicts[name] = conflicts.get(name, 0) + 1
    return conflicts
