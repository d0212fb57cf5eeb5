"""`selvedge produce`: touchpoints from JSON lines to Kafka, each checked before it is sent.

A line is sent whole or not at all: one that holds anything a worker would reject is told with file, line and reason
and left out, the others go on. The key is the anchor's canonical text and the partitioner murmur2, so a touchpoint
lands on the shard where its anchor lives. The producer is idempotent; what could not be delivered is counted and told.
"""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message

from pipeline.core import times
from pipeline.core.touchpoint import Rejected, Touchpoint
from pipeline.dialects import Reader
from pipeline.kafka.clients import producer
from pipeline.kafka.connect import PATIENCE_S, Tell, connect
from pipeline.kafka.topics import TOUCHPOINT_BYTES_MAX, partitions
from pipeline.settings import Settings

STANDARD_INPUT = Path("-")
RECEIVED_HEADER = "ce_recordedtime"
FLUSH_S = 120.0
BUFFER_KBYTES_MAX = 65_536
POLL_EVERY = 1_000
"""Lines between two looks at what the brokers said."""


@dataclass
class Sent:
    """Lines by what became of them."""

    delivered: int = 0
    bad: int = 0
    undelivered: int = 0

    @property
    def complete(self) -> bool:
        return not self.bad and not self.undelivered

    def __str__(self) -> str:
        parts = [f"{self.delivered:,} delivered"]
        parts += [f"{self.bad:,} bad"] if self.bad else []
        parts += [f"{self.undelivered:,} not delivered"] if self.undelivered else []
        return ", ".join(parts)


class Sender:
    """Sends lines to `touchpoints`. With `recorded` it sends the received time that `replay` would use along, so that
    a worker on the record clock sees the same history as `replay` does."""

    def __init__(self, settings: Settings, reader: Reader, tell: Tell, *, recorded: bool = False) -> None:
        self.sent = Sent()
        self._topic = settings.topic("touchpoints")
        self._reader, self._tell, self._recorded = reader, tell, recorded
        self._clock = 0
        """Newest received time so far; `replay` gives it to a record without any time, so this does."""
        self._producer = producer(
            settings,
            **{
                "linger.ms": 20,
                "queue.buffering.max.kbytes": BUFFER_KBYTES_MAX,
                "on_delivery": self._reported,
            },
        )

    def line(self, line: bytes, where: str) -> None:
        """Checks and sends one line. where: what to call it in a message."""
        read = self._reader.read(line, None if self._recorded else _now(), fallback=self._clock)
        rejected = next((one for one in read if isinstance(one, Rejected)), None)
        if rejected is not None:
            self._bad(where, f"{rejected.code}: {rejected.message}")
            return
        touchpoints = [one for one in read if isinstance(one, Touchpoint)]
        if touchpoints:
            self._produce(line, touchpoints, where)

    def finish(self) -> Sent:
        """Waits for the brokers' answers."""
        left = self._producer.flush(FLUSH_S)
        self.sent.undelivered += left
        self.sent.delivered -= left
        return self.sent

    def _produce(self, line: bytes, touchpoints: list[Touchpoint], where: str) -> None:
        received = max(one.received for one in touchpoints)
        self._clock = max(self._clock, received)
        headers: dict[str, str | bytes | None] = {RECEIVED_HEADER: times.text(received)} if self._recorded else {}
        key = touchpoints[0].ids[0].encode() if touchpoints[0].ids else None
        while True:
            try:
                self._producer.produce(self._topic, line, key, headers=headers)
                break
            except BufferError:
                self._producer.poll(1)
            except KafkaException as error:
                self._bad(where, error.args[0].str())
                return
        self.sent.delivered += 1
        if self.sent.delivered % POLL_EVERY == 0:
            self._producer.poll(0)

    def _bad(self, where: str, reason: str) -> None:
        self.sent.bad += 1
        self._tell(f"{where}: {reason}")

    def _reported(self, error: KafkaError | None, message: Message) -> None:
        """librdkafka reports failures only; the first of them is told, all are counted."""
        if error is None:
            return
        self.sent.delivered -= 1
        self.sent.undelivered += 1
        if self.sent.undelivered == 1:
            self._tell(f"{message.topic()}: not delivered: {error.str()}")


def produce(
    settings: Settings,
    reader: Reader,
    paths: Sequence[Path],
    tell: Tell,
    *,
    recorded: bool = False,
    progress: Callable[[int], None] | None = None,
    patience_s: float = PATIENCE_S,
) -> Sent:
    """Sends the lines of the files (`-`: standard input) in their order. tell: takes a line for the operator.
    progress: takes the bytes read so far. Raises BrokerAbsent and TopicsWrong before anything is read."""
    partitions(settings, connect(settings, tell, patience_s), "touchpoints")
    sender = Sender(settings, reader, tell, recorded=recorded)
    read = 0
    for path in paths:
        with _opened(path) as file:
            for number, line in _lines(file):
                read += len(line)
                if line.strip():
                    sender.line(line.rstrip(b"\r\n"), f"{path}:{number}")
                if progress is not None and number % POLL_EVERY == 0:
                    progress(read)
    if progress is not None:
        progress(read)
    return sender.finish()


def ask(
    settings: Settings, reader: Reader, type: str, text: str, tell: Tell, patience_s: float = PATIENCE_S
) -> tuple[str, Sent]:
    """Sends a privacy request for an identifier given as `type:value`: its id, and what became of it. Raises
    BrokerAbsent and TopicsWrong."""
    partitions(settings, connect(settings, tell, patience_s), "touchpoints")
    kind, _, value = text.partition(":")
    request = str(uuid.uuid4())
    touchpoint = {
        "specversion": "1.0",
        "id": request,
        "source": "server/operator",
        "type": type,
        "time": times.text(_now()),
        "data": {"identifiers": [{"type": kind, "value": value}]},
    }
    sender = Sender(settings, reader, tell)
    sender.line(msgspec.json.encode(touchpoint), type)
    return request, sender.finish()


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    if path == STANDARD_INPUT:
        yield sys.stdin.buffer
        return
    with path.open("rb") as file:
        yield file


def _lines(file: IO[bytes]) -> Iterable[tuple[int, bytes]]:
    """(number from 1, line). Of a line that no topic could take only the beginning is kept, enough to be told."""
    number = 0
    while line := file.readline(2 * TOUCHPOINT_BYTES_MAX):
        number += 1
        yield number, line
        while not line.endswith(b"\n") and (line := file.readline(TOUCHPOINT_BYTES_MAX)):
            pass


def _now() -> int:
    return time.time_ns() // 1_000
