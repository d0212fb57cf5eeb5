"""Which touchpoints were folded within the deduplication window: 8-byte hashes of (id, source, anchor) with the time
received, in append-only rows per hour and epoch that are dropped when the window has passed."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import islice

import xxhash

from pipeline.core.times import DAY, HOUR

_KEY = struct.Struct(">IQ")
_ENTRY = struct.Struct(">Qq")
SLACK = DAY
"""Shards read at different speeds: entries are kept for this much longer than the window."""


class Dedup:
    """`window` in microseconds of received time. `durable`: rows are wanted."""

    def __init__(self, window: int, *, durable: bool) -> None:
        self._window, self._durable = window, durable
        self._folded: dict[int, int] = {}
        self._hours: dict[int, list[int]] = {}
        self._fresh: dict[int, int] = {}
        """Hours with digests that are in no row yet -> the place of the first of them."""
        self._rows: dict[int, list[bytes]] = {}
        self._newest = 0
        self._swept = 0
        self._sequence = 0

    def first(self, event: str, source: str, anchor: str, received: int) -> bool:
        """Whether this touchpoint was not folded before within the window; from now on it was."""
        digest = xxhash.xxh3_64_intdigest(f"{event}\n{source}\n{anchor}".encode())
        known = self._folded.get(digest)
        if known is not None and -self._window <= received - known <= self._window:
            return False
        self._folded[digest] = received
        hour = received // HOUR
        hours = self._hours.get(hour)
        if hours is None:
            hours = self._hours[hour] = []
        if self._durable and hour not in self._fresh:
            self._fresh[hour] = len(hours)
        hours.append(digest)
        if received > self._newest:
            self._newest = received
        return True

    def load(self, key: bytes, row: bytes) -> None:
        hour, sequence = _KEY.unpack(key)
        self._sequence = max(self._sequence, sequence + 1)
        self._rows.setdefault(hour, []).append(key)
        digests = self._hours.setdefault(hour, [])
        for digest, received in _ENTRY.iter_unpack(row):
            self._folded[digest] = max(received, self._folded.get(digest, received))
            self._newest = max(self._newest, received)
            digests.append(digest)

    def collect(self) -> Iterator[tuple[bytes, bytes | None]]:
        """New rows, and the keys of rows whose window has passed."""
        pack, folded = _ENTRY.pack, self._folded
        for hour, first in self._fresh.items():
            key = _KEY.pack(hour, self._sequence)
            self._sequence += 1
            self._rows.setdefault(hour, []).append(key)
            yield key, b"".join([pack(digest, folded[digest]) for digest in islice(self._hours[hour], first, None)])
        self._fresh.clear()
        for key in self.sweep():
            yield key, None

    def sweep(self) -> list[bytes]:
        """Forgets what the window has passed; the keys of its rows."""
        oldest = (self._newest - self._window - SLACK) // HOUR
        if oldest <= self._swept:
            return []
        self._swept = oldest
        keys = []
        for hour in [hour for hour in self._hours if hour < oldest]:
            for digest in self._hours.pop(hour):
                if self._folded.get(digest, 0) // HOUR == hour:
                    del self._folded[digest]
            keys += self._rows.pop(hour, [])
        return keys
