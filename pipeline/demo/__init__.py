"""`selvedge demo`: a sample shop through the whole pipeline, live, on an embedded broker; then the same input replayed
without Kafka, and whether both say the same about everybody."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from pipeline.demo.growth import FOLLOWED, Growth
from pipeline.demo.live import DemoFailed as DemoFailed
from pipeline.demo.live import Feed, Progress, Reader, check_alive, stop, worker
from pipeline.demo.outcome import Outcome, differences, of_replay
from pipeline.demo.screen import Screen, Status, figures, screen
from pipeline.kafka.embedded import EmbeddedBroker
from pipeline.sample import SHOWCASE, SampleRecord
from pipeline.settings import Settings

SHARDS = 8
POLL_S = 0.05
EXAMPLES_MAX = 3


def run(records: Sequence[SampleRecord], seconds: float, directory: Path) -> int:
    """Shows the pipeline on `records`, fed in `seconds`. Leaves input, log and replayed outputs in `directory`. Returns
    the exit status: 0 if live and replayed outcome are equal. Raises DemoFailed."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "touchpoints.jsonl"
    file.write_bytes(b"".join(record.value + b"\n" for record in records))
    with screen() as board:
        board.say(
            f"A sample shop: {len(records):,} records of three days in {seconds:g} s; {SHARDS} shards, one worker."
        )
        live = _live(board, records, seconds, directory)
    for name, value in figures(live).items():
        print(f"{name:>13}: {value}")
    equal = _compare(live, _replayed(file, directory / "outputs"))
    _what_next(directory)
    return 0 if equal else 1


def _live(board: Screen, records: Sequence[SampleRecord], seconds: float, directory: Path) -> Outcome:
    broker = EmbeddedBroker(SHARDS)
    log, stats = directory / "worker.log", directory / "worker.json"
    stats.unlink(missing_ok=True)
    with broker as bootstrap:
        settings = Settings(
            brokers=bootstrap, shards=SHARDS, clock="record", embedded=True, stats_file=stats, http=None, log="text"
        )
        with worker(settings, log) as process, closing(Reader(settings)) as reader:
            for status in _watched(Feed(settings, records, seconds), Progress(stats), reader):
                board.show(status)
                check_alive(process, log)
            if exit_status := stop(process):
                raise DemoFailed(f"the worker ended with status {exit_status}, see {log}")
            reader.catch_up()
        if forgotten := broker.overflow():
            raise DemoFailed(f"the embedded broker has no room for so many records: {', '.join(forgotten)}")
        return reader.outcome


def _watched(feed: Feed, progress: Progress, reader: Reader) -> Iterator[Status]:
    """Feeds the worker and tells what it makes of it, until it has read and judged everything."""
    growth = Growth()
    while progress.records < feed.total or not progress.idle:
        feed.advance()
        reader.poll(POLL_S)
        progress.look()
        growth.see(reader.outcome.profile(FOLLOWED))
        yield Status(progress.records, feed.total, progress.touchpoints, progress.rate, reader.outcome, growth.lines)
        if progress.stands_still:
            raise DemoFailed(f"the worker has read {progress.records} of {feed.total} records and stands still")


def _replayed(file: Path, directory: Path) -> Outcome:
    started = time.monotonic()
    command = [sys.executable, "-m", "pipeline", "replay", "--shards", "1", "--output", str(directory), str(file)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise DemoFailed(f"replay failed: {done.stderr.strip().splitlines()[-1]}")
    print(f"\nReplayed without Kafka, with one shard, in {time.monotonic() - started:.1f} s: {done.stdout.strip()}")
    return of_replay(directory)


def _compare(live: Outcome, replayed: Outcome) -> bool:
    found = differences(live, replayed)
    for name, lines in found.items():
        print(f"{name:>13}: {f'{len(lines)} DIFFERENCES' if lines else 'equal'}")
        for line in lines[:EXAMPLES_MAX]:
            print(f"               {line}")
    equal = not any(found.values())
    print("EQUAL: live and replayed say the same." if equal else "NOT EQUAL: live and replayed differ.")
    return equal


def _what_next(directory: Path) -> None:
    file, outputs = directory / "touchpoints.jsonl", directory / "outputs"
    selvedge = "selvedge" if shutil.which("selvedge") else ".venv/bin/selvedge"
    print(
        f"""
This broker was librdkafka's in-process mock, which is at least once under crashes; on Kafka it is exactly once.
Try next:
  {selvedge} explain --input {file} cookie:{SHOWCASE.cookie} loyalty:{SHOWCASE.loyalty}
  {selvedge} explain --input {file} cookie:{SHOWCASE.cookie}
  {selvedge} replay --until 2026-03-20T00:00:00Z --output {outputs} {file}
  grep retracted {outputs}/triggers.jsonl"""
    )
