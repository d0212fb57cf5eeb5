"""Time inside a view: what is written, and when the document will change with no new fact."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from pipeline.core import times

written: Final = lru_cache(maxsize=65_536)(times.text)
"""RFC 3339 text. The few times of a person come back in every one of its documents."""


class Horizon:
    """`now`: the time of the view. `next`: the earliest later time that was named; None: nothing will change."""

    __slots__ = ("next", "now")

    def __init__(self, now: int) -> None:
        self.now = now
        self.next: int | None = None

    def changes_at(self, time: int) -> None:
        if time > self.now and (self.next is None or time < self.next):
            self.next = time
