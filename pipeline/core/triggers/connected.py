"""Since when two fragments are known to belong to one person: by what was received, not by when it happened."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.core.fragment import Fragment, ids_of
from pipeline.core.touchpoint import Id


def connected_since(fragments: Iterable[Fragment], a: Id, b: Id) -> int:
    """The smallest received time up to which the identifier sets received connect `a` and `b`; 0 if they are one, or
    if no sets of these fragments connect them. Sets with a shared identifier connect only the others."""
    if a == b:
        return 0
    parent: dict[Id, Id] = {}

    def find(id: Id) -> Id:
        while (up := parent.get(id, id)) != id:
            parent[id] = id = parent.get(up, up)
        return id

    for received, ids in sorted(_sets(fragments)):
        first = find(ids[0])
        for id in ids[1:]:
            parent[find(id)] = first
        if find(a) == find(b):
            return received
    return 0


def _sets(fragments: Iterable[Fragment]) -> Iterable[tuple[int, list[Id]]]:
    for fragment in fragments:
        if fragment.hub:
            continue
        for key, sighting in fragment.sets.items():
            ids = [id for id in ids_of(key) if id not in fragment.shared]
            yield min(received for _, received in sighting.seen), ids
