"""`selvedge replay`: files of touchpoints in, files of outputs out; the core without Kafka.

Files are JSON lines or Parquet (by the ending .parquet), read in the order of received time, then file, then line.
Compacted topics are written as their final state, sorted by key; the others as every record in order; what `explain`
needs as `evidence.zst`. The same input gives the same bytes for the same number of shards.
"""

from __future__ import annotations

import gc
import heapq
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import cramjam
import msgspec

from pipeline.core.effects import Output
from pipeline.core.explain import evidence
from pipeline.core.identifiers import Registry
from pipeline.core.replay import Replay
from pipeline.core.touchpoint import Rejected, Touchpoint
from pipeline.dialects import Reader

COMPACTED = ("profiles", "identities", "products")
EVIDENCE = "evidence.zst"
"""What `explain` reads of a run."""
HISTORIES = ("profile-changes", "triggers", "dead-letters")
ON_REQUEST = "access-reports"
"""A file only where somebody asked."""
PROGRESS_EVERY = 1 << 20
"""Bytes between two calls of the progress function."""

_json = msgspec.json.Encoder().encode


class Record(NamedTuple):
    """One line of input, read: `clock` is the received time of its file so far."""

    clock: int
    file: int
    line: int
    text: bytes
    results: list[Touchpoint | Rejected]


class Summary(NamedTuple):
    records: int
    counts: dict[str, int]
    clock: int


class Writer:
    """Collects outputs and writes them to a directory as JSON lines. What an earlier run left there is removed."""

    def __init__(self, directory: Path, reduced: Sequence[str], *, final: bool) -> None:
        """reduced: topics of profiles with fewer blocks."""
        directory.mkdir(parents=True, exist_ok=True)
        for topic in (*COMPACTED, "profiles.*", *HISTORIES, ON_REQUEST):
            for ending in ("jsonl", "parquet"):
                for old in directory.glob(f"{topic}.{ending}"):
                    old.unlink()
        self._directory = directory
        self._state: dict[str, dict[str, bytes]] = {topic: {} for topic in (*COMPACTED, *reduced)}
        self._files: dict[str, BinaryIO] = {
            topic: (directory / f"{topic}.jsonl").open("wb")
            for topic in HISTORIES
            if not (final and topic == "profile-changes")
        }

    def output(self, output: Output) -> None:
        state = self._state.get(output.topic)
        if state is None:
            assert output.value is not None
            if output.topic == ON_REQUEST and ON_REQUEST not in self._files:
                self._files[ON_REQUEST] = (self._directory / f"{ON_REQUEST}.jsonl").open("wb")
            self._files[output.topic].write(output.value + b"\n")
        elif output.value is None:
            state.pop(output.key, None)
        else:
            state[output.key] = output.value

    def dead_letter(self, rejected: Rejected, text: bytes) -> None:
        row = {
            "reason": rejected.code,
            "message": rejected.message,
            "id": rejected.id,
            "source": rejected.source,
            "record": None if rejected.code == "suppressed" else text.decode("utf-8", "backslashreplace"),
        }
        self._files["dead-letters"].write(_json(row) + b"\n")

    def close(self) -> None:
        for file in self._files.values():
            file.close()
        for topic, state in self._state.items():
            with (self._directory / f"{topic}.jsonl").open("wb") as file:
                for key in sorted(state):
                    file.write(b'%b,"key":%b}\n' % (state[key][:-1], _json(key)))


def replay(
    paths: Sequence[Path],
    registry: Registry,
    directory: Path,
    *,
    until: int = 0,
    final: bool = False,
    parquet: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Summary:
    """Replays files into `directory`. until: microseconds, 0: stay at the last record. parquet: outputs as Parquet
    files. progress is called with the number of bytes read so far. Raises OSError where a file cannot be read or
    written."""
    writer = Writer(directory, registry.policy.publish.reduced_topics, final=final)
    run = Replay(registry, writer.output, final=final)
    try:
        records = run_through(run, paths, registry, writer.dead_letter, until=until, progress=progress)
    finally:
        writer.close()
    if parquet:
        _to_parquet(directory)
    (directory / EVIDENCE).write_bytes(bytes(cramjam.zstd.compress(evidence.encode(run.group.fragments(), registry))))
    return Summary(records, run.counts, run.clock)


def run_through(
    run: Replay,
    paths: Sequence[Path],
    registry: Registry,
    refused: Callable[[Rejected, bytes], None],
    *,
    until: int = 0,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Feeds a run with all records of the files up to `until` and finishes it; how many there were. refused: takes what
    was rejected, with its record."""
    records = read = reported = 0
    gc.disable()
    try:
        for record in merged(paths, registry):
            if until and record.clock > until:
                break
            records += 1
            read += len(record.text)
            for result in record.results:
                rejected = result if isinstance(result, Rejected) else run.touch(result)
                if rejected is not None:
                    run.count(f"dead_letters.{rejected.code}")
                    refused(rejected, record.text)
            if progress is not None and read - reported >= PROGRESS_EVERY:
                reported = read
                progress(read)
        run.finish(until)
    finally:
        gc.enable()
    if progress is not None:
        progress(read)
    return records


def merged(paths: Sequence[Path], registry: Registry) -> Iterator[Record]:
    """The records of files, in the order of received time, then file, then line."""
    files = [_records(path, number, registry) for number, path in enumerate(paths)]
    return files[0] if len(files) == 1 else heapq.merge(*files, key=_position)


def _records(path: Path, number: int, registry: Registry) -> Iterator[Record]:
    read = Reader(registry).read
    clock = 0
    for line, text in enumerate(_texts(path), 1):
        if not text:
            continue
        results = read(text, None, fallback=clock)
        for result in results:
            if isinstance(result, Touchpoint) and result.received > clock:
                clock = result.received
        yield Record(clock, number, line, text, results)


def _texts(path: Path) -> Iterator[bytes]:
    if path.suffix == ".parquet":
        from pipeline.lake.parquet import records

        yield from records(path)
        return
    with path.open("rb") as file:
        for line in file:
            yield line.rstrip(b"\r\n")


def _to_parquet(directory: Path) -> None:
    """Turns the outputs in a directory from JSON lines into Parquet."""
    from pipeline.lake.parquet import write

    for topic in (*COMPACTED, "profiles.*", *HISTORIES, ON_REQUEST):
        for lines in directory.glob(f"{topic}.jsonl"):
            with lines.open("rb") as file:
                write(topic.removesuffix(".*"), file, lines.with_suffix(".parquet"))
            lines.unlink()


def _position(record: Record) -> tuple[int, int, int]:
    return record[:3]
