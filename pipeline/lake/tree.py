"""A directory of Parquet files that grows with its topics: what analysts read, and what export goes on with.

`<topic>/bucket=NN/part.parquet` holds what a compacted topic holds, one row a key: whoever is erased there is gone here
after the next export. `<topic>/day=YYYY-MM-DD/part-….parquet` holds every record of the other topics by the day of its
time. `_positions.json` says up to where the source was taken over; it is written last, so that whatever was cut off is
written once more, over itself.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import pyarrow.parquet as pq
import xxhash

from pipeline.lake.columns import COMPACTED, KEY, row
from pipeline.lake.parquet import table

BUCKETS: Final = 16
TIME_OF: Final = {"profile-changes": "time", "triggers": "evaluated_at"}
"""Topics that are kept record by record, and the member that says when."""
TOPICS: Final = (*COMPACTED, *TIME_OF)
_POSITIONS: Final = "_positions.json"

Positions = dict[str, dict[str, int]]
"""Topic -> partition -> the position of what comes next."""


class Record(NamedTuple):
    """value None: a tombstone."""

    partition: str
    position: int
    key: str
    value: bytes | None


class OtherSource(Exception):
    """The directory was filled from somewhere else."""


class Tree:
    """`source` names where the records come from. Raises OtherSource."""

    def __init__(self, directory: Path, source: str) -> None:
        self._directory, self._source = directory, source
        self.positions: Positions = {topic: {} for topic in TOPICS}
        file = directory / _POSITIONS
        if file.exists():
            known = json.loads(file.read_text("utf-8"))
            if known["source"] != source:
                raise OtherSource(f"{directory} was filled from {known['source']}, not from {source}")
            self.positions |= known["positions"]

    def add(self, topic: str, records: Iterable[Record], *, whole: bool = False) -> int:
        """Takes over records, in their order; how many. whole: they are all that a compacted topic holds. Raises
        ValueError for what this version has no column for."""
        taken = list(records)
        if topic in COMPACTED:
            self._merge(topic, {one.key: one.value for one in taken}, whole)
        else:
            self._append(topic, taken)
        reached = self.positions[topic]
        for one in taken:
            reached[one.partition] = max(one.position + 1, reached.get(one.partition, 0))
        return len(taken)

    def commit(self) -> None:
        """From here the next export goes on."""
        self._directory.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"source": self._source, "positions": self.positions}, indent=1)
        _replace(self._directory / _POSITIONS, lambda path: path.write_text(text, "utf-8"))

    def _merge(self, topic: str, newest: Mapping[str, bytes | None], whole: bool) -> None:
        buckets: dict[int, dict[str, bytes | None]] = defaultdict(dict)
        for bucket in range(BUCKETS) if whole else ():
            buckets[bucket] = {}
        for key, value in newest.items():
            buckets[xxhash.xxh64_intdigest(key.encode()) % BUCKETS][key] = value
        for bucket, changed in buckets.items():
            file = self._directory / topic / f"bucket={bucket:02d}" / "part.parquet"
            kept = [] if whole or not file.exists() else pq.ParquetFile(file).read().to_pylist()
            rows = [one for one in map(_plain, kept) if one[KEY] not in changed]
            rows += [self._row(topic, value, key) for key, value in changed.items() if value is not None]
            self._write(topic, sorted(rows, key=lambda one: str(one[KEY])), file)

    def _append(self, topic: str, records: list[Record]) -> None:
        parts: dict[tuple[str, str], list[Record]] = defaultdict(list)
        for one in records:
            assert one.value is not None, "only compacted topics have tombstones"
            day = str(msgspec.json.decode(one.value)[TIME_OF[topic]])[:10]
            parts[day, one.partition].append(one)
        for (day, partition), some in parts.items():
            name = f"part-{partition}-{some[0].position:020d}.parquet"
            rows = [self._row(topic, one.value) for one in some]
            self._write(topic, rows, self._directory / topic / f"day={day}" / name)

    def _row(self, topic: str, value: bytes | None, key: str | None = None) -> dict[str, Any]:
        made = row(msgspec.json.decode(value or b"{}"), topic)
        return made if key is None else {**made, KEY: key}

    def _write(self, topic: str, rows: list[dict[str, Any]], file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        _replace(file, lambda path: pq.write_table(table(topic, rows), path, compression="zstd"))


def _plain(kept: dict[str, Any]) -> dict[str, Any]:
    """A row as it was read, without the members it does not have."""
    return {name: value for name, value in kept.items() if value is not None}


def _replace(file: Path, write: Callable[[Path], object]) -> None:
    """Writes a file that is either the old one or the new one, never half of it."""
    part = file.with_name(f".{file.name}.part")
    write(part)
    os.replace(part, file)
