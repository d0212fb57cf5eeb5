"""`selvedge export-person` and `selvedge erase --dry-run`: what is held about a person, and what an erasure would take.

Only looks. What dead letters and the log of raw touchpoints hold is not in it: these end with their topics' retention.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from pipeline.core.access import held_about
from pipeline.core.fragment import Fragment
from pipeline.core.group import Group
from pipeline.core.grouping import PersonIds, grouping
from pipeline.core.identifiers import Registry
from pipeline.core.privacy import to_suppress, touchpoints_in
from pipeline.core.seat import Seat
from pipeline.shards import known, root_of


class Held(NamedTuple):
    """A person as the shards have it. cluster: the fragments that may belong together with it."""

    group: PersonIds
    cluster: list[Fragment]
    seats: list[Seat]

    @property
    def fragments(self) -> list[Fragment]:
        return [fragment for fragment in self.cluster if fragment.id in self.group.anchors]


def held(group: Group, registry: Registry, text: str) -> Held:
    """The person of an identifier given as `type:value`. Raises UnknownIdentifier."""
    name = known(group, registry, text)
    root = root_of(group, name)
    shard = group.home(root)
    members = shard.roots.clusters[root]
    cluster = [fragment for member in members if (fragment := shard.fragment(member)) is not None]
    person = grouping(members, shard.fragment, registry).group_of.get(name)
    person = person or PersonIds((name,), (), name, False, False, 0)
    return Held(person, cluster, [shard.roots.seat(member) for member in person.ids])


def export(person: Held, registry: Registry, now: int) -> dict[str, Any]:
    """Everything that is held, ready for JSON. now: microseconds."""
    return held_about(registry, person.group, person.fragments, person.seats, now)


def preview(person: Held, registry: Registry) -> Iterable[str]:
    """What an erasure would take, a line each."""
    suppressed = set(to_suppress(person.group, person.cluster, registry))
    yield f"profile {registry.profile_id(person.group.owner)}, {len(person.group.ids)} identifiers:"
    for name in person.group.ids:
        fate = "removed, and refused from then on" if name in suppressed else "removed, but not refused: others use it"
        yield f"  {name}: {fate}"
    live = {told.trigger_id for seat in person.seats for told in seat.told.values() if told.live}
    documents = sum(bool(seat.target) for seat in person.seats)
    yield f"{sum(map(touchpoints_in, person.fragments)):,} touchpoints are forgotten"
    yield f"{documents:,} profile documents and redirects and {len(live):,} live triggers are withdrawn"
