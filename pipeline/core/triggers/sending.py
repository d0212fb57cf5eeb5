"""When a message may go out: outside the quiet hours, inside the send window, by the shopper's own clock.

Hours are wall time in a zone. A window that lies within the quiet hours never opens; then an instant some weeks later
comes out, and nothing hangs.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from pipeline.core.policy_values import Hours

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_STEPS_MAX: Final = 60


@lru_cache(maxsize=1024)
def is_zone(name: str) -> bool:
    """Whether a name is one of a time zone."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


def first_allowed(time: int, zone: str, quiet: Hours | None, window: Hours | None) -> int:
    """The first instant from `time` on at which a message may go out. zone: an IANA name."""
    for _ in range(_STEPS_MAX):
        moved = time if quiet is None else _after(time, ZoneInfo(zone), quiet)
        moved = moved if window is None else _inside(moved, ZoneInfo(zone), window)
        if moved == time:
            break
        time = moved
    return time


def _after(time: int, zone: ZoneInfo, quiet: Hours) -> int:
    return next((end for start, end in _spans(time, zone, quiet) if start <= time < end), time)


def _inside(time: int, zone: ZoneInfo, window: Hours) -> int:
    return next((max(time, start) for start, end in _spans(time, zone, window) if time < end), time)


def _spans(time: int, zone: ZoneInfo, hours: Hours) -> Iterator[tuple[int, int]]:
    """The spans of these hours from the day before `time` to a week after it, in order."""
    today = (_EPOCH + timedelta(microseconds=time)).astimezone(zone).date()
    for day in (today + timedelta(days=ahead) for ahead in range(-1, 9)):
        if day.weekday() in hours.days:
            past_midnight = hours.end <= hours.start
            yield _instant(day, hours.start, zone), _instant(day, hours.end + 1440 * past_midnight, zone)


def _instant(day: date, minutes: int, zone: ZoneInfo) -> int:
    local = datetime(day.year, day.month, day.day) + timedelta(minutes=minutes)
    return (local.replace(tzinfo=zone) - _EPOCH) // _MICROSECOND
