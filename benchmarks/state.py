"""What the state of a shop takes: bytes of rows per person and per touchpoint, memory beside them, bytes on the topic.

Run: `python -m benchmarks.state [TOUCHPOINTS]`; `make bench` prints it, too. The shop goes through the reader and the
durable core of one process; then another core takes over the rows that the state topic would hold, as after a restart,
and what that allocates is counted. No broker takes part: rows are compressed as the producer does, some at a time.
"""

from __future__ import annotations

import sys
import tracemalloc
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple, TypeVar

import pyarrow as pa

from pipeline.core.group import Group
from pipeline.core.identifiers import PUBLIC_KEY, Registry
from pipeline.core.policy import Policy
from pipeline.core.touchpoint import Touchpoint
from pipeline.dialects import Reader
from pipeline.sample import SampleRecord, generate

SHARDS = 8
EPOCH = 2_000
BATCH = 500
"""Rows that are compressed together: those of a shard in a busy epoch, about."""

Rows = dict[bytes, bytes]
T = TypeVar("T")


class Taken(NamedTuple):
    """rows: by shard, what the state topic holds once it is compacted."""

    touchpoints: int
    persons: int
    rows: list[Rows]

    @property
    def count(self) -> int:
        return sum(map(len, self.rows))

    @property
    def bytes(self) -> int:
        return sum(len(row) for rows in self.rows for row in rows.values())


def take(registry: Registry, shop: Iterable[SampleRecord]) -> Taken:
    """The state that a shop leaves."""
    reader, group = Reader(registry), Group(registry, "wall")
    rows: list[Rows] = [{} for _ in range(SHARDS)]
    for shard in range(SHARDS):
        group.add(shard)
    touchpoints = now = 0
    for epoch in _parts(shop, EPOCH):
        for found in (one for record in epoch for one in reader.read(record.value, record.received)):
            if isinstance(found, Touchpoint):
                group.touch(touchpoints % SHARDS, found)
                touchpoints, now = touchpoints + 1, max(now, found.received)
        for shard, changed in group.drain(now, now).rows.items():
            rows[shard] |= {key: row for key, row in changed.items() if row is not None}
            for key in (key for key, row in changed.items() if row is None):
                rows[shard].pop(key, None)
    return Taken(touchpoints, sum(1 for _ in group.persons()), rows)


def memory(registry: Registry, taken: Taken) -> int:
    """Bytes that a process allocates to hold these rows."""
    tracemalloc.start()
    group = Group(registry, "wall")
    for shard, rows in enumerate(taken.rows):
        group.add(shard, _copies(rows))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return held


def compressed(taken: Taken) -> int:
    """Bytes of the rows and their keys on the topic, without what Kafka adds."""
    codec = pa.Codec("zstd")
    batches = (b"".join(map(b"".join, part)) for rows in taken.rows for part in _parts(rows.items(), BATCH))
    return sum(codec.compress(batch).size for batch in batches)


def _parts(of: Iterable[T], size: int) -> Iterator[list[T]]:
    left = iter(of)
    while part := list(islice(left, size)):
        yield part


def _copies(rows: Rows) -> Iterator[tuple[bytes, bytes]]:
    """Rows as they come from a topic: bytes of their own."""
    return ((bytes(bytearray(key)), bytes(bytearray(row))) for key, row in rows.items())


def tell(shop: Sequence[SampleRecord]) -> None:
    registry = Registry(Policy(), PUBLIC_KEY, SHARDS)
    taken = take(registry, shop)
    beside = memory(registry, taken) - taken.bytes
    plain = taken.bytes + sum(len(key) for rows in taken.rows for key in rows)
    print(f"\nstate of {taken.touchpoints:,} touchpoints of {taken.persons:,} persons: {taken.count:,} rows")
    print(f"rows                     {taken.bytes / taken.persons:8,.0f} bytes per person")
    print(f"                         {taken.bytes / taken.touchpoints:8,.0f} bytes per touchpoint")
    print(f"memory beside the rows   {beside / taken.count:8,.0f} bytes per row, none of them decoded")
    print(f"on the topic, by zstd    {compressed(taken) / plain:8.0%} of keys and rows")
    print("rows per person, mean bytes: " + ", ".join(_kinds(taken)))


def _kinds(taken: Taken) -> Iterator[str]:
    """Each kind of rows by its letter in the keys."""
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for rows in taken.rows:
        for key, row in rows.items():
            counts[chr(key[0])] += 1
            sizes[chr(key[0])] += len(row)
    for kind, size in sizes.most_common():
        yield f"{kind} {counts[kind] / taken.persons:.2f} of {size / counts[kind]:.0f}"


if __name__ == "__main__":
    touchpoints = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    tell(list(generate(1, max(1, touchpoints // 13), touchpoints, cloudevents_only=True)))
