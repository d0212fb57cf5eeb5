"""Days of the policy's time zone as numbers: days since 1970-01-01 by the wall clock there; and hours of the day.

Answers are cached by quarter hour; every zone has kept its offset to whole quarters, and so its midnights, since 1972.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from pipeline.core.times import DAY, HOUR, MINUTE

_QUARTER: Final = 15 * MINUTE
_UTC_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST: Final = date(1970, 1, 1)


def day(time: int, zone: str) -> int:
    """The number of the day of `time` in `zone`, an IANA name."""
    return _day_of_quarter(time // _QUARTER, zone)


@lru_cache(maxsize=65_536)
def _day_of_quarter(quarter: int, zone: str) -> int:
    moment = _UTC_EPOCH + timedelta(microseconds=quarter * _QUARTER)
    return (moment.astimezone(ZoneInfo(zone)).date() - _FIRST).days


def hour(time: int, zone: str) -> int:
    """The hour of the day, 0 to 23, of `time` in `zone`."""
    return _hour_of_quarter(time // _QUARTER, zone)


@lru_cache(maxsize=65_536)
def _hour_of_quarter(quarter: int, zone: str) -> int:
    moment = _UTC_EPOCH + timedelta(microseconds=quarter * _QUARTER)
    return moment.astimezone(ZoneInfo(zone)).hour


@lru_cache(maxsize=4_096)
def start(number: int, zone: str) -> int:
    """The first instant of a day, in microseconds."""
    time = number * DAY - 16 * HOUR
    while day(time, zone) < number:
        time += _QUARTER
    return time


@lru_cache(maxsize=4_096)
def text(number: int) -> str:
    """2026-03-01 for day 20513."""
    return (_FIRST + timedelta(days=number)).isoformat()
