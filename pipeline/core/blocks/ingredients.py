"""The kinds of facts that blocks are made from, as flags, and which of them changed in a person's fragments.

Fragments count what was said of each kind. A change that no kind counts, as of a row that an earlier version wrote, is
taken for one of all kinds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from pipeline.core.fragment import Fragment

GROUP: Final = 1
"""Who the person is: its identifiers, and what the grouping says of them."""
TOLD: Final = 2
"""What it was told: triggers."""
SEEN: Final = 4
"""Anything in its fragments."""
LOOKS: Final = 8
PUTS: Final = 16
TRADES: Final = 32
TRIPS: Final = 64
WORDS: Final = 128
DEEDS: Final = PUTS | TRADES | TRIPS | WORDS
"""As fragments count them."""
MOMENTS: Final = 256
"""When the person was there up to the last view; later activity only puts off what changes by time."""
ALL: Final = 511

Counts = tuple[int, int, int, int, int, int, int]


def counts(fragments: Iterable[Fragment]) -> list[Counts]:
    """What each fragment counts."""
    return [
        (one.version, one.deeds, one.looks, one.puts, one.trades, one.trips, one.words)  # as _KINDS
        for one in fragments
    ]


_KINDS: Final = (SEEN, 0, LOOKS, PUTS, TRADES, TRIPS, WORDS)


def changed(before: Sequence[Counts], after: Sequence[Counts]) -> int:
    """The kinds of facts that changed in these fragments."""
    found = 0
    for old, new in zip(before, after, strict=True):
        if old != new:
            kinds = SEEN
            for kind, was, now in zip(_KINDS, old, new, strict=True):
                if was != now:
                    kinds |= kind
            found |= kinds if kinds & DEEDS or old[1] == new[1] else kinds | LOOKS | DEEDS
    return found


def moments(fragments: Iterable[Fragment], until: int) -> list[tuple[int, int]]:
    """Of each fragment how many moments there are up to a time, and how many were dropped."""
    found = []
    for fragment in fragments:
        count = len(fragment.activity)
        for time in reversed(fragment.activity):
            if time <= until:
                break
            count -= 1
        found.append((count, fragment.dropped.get("activity", 0)))
    return found
