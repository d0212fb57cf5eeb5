"""What a dialect says of one event before the rules: the common form that all foreign dialects are read into.

The readers below take what clients really send: numbers as text, empty text and explicit nulls for nothing, objects
missing. They never guess a value, and refuse what contradicts itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from hashlib import blake2b
from typing import Any, Final

import msgspec

from pipeline.core import times
from pipeline.core.touchpoint import Data, RawIdentifier
from pipeline.dialects.refused import bad_field

Json = Mapping[str, Any]

_PLACES_MAX: Final = 40
_MICROSECONDS: Final = 10**14
_MILLISECONDS: Final = 10**11


class Draft(msgspec.Struct, gc=False, kw_only=True):
    """One event. Times in microseconds, None where unknown: `time` by the client's clock, `sent` by the same clock when
    it left, `arrived` by the clock of who took it in. `id` None: it is made from the content."""

    id: str | None
    channel: str
    type: str
    data: Data
    time: int | None = None
    sent: int | None = None
    arrived: int | None = None


def part(value: Json, name: str) -> Json:
    """A member that is an object; empty if it is none."""
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def parts(value: Any) -> list[Json]:
    """The objects of a list; empty if it is none."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def text(value: Any) -> str | None:
    """Text that is not empty, or a whole number as text."""
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, bool):
        return None
    if isinstance(value, Decimal) and value.adjusted() < _PLACES_MAX and value == value.to_integral_value():
        return str(int(value))
    return str(value) if isinstance(value, int) else None


def first(value: Json, *names: str) -> str | None:
    """The first member that is text."""
    for name in names:
        if name in value and (found := text(value[name])) is not None:
            return found
    return None


def amount(value: Json, *names: str) -> Decimal | None:
    """The first of the members that is there, as a number. Refused if it is none."""
    for name in names:
        found = value.get(name)
        if found is None or found == "":
            continue
        try:
            number = Decimal(found.strip() if isinstance(found, str) else found)
            if isinstance(found, bool) or not number.is_finite() or abs(number.adjusted()) > _PLACES_MAX:
                raise InvalidOperation
            return number
        except (InvalidOperation, TypeError, ValueError, AttributeError):
            raise bad_field(name, "not a number") from None
    return None


def time(value: Json, *names: str) -> int | None:
    """The first of the members that is there, as a time: RFC 3339, or a number of seconds, ms or µs since 1970."""
    for name in names:
        found = value.get(name)
        if found is None or found == "":
            continue
        try:
            return _time(found)
        except (InvalidOperation, OverflowError, TypeError, ValueError):
            raise bad_field(name, "not a time") from None
    return None


def _time(value: Any) -> int:
    if isinstance(value, str) and not value.strip().isdecimal():
        return times.parse(value.strip())
    if isinstance(value, bool):
        raise TypeError
    number = Decimal(value)
    if not 0 <= number < times.LATEST:
        raise ValueError
    if number >= _MICROSECONDS:
        return int(number)
    return int(number * 1_000) if number >= _MILLISECONDS else int(number * 1_000_000)


def identifiers(pairs: Iterable[tuple[str, Any]]) -> list[RawIdentifier]:
    """(type, value) pairs with a value; the value may be text or a number. Each once."""
    found = {(type, said): None for type, value in pairs if (said := _said(value)) is not None}
    return [RawIdentifier(type, value) for type, value in found]


def _said(value: Any) -> str | None:
    """An identifier's value: a truth value is one, and is blocked like its text."""
    return str(value).lower() if isinstance(value, bool) else text(value)


def content_id(*content: Any) -> str:
    """An id made from the content, for events that came without one."""
    return blake2b(msgspec.json.encode(content, order="deterministic"), digest_size=16).hexdigest()
