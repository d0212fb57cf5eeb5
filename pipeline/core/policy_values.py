"""How one value of a policy is read: a reader takes what TOML gave and returns what the core uses, or raises Wrong.

Wrong says why, and what is allowed; where it was (key, line) is added by the caller.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final

import msgspec

from pipeline.core import times
from pipeline.core.normal import TYPE_NAME

Reader = Callable[[Any], Any]

ORDER_MAX: Final = 200
LONGEST: Final = 36_500 * times.DAY
_CLOCK: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Wrong(ValueError):
    """The value is refused: why, and what is allowed. `within`: the keys that lead from the value to what is wrong."""

    def __init__(self, reason: str, allowed: str, within: tuple[str, ...] = ()) -> None:
        super().__init__(reason)
        self.reason, self.allowed, self.within = reason, allowed, within


class Hours(msgspec.Struct, frozen=True):
    """Part of the week: from `start` to `end` (minutes after midnight; past midnight where end <= start) of each day in
    `days`, 0 = Monday, on which it starts."""

    days: tuple[int, ...]
    start: int
    end: int


def _shown(value: Any) -> str:
    return f"{value!r}"[:60] if not isinstance(value, Decimal) else str(value)


def flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Wrong(f"{_shown(value)} is not a truth value", "true or false")
    return value


def whole(least: int) -> Reader:
    """A whole number from `least` on."""

    def read(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise Wrong(f"{_shown(value)} is not such a number", f"a whole number, {least} or more")
        return value

    return read


def decimal(value: Any) -> Decimal:
    """A finite number, also as text ("10.50")."""
    try:
        number = None if isinstance(value, bool) else Decimal(value)
    except (ArithmeticError, TypeError, ValueError):
        number = None
    if number is None or not number.is_finite():
        raise Wrong(f"{_shown(value)} is not a number", 'a number, for example 10 or "10.50"')
    return number


def share(value: Any) -> Decimal:
    """A number from 0 to 1."""
    number = decimal(value)
    if not 0 <= number <= 1:
        raise Wrong(f"{_shown(value)} is no share", "a number from 0 to 1")
    return number


def above_zero(reader: Reader) -> Reader:
    def read(value: Any) -> Any:
        number = reader(value)
        if number <= 0:
            raise Wrong(f"{_shown(value)} is not above 0", "a number above 0")
        return number

    return read


def duration(least: int = 0) -> Reader:
    """`90s`, `60m`, `24h`, `30d` -> microseconds, not shorter than `least`."""
    allowed = 'a whole number and s, m, h or d, for example "90s"'
    if least:
        allowed += f", {times.duration_text(least)} or more"

    def read(value: Any) -> int:
        try:
            length = times.duration(value)
        except (TypeError, ValueError):
            raise Wrong(f"{_shown(value)} is not a duration", allowed) from None
        if length < least:
            raise Wrong(f"{_shown(value)} is too short", allowed)
        if length > LONGEST:
            raise Wrong(f"{_shown(value)} is too long", f"{times.duration_text(LONGEST)} or less")
        return length

    return read


def or_empty(reader: Reader) -> Reader:
    """What `reader` reads, or None for empty text."""

    def read(value: Any) -> Any:
        return None if value == "" else reader(value)

    return read


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise Wrong(f"{_shown(value)} is not text", "text in quotes")
    return value


def type_name(value: Any) -> str:
    """Name of a type of identifier."""
    if not isinstance(value, str) or not TYPE_NAME.fullmatch(value):
        raise Wrong(f"{_shown(value)} is not the name of a type", "1 to 64 characters without spaces and colons")
    if value in ("email_sha256", "phone_sha256"):
        raise Wrong(
            f"{value} is not a type of its own", f"{value.removesuffix('_sha256')}: hash and value are one identifier"
        )
    return value


def one_of(*words: str) -> Reader:
    def read(value: Any) -> str:
        if value not in words:
            raise Wrong(f"{_shown(value)} is not known", ", ".join(words))
        return str(value)

    return read


def matching(pattern: str, allowed: str) -> Reader:
    """Text that fits the pattern."""
    compiled = re.compile(pattern)

    def read(value: Any) -> str:
        if not isinstance(value, str) or not compiled.fullmatch(value):
            raise Wrong(f"{_shown(value)} is not accepted", allowed)
        return value

    return read


currency: Final = matching("[A-Z]{3}", 'an ISO 4217 code, for example "EUR"')


def several(reader: Reader, count: int | None = None, least: int = 0) -> Reader:
    """A list -> tuple of what `reader` reads; of exactly `count`, or at least `least`, values."""

    def read(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise Wrong(f"{_shown(value)} is not a list", "a list in square brackets")
        if count is not None and len(value) != count:
            raise Wrong(f"the list has {len(value)} values", f"exactly {count}")
        if len(value) < least:
            raise Wrong("the list is too short", f"{least} or more values")
        return tuple(reader(one) for one in value)

    return read


def distinct(reader: Reader) -> Reader:
    """Of a list's reader: no value twice."""

    def read(value: Any) -> tuple[Any, ...]:
        found: tuple[Any, ...] = reader(value)
        for index, one in enumerate(found):
            if one in found[:index]:
                raise Wrong(f"{_shown(one)} stands there twice", "each value once")
        return found

    return read


def rising(reader: Reader) -> Reader:
    """Of a list's reader: each value larger than the one before."""

    def read(value: Any) -> tuple[Any, ...]:
        found: tuple[Any, ...] = reader(value)
        if any(a >= b for a, b in pairwise(found)):
            raise Wrong(f"{_shown(value)} does not rise", "each value larger than the one before")
        return found

    return read


def table(key: Reader, reader: Reader) -> Reader:
    """A table whose keys `key` reads and whose values `reader` reads -> dict, in the order given."""

    def read(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise Wrong(f"{_shown(value)} is not a table", "a table: { name = value, … }")
        found = {}
        for name, one in value.items():
            try:
                found[key(name)] = reader(one)
            except Wrong as wrong:
                raise Wrong(wrong.reason, wrong.allowed, (name, *wrong.within)) from None
        return found

    return read


def fields(readers: dict[str, Reader]) -> Reader:
    """A table with exactly the keys of `readers`."""

    def read(value: Any) -> dict[str, Any]:
        found: dict[str, Any] = table(known(readers), lambda one: one)(value)
        for name, reader in readers.items():
            if name not in found:
                raise Wrong(f"{name} is missing", "all of " + ", ".join(readers))
            try:
                found[name] = reader(found[name])
            except Wrong as wrong:
                raise Wrong(wrong.reason, wrong.allowed, (name, *wrong.within)) from None
        return found

    return read


def known(names: Collection[str]) -> Reader:
    """A key of a table that is one of `names`; the message proposes the nearest."""

    def read(value: Any) -> str:
        if value not in names:
            raise Wrong("there is no such key", ", ".join(names))
        return str(value)

    return read


def number_or_table(value: Any) -> dict[str, int]:
    """`hub_degree`: a number for all types, or a number by type and `default`."""
    rows = value if isinstance(value, dict) else {"default": value}
    found: dict[str, int] = table(type_name, whole(1))(rows)
    return found


def patterns(value: Any) -> dict[str, tuple[str, ...]]:
    """Type, or `*`, -> regular expressions that compile."""
    found: dict[str, tuple[str, ...]] = table(type_name, several(_pattern))(value)
    return found


def _pattern(value: Any) -> str:
    try:
        re.compile(text(value))
    except re.error as error:
        raise Wrong(f"{_shown(value)} is no regular expression: {error}", "a regular expression of Python") from None
    return str(value)


def pair(value: Any) -> tuple[tuple[str, str], tuple[str, str]]:
    """[["email", "a@x.com"], ["email", "b@x.com"]]"""
    found = several(several(text, count=2), count=2)(value)
    for type, _ in found:
        type_name(type)
    if found[0] == found[1]:
        raise Wrong("both identifiers of the pair are the same", "two different identifiers")
    first, second = found
    return first, second


def time_zone(value: Any) -> str:
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(text(value))
    except (KeyError, OSError, ValueError):
        raise Wrong(
            f"{_shown(value)} is not a time zone", 'a name of the IANA data base, for example "Europe/Istanbul"'
        ) from None
    return str(value)


def region(value: Any) -> str:
    """Empty, or a region that phone numbers are known of."""
    if text(value) == "":
        return ""
    from phonenumbers import SUPPORTED_REGIONS

    if value not in SUPPORTED_REGIONS:
        raise Wrong(f"{_shown(value)} is not a region", 'two capital letters of ISO 3166, for example "TR", or ""')
    return str(value)


def hours(value: Any) -> Hours:
    """`21:00-08:00`"""
    found = _CLOCK.fullmatch(text(value))
    if not found or (found[3] == "24" and found[4] != "00"):
        raise Wrong(f"{_shown(value)} is not a span of hours", 'from and to, for example "21:00-08:00", or ""')
    start, end = int(found[1]) * 60 + int(found[2]), int(found[3]) * 60 + int(found[4])
    if start == end:
        raise Wrong(f"{_shown(value)} is empty", "two different times")
    return Hours(tuple(range(7)), start, end)


def window(value: Any) -> Hours:
    """`sat,sun 10:00-18:00`, or `10:00-18:00` for all days."""
    names, _, span = text(value).rpartition(" ")
    days = {name.strip() for name in names.split(",")} if names else set(DAYS)
    if not days <= set(DAYS):
        raise Wrong(f"{_shown(value)} is not a window", 'days and hours, for example "sat,sun 10:00-18:00", or ""')
    found = hours(span)
    return Hours(tuple(index for index, day in enumerate(DAYS) if day in days), found.start, found.end)


def hours_text(part: Hours) -> str:
    """What `window` reads as `part`."""
    span = f"{part.start // 60:02}:{part.start % 60:02}-{part.end // 60:02}:{part.end % 60:02}"
    if len(part.days) == len(DAYS):
        return span
    return ",".join(DAYS[day] for day in part.days) + " " + span
