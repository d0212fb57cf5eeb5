"""Since when two fragments are known to belong to one person: by what was received, not by when it happened."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipeline.core.facts.sightings import first_received
from pipeline.core.fragment import Fragment, ids_of
from pipeline.core.solve import hubs_of
from pipeline.core.touchpoint import Id


def connected_since(fragments: Sequence[Fragment], a: Id, b: Id, as_of: int | None) -> int:
    """The smallest received time up to which the identifier sets received connect `a` and `b`; 0 if they are one, or
    if no sets of these fragments connect them. Sets with an identifier known to be shared at `as_of` connect only the
    others."""
    if a == b:
        return 0
    parent: dict[Id, Id] = {}

    def find(id: Id) -> Id:
        while (up := parent.get(id, id)) != id:
            parent[id] = id = parent.get(up, up)
        return id

    for received, ids in sorted(_sets(fragments, as_of)):
        first = find(ids[0])
        for id in ids[1:]:
            parent[find(id)] = first
        if find(a) == find(b):
            return received
    return 0


def _sets(fragments: Sequence[Fragment], as_of: int | None) -> Iterable[tuple[int, list[Id]]]:
    hubs = hubs_of(fragments, as_of)
    for fragment in fragments:
        if fragment.id in hubs:
            continue
        for key, sighting in fragment.sets.items():
            received = first_received(sighting)
            if as_of is None or received <= as_of:
                yield received, [id for id in ids_of(key) if id not in hubs]
