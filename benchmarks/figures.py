"""What a contestant that is not a Selvedge worker says of itself: the same members as a worker's stats file has."""

from __future__ import annotations

import resource
import threading
import time
from pathlib import Path

import msgspec

EVERY_S = 0.05


class Figures:
    """Counts touchpoints; a thread of its own writes them down."""

    def __init__(self, path: Path) -> None:
        self.touchpoints = 0
        self._path = path
        threading.Thread(target=self._write_always, daemon=True).start()

    def _write_always(self) -> None:
        while True:
            part = self._path.with_name(self._path.name + ".part")
            part.write_bytes(msgspec.json.encode(self._document()))
            part.replace(self._path)
            time.sleep(EVERY_S)

    def _document(self) -> dict[str, object]:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return {
            "touchpoints": self.touchpoints,
            "written": time.time(),
            "cpu_s": time.process_time(),
            "peak_bytes": peak,
            "commit_s": [],
        }
