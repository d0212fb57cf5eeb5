"""The moving parts of the demo: a worker process, what feeds it and what reads its outputs.

Each is a context or closes itself; nothing outlives the demo. The worker gets its settings only by its environment, as
any worker does.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from pipeline.demo.outcome import REASON, TOPICS, Outcome
from pipeline.sample import SampleRecord
from pipeline.settings import ENV, Settings

STOP_S = 20.0
RATE_SPAN_S = 3.0
PATIENCE_S = 40.0
"""Without progress for that long something is wrong."""
POLL_MAX = 5_000


class DemoFailed(Exception):
    """The demo could not show what it should; the message is one line."""


@contextmanager
def worker(settings: Settings, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Runs `selvedge worker`; at the end it is told to stop and finishes its epoch."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ENV)}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline", "worker"],
            env=kept | settings.environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> int:
    """Ends the worker, in peace if it can; its exit status."""
    process.terminate()
    try:
        return process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def check_alive(process: subprocess.Popen[bytes], log: Path) -> None:
    """Raises DemoFailed with the worker's last words if it has ended by itself."""
    if process.poll() is not None:
        said = log.read_text("utf-8", "replace").strip().splitlines()
        raise DemoFailed(f"the worker ended with status {process.returncode}: {said[-1] if said else 'without a word'}")


class Feed:
    """Produces the sample shop in `seconds`, at the pace of its own clock; 0: as fast as it goes."""

    def __init__(self, settings: Settings, records: Sequence[SampleRecord], seconds: float) -> None:
        self.done = 0
        self.total = len(records)
        self._topic = settings.topic("touchpoints")
        self._records = records
        self._started = time.monotonic()
        self._slowness = seconds / max(1, records[-1].received - records[0].received)
        self._producer = Producer(
            {**settings.librdkafka(), "partitioner": "murmur2_random", "compression.type": "zstd", "linger.ms": 20}
        )

    def advance(self) -> None:
        """Produces what is due by now."""
        passed = time.monotonic() - self._started
        first = self._records[0].received
        while self.done < self.total and (self._records[self.done].received - first) * self._slowness <= passed:
            self._produce(self._records[self.done])
            self.done += 1
        self._producer.poll(0)

    def _produce(self, record: SampleRecord) -> None:
        while True:
            try:
                self._producer.produce(
                    self._topic,
                    record.value,
                    record.key,
                    headers=list(record.headers),
                    timestamp=record.received // 1000,
                )
                return
            except BufferError:
                self._producer.poll(0.1)


class Progress:
    """What the worker says of itself in its stats file, and how fast it has been lately."""

    def __init__(self, stats: Path) -> None:
        self.records = 0
        self.touchpoints = 0
        self.idle = False
        """Everything that is there has been read, committed and judged."""
        self._stats = stats
        self._points = deque([(time.time(), 0)])
        self._moved = time.monotonic()

    def look(self) -> None:
        if not self._stats.exists():
            return
        said = msgspec.json.decode(self._stats.read_bytes())
        if said["touchpoints"] > self.records:
            self._moved = time.monotonic()
        self.records, self.idle = said["touchpoints"], said["idle"]
        self.touchpoints = said["counts"].get("touchpoints", 0)
        if said["written"] > self._points[-1][0]:
            self._points.append((said["written"], self.touchpoints))
        while len(self._points) > 2 and self._points[-1][0] - self._points[0][0] > RATE_SPAN_S:
            self._points.popleft()

    @property
    def rate(self) -> float:
        """Touchpoints per second."""
        (then, before), (now, after) = self._points[0], self._points[-1]
        return (after - before) / (now - then) if now > then else 0.0

    @property
    def stands_still(self) -> bool:
        return time.monotonic() - self._moved > PATIENCE_S


class Reader:
    """Follows the output topics, committed records only, and keeps the outcome."""

    def __init__(self, settings: Settings) -> None:
        self.outcome = Outcome()
        self._names = {settings.topic(name): name for name in TOPICS}
        self._consumer = Consumer(
            {
                **settings.librdkafka(),
                "group.id": "demo",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 50,
            }
        )
        self._next = {(name, index): 0 for name in self._names for index in range(self._partitions_of(name))}
        """Where each partition is read on; it may be behind the last record because of commit markers."""
        self._consumer.assign([TopicPartition(*partition, 0) for partition in self._next])

    def poll(self, wait_s: float) -> None:
        """Takes what is there, waiting for it at most that long."""
        for message in self._consumer.consume(POLL_MAX, wait_s):
            self._pass(message)

    def _pass(self, message: Any) -> None:
        error = message.error()
        if error is None:
            self._take(message)
        elif error.code() != KafkaError._PARTITION_EOF:
            return
        self._next[message.topic(), message.partition()] = message.offset() + (error is None)

    def catch_up(self) -> None:
        """Reads to the present end of every partition."""
        ends = {
            partition: self._consumer.get_watermark_offsets(TopicPartition(*partition), timeout=10)[1]
            for partition in self._next
        }
        while any(self._next[partition] < end for partition, end in ends.items()):
            self.poll(0.2)

    def close(self) -> None:
        self._consumer.close()

    def _partitions_of(self, topic: str) -> int:
        return len(self._consumer.list_topics(topic, timeout=10).topics[topic].partitions)

    def _take(self, message: Any) -> None:
        topic, value = self._names[message.topic()], message.value()
        if topic == "dead-letters":
            reason = dict(message.headers())[REASON].decode()
            self.outcome.take(topic, "", {"reason": reason})
        else:
            self.outcome.take(topic, message.key().decode(), None if value is None else msgspec.json.decode(value))
