"""Worker processes, what feeds them and what they made of it, on a real broker."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from confluent_kafka import Consumer, Producer, TopicPartition

from pipeline.core import times
from pipeline.kafka.topics import apply
from pipeline.settings import Settings
from tests.kafka.counting import Counted
from tests.kafka.eventually import eventually

ROOT = Path(__file__).resolve().parents[2]
COUNTING = ("tests.kafka.counting",)
START = times.parse("2024-03-01T10:00:00Z")
STEP = 10 * times.MILLISECOND


class Record(NamedTuple):
    key: bytes | None
    value: bytes | None
    headers: dict[str, bytes | None]


class Worker:
    """One process. What it says goes to `log`."""

    def __init__(self, settings: Settings, log: Path, command: Sequence[str]) -> None:
        self.log = log
        self.stats_path = log.with_suffix(".json")
        self.settings = dataclasses.replace(settings, stats_file=self.stats_path)
        environment = {**os.environ, **self.settings.environment()}
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *command], cwd=ROOT, env=environment, stdout=out, stderr=out
            )

    @property
    def said(self) -> str:
        return self.log.read_text()

    @property
    def stats(self) -> dict[str, Any]:
        return msgspec.json.decode(self.stats_path.read_bytes()) if self.stats_path.exists() else {}

    @property
    def shards(self) -> list[int]:
        return self.stats.get("shards", []) if self.alive else []

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> int:
        """Tells it to finish; its exit status."""
        self.signal(signal.SIGTERM)
        return self.process.wait(60)

    def ended(self) -> int:
        """The exit status it ends with by itself."""
        return self.process.wait(60)


class Fleet:
    """Workers of one prefix. `command`: the module they run, and its arguments. Leaving the context kills what
    still runs."""

    def __init__(self, settings: Settings, directory: Path, command: Sequence[str] = COUNTING) -> None:
        self.settings = settings
        self.workers: list[Worker] = []
        self.sent: Counter[str] = Counter()
        self._directory, self._command = directory, command
        self._count = 0
        self._producer = Producer({**settings.librdkafka(), "linger.ms": 5, "message.max.bytes": 2_000_000})
        apply(settings)

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            if worker.alive:
                worker.kill()
            print(f"{worker.log.name}: status {worker.process.returncode}, said:\n{worker.said}")

    def start(self, **changes: Any) -> Worker:
        log = self._directory / f"worker-{len(self.workers)}.log"
        self.workers.append(Worker(dataclasses.replace(self.settings, **changes), log, self._command))
        return self.workers[-1]

    def send(self, names: Iterable[str], type: str = "page.viewed") -> None:
        """One touchpoint of each of these cookies, one STEP of time after the other, all over the partitions."""
        for name in names:
            self.sent[f"cookie:{name}"] += 1
            self._put(self._touchpoint(name, type), None)
        self._producer.flush()

    def send_raw(self, values: Sequence[bytes | None], partition: int | None = None) -> None:
        for value in values:
            self._put(value, partition)
        self._producer.flush()

    def _put(self, value: bytes | None, partition: int | None) -> None:
        where = self._count % self.settings.shards if partition is None else partition
        self._count += 1
        self._producer.produce(self.settings.topic("touchpoints"), value, b"key-%d" % self._count, where)
        self._producer.poll(0)

    def _touchpoint(self, name: str, type: str) -> bytes:
        time = times.text(START + self._count * STEP)
        event = {"specversion": "1.0", "id": f"e-{self._count}", "source": "web/shop", "type": type, "time": time}
        data = {"identifiers": [{"type": "cookie", "value": name}]}
        return msgspec.json.encode({**event, "recordedtime": time, "data": data})

    def records(self, topic: str) -> list[Record]:
        """Everything committed on an output topic."""
        full = self.settings.topic(topic)
        consumer = Consumer(
            {
                **self.settings.librdkafka(),
                "group.id": "tests",
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
            }
        )
        partitions = consumer.list_topics(full, timeout=10).topics[full].partitions
        consumer.assign([TopicPartition(full, partition, 0) for partition in partitions])
        found: list[Record] = []
        ended: set[int] = set()
        while len(ended) < len(partitions):
            for message in consumer.consume(1000, 1.0):
                if message.error():
                    ended.add(message.partition())
                else:
                    found.append(Record(message.key(), message.value(), dict(message.headers() or [])))
        consumer.close()
        return found

    def counts(self) -> Counter[str]:
        """Identifier -> its newest published count."""
        counts: Counter[str] = Counter()
        for record in self.records("profiles"):
            assert record.key is not None and record.value is not None
            counts[record.key.decode()] = msgspec.json.decode(record.value, type=Counted).count
        return counts

    def all_counted(self) -> bool:
        return self.counts() == self.sent

    def owners(self) -> list[int]:
        """The shards of all workers, sorted: a shard twice has two owners."""
        return sorted(shard for worker in self.workers for shard in worker.shards)

    def shared(self, workers: int) -> bool:
        """Whether every shard has one owner and so many workers have shards."""
        busy = [worker for worker in self.workers if worker.shards]
        return len(busy) == workers and self.owners() == list(range(self.settings.shards))


def events(records: Iterable[Record]) -> Counter[bytes | None]:
    """How often each CloudEvents id is there."""
    return Counter(record.headers["ce_id"] for record in records)


def only_once(records: Iterable[Record]) -> bool:
    return set(events(records).values()) <= {1}


def await_counted(fleet: Fleet, patience_s: float = 60) -> None:
    eventually(fleet.all_counted, patience_s)
