"""What the sightings of a person add up to: who was seen, when, how often, from where."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from pipeline.core.fragment import Fragment, Seen
from pipeline.core.touchpoint import Id


class Share(msgspec.Struct, gc=False):
    """One identifier's part. count 0: it was not seen in the fragments of its person."""

    first: int = 0
    last: int = 0
    count: int = 0
    sources: set[str] = set()

    def add(self, first: int, last: int, count: int, sources: Iterable[str]) -> None:
        if not self.count or first < self.first:
            self.first = first
        if not self.count or last > self.last:
            self.last = last
        self.count += count
        self.sources.update(sources)


class History(msgspec.Struct, gc=False):
    """newest: (time, event id, source, channel) of the last touchpoint; None: there was none."""

    shares: dict[Id, Share]
    first: int = 0
    newest: tuple[int, str, str, str] | None = None
    count: int = 0
    sources: dict[str, int] = {}

    def add(self, first: int, count: int, sources: dict[str, int]) -> None:
        if not self.count or first < self.first:
            self.first = first
        self.count += count
        known = self.sources
        for source, times in sources.items():
            known[source] = known.get(source, 0) + times


def history(ids: Iterable[Id], fragments: Iterable[Fragment]) -> History:
    shares = {id: Share() for id in ids}
    total = History(shares)
    for fragment in fragments:
        for key, sighting in fragment.sets.items():
            total.add(sighting.first, sighting.count, sighting.sources)
            newest = (sighting.last, sighting.last_event, sighting.last_source, sighting.last_channel)
            if total.newest is None or newest > total.newest:
                total.newest = newest
            for id in key.split("\n"):
                share = shares.get(id)  # type: ignore[call-overload]
                if share is not None:
                    share.add(sighting.first, sighting.last, sighting.count, sighting.sources)
        if fragment.rest:
            _add_rest(total, fragment.id, fragment.rest)
    return total


def _add_rest(total: History, anchor: Id, rest: dict[Id, Seen]) -> None:
    """Sets that a bound dropped: each of them had the anchor, so its share counts their touchpoints."""
    for id, seen in rest.items():
        if id == anchor:
            total.add(seen.first, seen.count, seen.sources)
        share = total.shares.get(id)
        if share is not None:
            share.add(seen.first, seen.last, seen.count, seen.sources)
