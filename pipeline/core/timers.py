"""When a cluster is due: a heap of (time, root), derived from the seats and lazily re-armed."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush

from pipeline.core.touchpoint import Id


def earlier(one: int, other: int) -> int:
    """The earlier of two times; 0 is none."""
    return min(one, other) if one and other else one or other


class Timers:
    def __init__(self) -> None:
        self._heap: list[tuple[int, Id]] = []
        self._wake: dict[Id, int] = {}

    def arm(self, root: Id, wake: int) -> None:
        """The cluster of `root` is due at `wake`, and at no other time; 0: never."""
        if self._wake.get(root, 0) == wake:
            return
        if wake:
            self._wake[root] = wake
            heappush(self._heap, (wake, root))
        else:
            self._wake.pop(root, None)

    def forget(self, root: Id) -> int:
        """The cluster of `root` is not due any more; when it would have been, 0: never."""
        self._heap = [one for one in self._heap if one[1] != root]
        heapify(self._heap)
        return self._wake.pop(root, 0)

    def next(self) -> int:
        """The next time at which a cluster is due; 0: none is."""
        heap, wake = self._heap, self._wake
        while heap and wake.get(heap[0][1]) != heap[0][0]:
            heappop(heap)
        return heap[0][0] if heap else 0

    def due(self, now: int) -> Iterator[Id]:
        """Takes out the clusters that are due."""
        while 0 < self.next() <= now:
            root = heappop(self._heap)[1]
            del self._wake[root]
            yield root
