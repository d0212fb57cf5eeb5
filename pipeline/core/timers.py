"""When a cluster is due: a wheel of buckets, derived from the seats and lazily re-armed.

A root that is armed has one entry, at or before its time. Who is armed for later leaves the entry where it is, and it
moves on once it comes up: a deadline that each touchpoint of a visit puts off costs two look-ups. Of the buckets only
those that come up are put in the order of times.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush

from pipeline.core.times import SECOND
from pipeline.core.touchpoint import Id

BUCKET = 8 * SECOND


def earlier(one: int, other: int) -> int:
    """The earlier of two times; 0 is none."""
    return min(one, other) if one and other else one or other


class Timers:
    def __init__(self) -> None:
        self._wake: dict[Id, int] = {}
        self._place: dict[Id, int] = {}
        """When the entry of a root comes up: its time, or the start of its bucket; entries elsewhere do not count."""
        self._starts: list[int] = []
        """Heap of the buckets that there are."""
        self._closed: dict[int, list[Id]] = {}
        self._open: dict[int, list[tuple[int, Id]]] = {}
        """Buckets that came up, as heaps."""
        self._next: int | None = 0
        """The next time; None: it is to be found."""

    def __len__(self) -> int:
        return len(self._wake)

    @property
    def entries(self) -> int:
        """Those that do not count any more included."""
        return sum(map(len, self._closed.values())) + sum(map(len, self._open.values()))

    def arm(self, root: Id, wake: int) -> None:
        """The cluster of `root` is due at `wake`, and at no other time; 0: never."""
        if not wake:
            self.forget(root)
            return
        soonest = self._next
        if soonest is not None and (not soonest or wake < soonest):
            self._next = wake
        elif self._wake.get(root) == soonest != wake:
            self._next = None
        self._wake[root] = wake
        place = self._place.get(root)
        if place is None or place > wake:
            self._enter(root, wake)

    def forget(self, root: Id) -> int:
        """The cluster of `root` is not due any more; when it would have been, 0: never."""
        wake = self._wake.pop(root, 0)
        if wake and wake == self._next:
            self._next = None
        return wake

    def next(self) -> int:
        """The next time at which a cluster is due; 0: none is."""
        if self._next is None:
            self._next = self._bring_up()
        return self._next

    def due(self, now: int) -> Iterator[Id]:
        """Takes out the clusters that are due."""
        while 0 < self.next() <= now:
            self._bring_up()
            root = heappop(self._open[self._starts[0]])[1]
            del self._wake[root], self._place[root]
            self._next = None
            yield root

    def _bring_up(self) -> int:
        """Puts the entry of the next time first; that time, 0: there is none."""
        while self._starts:
            bucket = self._first()
            while bucket:
                time, root = bucket[0]
                if self._wake.get(root) == time and self._place.get(root) == time:
                    return time
                heappop(bucket)
                if self._place.get(root) == time:
                    self._move_on(root)
            del self._open[heappop(self._starts)]
        return 0

    def _enter(self, root: Id, wake: int) -> None:
        start = wake - wake % BUCKET
        opened = self._open.get(start)
        if opened is not None:
            self._place[root] = wake
            heappush(opened, (wake, root))
            return
        self._place[root] = start
        closed = self._closed.get(start)
        if closed is None:
            self._closed[start] = [root]
            heappush(self._starts, start)
        else:
            closed.append(root)

    def _move_on(self, root: Id) -> None:
        del self._place[root]
        wake = self._wake.get(root)
        if wake is not None:
            self._enter(root, wake)

    def _first(self) -> list[tuple[int, Id]]:
        """The earliest bucket, open. What is due only later leaves it."""
        start = self._starts[0]
        opened = self._open.get(start)
        if opened is None:
            opened = self._open[start] = []
            places, end = self._place, start + BUCKET
            for root in self._closed.pop(start):
                if places.get(root) == start:
                    wake = self._wake.get(root, 0)
                    if 0 < wake < end:
                        places[root] = wake
                        opened.append((wake, root))
                    else:
                        self._move_on(root)
            heapify(opened)
        return opened
