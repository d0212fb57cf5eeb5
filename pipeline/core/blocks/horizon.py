"""Time inside a view: what is written, and when the document will change with no new fact.

Some changes matter at once (a cart falls idle), others only by the day (a view is 30 days old): these wait for the
daily sweep.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from pipeline.core import times

written: Final = lru_cache(maxsize=65_536)(times.text)
"""RFC 3339 text. The few times of a person come back in every one of its documents."""


class Horizon:
    """`now`: the time of the view. `next`: the earliest later time that was named; `fades`: of those that can wait for
    the sweep. None: nothing will change. `needs`: what more facts than those of every person the view is made from."""

    __slots__ = ("fades", "needs", "next", "now")

    def __init__(self, now: int) -> None:
        self.now = now
        self.next: int | None = None
        self.fades: int | None = None
        self.needs = 0

    def changes_at(self, time: int) -> None:
        if time > self.now and (self.next is None or time < self.next):
            self.next = time

    def fades_at(self, time: int) -> None:
        if time > self.now and (self.fades is None or time < self.fades):
            self.fades = time

    def within(self, time: int, window: int) -> bool:
        """Whether `time` is less than `window` ago."""
        self.fades_at(time + window)
        return self.now < time + window
