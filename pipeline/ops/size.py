"""How large a deployment must be, from measured costs per unit.

The costs are those that `python -m benchmarks.unit_costs 60000` prints for the sample shop (55,874 touchpoints of 4,615
shoppers, CPython 3.11, two cores of a shared machine with nothing else to do; quicker moments of it took 505 us a
touchpoint): a busy shop, in which almost every touchpoint changes a published document. A calmer one costs less.
What is assumed beyond that is said in `assumptions`, and printed with every answer.
"""

from __future__ import annotations

import math
from typing import NamedTuple

DAY_S = 86_400
CPU_S = 610e-6
"""Processor time of a touchpoint: read, fold, solve, view, publish."""
SHELL = 1.25
"""Assumed for Faust, librdkafka and the event loop on top of that: two runs of a worker on a backlog of 13,940
touchpoints took 1.04 and 1.33 times what the core alone took beside them."""
TOUCHPOINT_BYTES = 458
COMPRESSED = 0.3
"""Of JSON in batches of some dozens, with zstd; in large batches it is better."""
OUTPUT_BYTES = 1_098
STATE_WRITTEN_BYTES = 1_625
STATE_PER_PERSON_BYTES = 6_900
"""31.7 MB of rows for 4,615 shoppers."""
MEMORY_PER_PERSON_BYTES = 10_400
"""These rows in memory: 10.8 a person, each with 324 bytes of Python and dictionaries around it."""
PROFILE_BYTES = 3_000
OVERHEAD = 1.2
"""Keys, headers, indexes of the logs."""
WORKER_BASE_BYTES = 500 << 20
"""The process, and its caches of decoded rows."""
WORKER_BYTES_MAX = 8 << 30
PEAK = 3.0
USE = 0.6
REPLICATION = 3
SHARDS_PER_WORKER = 4
UNCOMPACTED = 2.0


class Wanted(NamedTuple):
    """touchpoints_per_day; persons: profiles kept; retention_days: of touchpoints and mail; replication: of topics."""

    touchpoints_per_day: int
    persons: int
    retention_days: int
    replication: int = REPLICATION


class Size(NamedTuple):
    """memory: of one worker. disk: of all brokers together. network: megabytes a second at the peak, all brokers."""

    per_second: float
    peak_per_second: float
    workers: int
    shards: int
    memory_bytes: int
    disk_bytes: int
    network_bytes: float


def size(wanted: Wanted) -> Size:
    """What is needed for `wanted`."""
    rate = wanted.touchpoints_per_day / DAY_S
    peak = rate * PEAK
    for_work = peak * CPU_S * SHELL / USE
    state = wanted.persons * MEMORY_PER_PERSON_BYTES
    for_memory = state / (WORKER_BYTES_MAX - WORKER_BASE_BYTES)
    workers = max(1, math.ceil(max(for_work, for_memory)))
    shards = max(8, 2 ** math.ceil(math.log2(workers * SHARDS_PER_WORKER)))
    memory = WORKER_BASE_BYTES + state // workers
    kept = wanted.touchpoints_per_day * wanted.retention_days
    logs = kept * (TOUCHPOINT_BYTES + OUTPUT_BYTES / 2) * COMPRESSED
    compacted = wanted.persons * (STATE_PER_PERSON_BYTES + PROFILE_BYTES) * UNCOMPACTED
    disk = int((logs + compacted) * OVERHEAD) * wanted.replication
    written = (TOUCHPOINT_BYTES + OUTPUT_BYTES + STATE_WRITTEN_BYTES) * COMPRESSED * OVERHEAD
    network = peak * written * (wanted.replication + 1)
    return Size(rate, peak, workers, shards, memory, disk, network)


def text(wanted: Wanted) -> list[str]:
    """The answer and its assumptions, a line each."""
    found = size(wanted)
    return [
        f"{wanted.touchpoints_per_day:,} touchpoints a day: {found.per_second:,.0f} a second, "
        f"{found.peak_per_second:,.0f} at the peak; {wanted.persons:,} persons; "
        f"touchpoints kept for {wanted.retention_days} days",
        f"shards   {found.shards:>12,}   partitions of touchpoints, mail and state; fixed for the life of a deployment",
        f"workers  {found.workers:>12,}   one processor each",
        f"memory   {_bytes(found.memory_bytes):>12}   a worker",
        f"disk     {_bytes(found.disk_bytes):>12}   all brokers together, {wanted.replication} replicas",
        f"network  {_bytes(found.network_bytes):>12}/s  in and out of all brokers at the peak",
        "",
        *assumptions(),
    ]


def assumptions() -> list[str]:
    return [
        f"Measured on a sample shop, without brokers: {CPU_S * 1e6:.0f} µs of processor a touchpoint;",
        f"{TOUCHPOINT_BYTES} bytes in, {OUTPUT_BYTES} out, {STATE_WRITTEN_BYTES:,} of state written;",
        f"{MEMORY_PER_PERSON_BYTES:,} bytes of memory a person.",
        f"Assumed: Faust and librdkafka take {SHELL - 1:.0%} of processor on top,",
        f"the peak is {PEAK:g} times the average, workers are used to {USE:.0%}, compression leaves",
        f"{COMPRESSED:.0%}, compacted topics hold {UNCOMPACTED:g} versions, and {SHARDS_PER_WORKER} shards a worker "
        "leave room to grow.",
        "Measure your own with: python -m benchmarks.unit_costs",
    ]


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1_000:
            return f"{count:.0f} {unit}"
        count /= 1_000
    return f"{count:,.1f} PB"
