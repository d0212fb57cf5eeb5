"""Everything that is held about a person, for that person: the document, the published rows, and the facts as kept.

Ready for JSON: structs become objects with the names of their members, empty members are left out, times are RFC 3339.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from pipeline.core import times
from pipeline.core.fragment import Fragment
from pipeline.core.grouping import PersonIds
from pipeline.core.identifiers import Registry
from pipeline.core.ledger import newest
from pipeline.core.person import Person
from pipeline.core.seat import Seat
from pipeline.core.touchpoint import Id
from pipeline.core.view import view

_INTERNAL: Final = frozenset({"version", "digests", "contents", "record", "root", "wake", "waiting", "claims"})
_TIME_MIN: Final = times.parse("1971-01-01T00:00:00Z")
"""Of whole numbers those from here on, in microseconds, are times: nothing is counted that far."""


def held_about(
    registry: Registry, group: PersonIds, fragments: Sequence[Fragment], seats: Iterable[Seat], now: int
) -> dict[str, Any]:
    """Profile, facts by anchor and triggers told of a person. seats: of its identifiers."""
    seats = list(seats)
    told = newest(one for seat in seats for one in seat.told.values())
    person = Person(
        ids=group.ids,
        fragments=list(fragments),
        profile_id=registry.profile_id(group.owner),
        shared=group.shared,
        oversize=group.oversize,
        conflicts=group.conflicts,
    )
    plain = {name: text for fragment in fragments for name, text in fragment.plain.items()}
    return {
        "profile_id": person.profile_id,
        "identifiers": [_identifier(name, plain.get(name)) for name in group.ids],
        "profile": view(person, now, registry, told).blocks,
        "facts": {fragment.id: readable(fragment) for fragment in fragments},
        "triggers": [readable(one) for one in told.values()],
    }


def readable(value: Any) -> Any:
    """A kept value as JSON that can be read."""
    if isinstance(value, msgspec.Struct):
        members = {name: getattr(value, name) for name in value.__struct_fields__ if name not in _INTERNAL}
        return {name: readable(member) for name, member in members.items() if member not in (None, "", 0, [], {}, ())}
    if isinstance(value, dict):
        return {_key(key): readable(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [readable(member) for member in value]
    if isinstance(value, int) and not isinstance(value, bool) and value >= _TIME_MIN:
        return times.text(value)
    return value


def _key(key: Any) -> str:
    return times.text(key) if isinstance(key, int) and key >= _TIME_MIN else str(key).replace("\n", " ")


def _identifier(name: Id, plain: str | None) -> dict[str, str]:
    type, _, value = name.partition(":")
    return {"type": type, "value": plain if plain is not None else value}
