"""Times and durations as whole microseconds: since 1970-01-01 UTC, or long.

Text is RFC 3339. `parse` keeps microseconds exactly (further digits are rounded), takes a missing offset as UTC and a
leap second as the second after it; `text` writes UTC with `Z` and a fraction only where there is one.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

import msgspec

MICROSECOND: Final = 1
MILLISECOND: Final = 1_000
SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH: Final = datetime(1970, 1, 1)
_UNITS: Final = {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}
_DURATION: Final = re.compile(r"(0|[1-9][0-9]{0,8})([smhd])")

EARLIEST: Final = -62_135_596_800 * SECOND
"""0001-01-01T00:00:00Z, the first time that `text` can write."""
LATEST: Final = 253_402_300_799 * SECOND + 999_999
"""The last one."""


def parse(text: str) -> int:
    """RFC 3339 -> microseconds. ValueError if it is none, or outside the years 1 to 9999."""
    try:
        time = since_epoch(msgspec.convert(text, datetime))
    except msgspec.ValidationError:
        if text[17:19] != "60":
            raise ValueError("not an RFC 3339 time") from None
        time = parse(text[:17] + "59" + text[19:]) + SECOND
    if not EARLIEST <= time <= LATEST:
        raise ValueError("outside the years 1 to 9999")
    return time


def since_epoch(time: datetime) -> int:
    """Microseconds; a time without offset is UTC."""
    since = time - _EPOCH if time.tzinfo else time - _NAIVE_EPOCH
    return (since.days * 86_400 + since.seconds) * SECOND + since.microseconds


def text(time: int) -> str:
    """Microseconds -> RFC 3339 in UTC, for example 2026-03-01T10:31:07.25Z."""
    minutes, rest = divmod(time, MINUTE)
    seconds, fraction = divmod(rest, SECOND)
    if fraction:
        return f"{_text_of_minute(minutes)}{seconds:02}.{fraction:06}".rstrip("0") + "Z"
    return f"{_text_of_minute(minutes)}{seconds:02}Z"


@lru_cache(maxsize=4_096)
def _text_of_minute(minutes: int) -> str:
    """2026-03-01T10:31:"""
    return (_NAIVE_EPOCH + timedelta(minutes=minutes)).isoformat()[:-2]


def duration(text: str) -> int:
    """`90s`, `60m`, `24h` or `30d` -> microseconds. ValueError if it is no such text."""
    found = _DURATION.fullmatch(text)
    if not found:
        raise ValueError("not a duration")
    return int(found[1]) * _UNITS[found[2]]


def duration_text(length: int) -> str:
    """Microseconds (whole seconds) -> the shortest text that `duration` reads as the same."""
    for unit in ("d", "h", "m"):
        if length % _UNITS[unit] == 0 and length:
            return f"{length // _UNITS[unit]}{unit}"
    return f"{length // SECOND}s"
