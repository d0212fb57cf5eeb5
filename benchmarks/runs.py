"""One run of one contestant: a process that reads a topic filled before, watched through the figures it writes.

The rate is the slope between the first figures with touchpoints and the last, so that the start of the process does not
count; a worker's run ends with the commit of its last effects, not when all has been read. Contestants are of very
different speed: each reads so much of the shop, or reads it so often, that there is something to measure. A worker runs
on the wall clock, as it does by default. Every run has a topic prefix of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from pipeline.core.times import MILLISECOND
from pipeline.kafka.topics import apply
from pipeline.sample import SampleRecord
from pipeline.settings import ENV, Settings

SHARDS = 8
LOOK_S = 0.05
STOP_S = 30.0
START_S = 180.0
SECONDS_MAX = 60.0
"""A slow contestant is stopped so long after its first touchpoint; its rate is known long before."""


class Stalled(RuntimeError):
    """A contestant that read nothing that could be measured."""


class Run(NamedTuple):
    """rate: touchpoints per second; cpu: seconds of CPU for each; peak: bytes; commits: seconds of each epoch's
    commit; rest: seconds from the last touchpoint read to the last effect committed."""

    rate: float
    cpu: float
    touchpoints: int
    peak: int
    commits: list[float]
    counts: dict[str, int]
    rest: float


@dataclass
class Contestant:
    """`command` gets brokers, prefix, file of figures and an empty directory appended, unless it is a `worker`. times:
    how often it reads the shop."""

    name: str
    command: Sequence[str]
    times: float = 1
    worker: bool = False

    def share(self, shop: Sequence[SampleRecord]) -> Sequence[SampleRecord]:
        """What it reads."""
        whole = int(self.times)
        return [*shop] * whole + [*shop[: int(len(shop) * (self.times - whole))]]

    def start(self, settings: Settings, figures: Path, directory: Path) -> subprocess.Popen[bytes]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ENV)}
        arguments = [] if self.worker else [settings.brokers, settings.prefix, str(figures), str(directory)]
        with (directory / "log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, *self.command, *arguments],
                env=kept | (settings.environment() if self.worker else {}),
                stdout=log,
                stderr=log,
            )


CONTESTANTS = (
    Contestant("Faust, agent and Tables", ["-m", "benchmarks.plain_faust"], times=0.1),
    Contestant("blocks, no-op agent", ["-m", "benchmarks.noop_blocks"], times=6),
    Contestant("Selvedge", ["-m", "pipeline", "worker"], worker=True),
)


@contextmanager
def topics(brokers: str, figures: Path, policy: Path | None = None) -> Iterator[Settings]:
    """Settings with topics of their own, deleted afterwards."""
    prefix = f"bench-{uuid.uuid4().hex[:8]}"
    settings = Settings(
        brokers=brokers, prefix=prefix, shards=SHARDS, replication=1, stats_file=figures, policy_path=policy
    )
    apply(settings)
    admin = AdminClient({"bootstrap.servers": brokers})
    for made in admin.create_topics([NewTopic(f"{prefix}.faust-profiles", SHARDS, 1)]).values():
        made.result()
    try:
        yield settings
    finally:
        ours = [name for name in admin.list_topics(timeout=10).topics if name.startswith(prefix)]
        for deleted in admin.delete_topics(ours).values():
            deleted.exception()


def backlog(contestant: Contestant, brokers: str, records: Sequence[SampleRecord], policy: Path | None = None) -> Run:
    """The topic is full before the contestant starts."""
    with tempfile.TemporaryDirectory() as name, topics(brokers, Path(name) / "figures.json", policy) as settings:
        sender = Sender(settings)
        for record in records:
            sender.send(record)
        sender.producer.flush()
        with running(contestant, settings, Path(name)) as watched:
            while not watched.is_done(len(records)) and not watched.is_long_enough:
                watched.look()
        return watched.run()


def live(contestant: Contestant, brokers: str, records: Sequence[SampleRecord], rate: float) -> Run:
    """Touchpoints come at `rate` per second while the contestant runs."""
    with tempfile.TemporaryDirectory() as name, topics(brokers, Path(name) / "figures.json") as settings:
        sender = Sender(settings)
        with running(contestant, settings, Path(name)) as watched:
            for number, record in enumerate(records):
                sender.send(record)
                while watched.seconds < number / rate:
                    sender.producer.poll(0)
                    watched.look()
            sender.producer.flush()
            until = watched.seconds + SECONDS_MAX
            while not watched.is_done(len(records)) and watched.seconds < until:
                watched.look()
        return watched.run()


class Sender:
    def __init__(self, settings: Settings) -> None:
        self._topic = settings.topic("touchpoints")
        self.producer = Producer(
            {
                **settings.librdkafka(),
                "partitioner": "murmur2_random",
                "compression.type": "zstd",
                "linger.ms": 20,
                "queue.buffering.max.messages": 1_000_000,
            }
        )

    def send(self, record: SampleRecord) -> None:
        while True:
            try:
                return self.producer.produce(
                    self._topic, record.value, record.key, timestamp=record.received // MILLISECOND
                )
            except BufferError:
                self.producer.poll(0.1)


class Watched:
    """A running contestant and the figures it has written so far."""

    def __init__(self, process: subprocess.Popen[bytes], directory: Path) -> None:
        self._process, self._directory = process, directory
        self._begun = time.monotonic()
        self._first: float | None = None
        self._points: list[dict[str, Any]] = []
        """Figures that differ from those before in what was read or published."""
        self._last: dict[str, Any] = {}

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._begun

    @property
    def is_long_enough(self) -> bool:
        """Whether the contestant has run as long as it may: from its first touchpoint on, which may take its time."""
        return self.seconds > START_S if self._first is None else self.seconds > self._first + SECONDS_MAX

    def look(self) -> None:
        time.sleep(LOOK_S)
        if self._process.poll() is not None:
            raise RuntimeError((self._directory / "log").read_text()[-2_000:])
        figures = self._directory / "figures.json"
        if figures.exists():
            self._last = msgspec.json.decode(figures.read_bytes())
            if self._last["touchpoints"] and (not self._points or _work(self._last) != _work(self._points[-1])):
                self._points.append(self._last)
                self._first = self._first or self.seconds

    def is_done(self, touchpoints: int) -> bool:
        """Whether so many have been read and, by a worker, everything that follows from them is committed."""
        return bool(self._last) and self._last["touchpoints"] >= touchpoints and self._last.get("idle", True)

    def run(self) -> Run:
        if len(self._points) < 2:
            raise Stalled(f"read {self._last.get('touchpoints', 0):,} touchpoints at once or none, and no more")
        first, last = self._points[0], self._points[-1]
        read = last["touchpoints"] - first["touchpoints"]
        return Run(
            read / (last["written"] - first["written"]),
            (last["cpu_s"] - first["cpu_s"]) / read,
            last["touchpoints"],
            self._last["peak_bytes"],
            self._last["commit_s"],
            self._last.get("counts", {}),
            last["written"] - next(one["written"] for one in self._points if one["touchpoints"] == last["touchpoints"]),
        )


def _work(figures: dict[str, Any]) -> tuple[int, int]:
    """What was read, and how much was committed of it."""
    return figures["touchpoints"], sum(figures.get("counts", {}).values())


@contextmanager
def running(contestant: Contestant, settings: Settings, directory: Path) -> Iterator[Watched]:
    assert settings.stats_file is not None
    process = contestant.start(settings, settings.stats_file, directory)
    try:
        yield Watched(process, directory)
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
