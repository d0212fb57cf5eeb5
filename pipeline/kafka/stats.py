"""Figures of one worker process since its start: for metrics, probes, the live view of the demo and benchmarks.

Whoever does the work notes its figures here, by block or by epoch and never by record; reading them changes nothing.
Keys are channels, codes, kinds and numbers of shards: never an identifier.
"""

from __future__ import annotations

import resource
import time
from bisect import bisect_left
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

LATENCIES_MAX = 2_000
SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
RECORDS = (1, 10, 100, 500, 1_000, 5_000, 10_000, 20_000, 50_000)


class Histogram:
    """Counts of values by upper bound; the last count is of what is above all of them."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def note(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Lag(NamedTuple):
    """Of one shard: touchpoints and mail not read yet, and for how many seconds the oldest of them has been there."""

    touchpoints: int
    mail: int
    seconds: float


class Replicas(NamedTuple):
    """brokers: that are there. Of our topics' partitions: behind: with a replica that is; leaderless: not usable."""

    brokers: int
    behind: int
    leaderless: int


class Stats:
    def __init__(self) -> None:
        self.touchpoints = 0
        self.mail = 0
        self.epochs = 0
        self.accepted: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
        """Touchpoints read, by dialect and channel."""
        self.rejected: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.commit_s: deque[float] = deque(maxlen=LATENCIES_MAX)
        self.drain_s: deque[float] = deque(maxlen=LATENCIES_MAX)
        self.epoch_s = Histogram(SECONDS)
        self.epoch_records = Histogram(RECORDS)
        self.timer_late_s = Histogram(SECONDS)
        self.shards: list[int] = []
        self.lag: dict[int, Lag] = {}
        self.state: dict[str, tuple[int, int]] = {}
        """Rows held and their bytes, by kind."""
        self.erasure_age = 0.0
        """Seconds since the oldest erasure that was read and is not served yet was asked for; 0: none waits."""
        self.fences = 0
        """Workers that this one has fenced."""
        self.aborts = 0
        """Open transactions of others that this worker has had aborted."""
        self.recovering: dict[int, tuple[int, int]] = {}
        """Shards being taken over: rows of the state log that have been read, and that there are."""
        self.assigned = False
        """The group has told which shards are this worker's, which may be none."""
        self.turned = time.monotonic()
        """When the timer of the epochs last came round, an epoch's end included."""
        self.replicas: Replicas | None = None
        self.certificates: dict[str, float] = {}
        """Until when the certificates in use are good (Unix seconds), by use."""
        self.waiting = 0
        """Clusters in which a deadline waits for facts to be read."""
        self.waiting_age = 0.0
        """Seconds since the oldest of these deadlines."""
        self.clock_ahead = 0.0
        """Seconds that this machine's clock is ahead of the broker's."""
        self.now = 0
        self.caught_up_to = 0
        self.idle = False
        """All that is there has been read, committed and evaluated at the newest time there is."""
        self._begun = time.time()

    @property
    def ready(self) -> bool:
        """Every shard that was assigned is owned."""
        return self.assigned and not self.recovering

    def document(self) -> dict[str, Any]:
        """touchpoints: records read from `touchpoints`; rejected: of these, by code; counts: what the core counted;
        commit_s, drain_s: seconds of the newest epochs; cpu_s: seconds of CPU used; now, caught_up_to:
        microseconds; peak_bytes: of memory."""
        return {
            "started": self._begun,
            "written": time.time(),
            "cpu_s": time.process_time(),
            "shards": self.shards,
            "ready": self.ready,
            "touchpoints": self.touchpoints,
            "rejected": dict(self.rejected),
            "mail": self.mail,
            "epochs": self.epochs,
            "counts": dict(self.counts),
            "commit_s": list(self.commit_s),
            "drain_s": list(self.drain_s),
            "now": self.now,
            "caught_up_to": self.caught_up_to,
            "idle": self.idle,
            "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }

    def write(self, path: Path) -> None:
        """One JSON object, whole or not at all."""
        part = path.with_name(path.name + ".part")
        part.write_bytes(msgspec.json.encode(self.document()))
        part.replace(path)
