"""Top: how often each of many things was counted, in bounded memory, with counts that are taken back.

Exact, whatever the order, as long as no more than `MOST` different things were counted. Beyond that it is SpaceSaving±
(lazy): a new thing takes the place of the rarest and starts from its count; what is taken back of a thing that is not
kept is ignored. Then a count is off by at most (all counts ever made) / MOST.
"""

from __future__ import annotations

from typing import Final

import msgspec

MOST: Final = 512


class Top(msgspec.Struct, array_like=True, gc=False):
    """counts: by name. full: more names were counted than are kept, so that counts are estimates."""

    counts: dict[str, int] = {}
    full: bool = False

    def add(self, name: str, by: int) -> None:
        """by: 1, or -1 to take one back, which may come first."""
        counts = self.counts
        known = counts.get(name)
        if known is not None:
            if known + by and (known + by > 0 or not self.full):
                counts[name] = known + by
            else:
                del counts[name]
        elif len(counts) < MOST:
            if by > 0 or not self.full:
                counts[name] = by
        elif by > 0:
            self.full = True
            rarest = min(counts, key=lambda one: (counts[one], one))
            counts[name] = max(0, counts.pop(rarest)) + by

    def most(self, limit: int) -> list[tuple[str, int]]:
        """The most frequent, then by name."""
        found = [(name, count) for name, count in self.counts.items() if count > 0]
        found.sort(key=lambda one: (-one[1], one[0]))
        return found[:limit]
