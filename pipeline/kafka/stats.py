"""Figures of one worker process since its start, for the live view of the demo and for benchmarks.

Written to SELVEDGE_STATS_FILE as one JSON object every second and at the end, whole or not at all.
"""

from __future__ import annotations

import resource
import time
from collections import Counter, deque
from pathlib import Path
from typing import Any

import msgspec

LATENCIES_MAX = 2_000


class Stats:
    def __init__(self) -> None:
        self.touchpoints = 0
        self.mail = 0
        self.epochs = 0
        self.rejected: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.commit_s: deque[float] = deque(maxlen=LATENCIES_MAX)
        self.drain_s: deque[float] = deque(maxlen=LATENCIES_MAX)
        self.shards: list[int] = []
        self.now = 0
        self.caught_up_to = 0
        self.idle = False
        """All that is there has been read, committed and evaluated at the newest time there is."""
        self._begun = time.time()

    def document(self) -> dict[str, Any]:
        """touchpoints: records read from `touchpoints`; rejected: of these, by code; counts: what the core counted;
        commit_s, drain_s: seconds of the newest epochs; now, caught_up_to: microseconds; peak_bytes: of memory."""
        return {
            "started": self._begun,
            "written": time.time(),
            "shards": self.shards,
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
        part = path.with_name(path.name + ".part")
        part.write_bytes(msgspec.json.encode(self.document()))
        part.replace(path)
