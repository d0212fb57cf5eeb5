"""All that is in the touchpoints topic, up to where it ends now, about in the order received.

Partitions are read side by side, the one that is furthest behind first, so that repeats of a touchpoint on different
partitions are near each other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import cast

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from pipeline.core.identifiers import Registry
from pipeline.core.touchpoint import Rejected, Touchpoint
from pipeline.dialects import Reader
from pipeline.kafka.clients import committed_reader
from pipeline.kafka.outside import Outside
from pipeline.settings import Settings

BATCH = 5_000
WAIT_S = 1.0
WAITING_MAX = 20_000
"""Records of one partition that wait for another's."""
MICROSECONDS = 1_000
"""In a record's unit of time."""


class History:
    """`ends`: by partition, the offset at which reading ends."""

    def __init__(self, settings: Settings, registry: Registry, outside: Outside) -> None:
        self._topic, self._skip = settings.topic("touchpoints"), settings.skip
        self._reader = Reader(registry)
        partitions = [(self._topic, number) for number in range(registry.shards)]
        self.ends = {number: end for (_, number), end in outside.ends(partitions).items()}
        self._begins = {number: begin for (_, number), begin in outside.beginnings(partitions).items()}
        self._waiting: dict[int, deque[Message]] = {number: deque() for number in self.ends}
        self._open = {number for number, end in self.ends.items() if self._begins[number] < end}
        self._paused: set[int] = set()
        self._client = committed_reader(settings)

    def read(self) -> Iterator[tuple[int, int, list[Touchpoint | Rejected]]]:
        """Partition and offset of each record, and what was read of it."""
        self._client.assign([TopicPartition(self._topic, number, self._begins[number]) for number in self._open])
        try:
            while self._open or any(self._waiting.values()):
                number = self._next()
                if number is None:
                    self._fetch()
                else:
                    message = self._waiting[number].popleft()
                    yield number, message.offset() or 0, self._read(number, message)
        finally:
            self._client.close()

    def _next(self) -> int | None:
        """The partition with the oldest record; None: that is not known yet."""
        if any(not self._waiting[number] for number in self._open):
            return None
        return min(
            (number for number, waiting in self._waiting.items() if waiting),
            key=lambda number: self._waiting[number][0].timestamp()[1],
        )

    def _fetch(self) -> None:
        for message in self._client.consume(BATCH, WAIT_S):
            number, offset, error = message.partition() or 0, message.offset() or 0, message.error()
            if error is None and offset < self.ends[number]:
                self._waiting[number].append(message)
                offset += 1
            elif error is not None and error.code() != KafkaError._PARTITION_EOF:
                if not error.retriable():
                    raise KafkaException(error)
                continue
            if offset >= self.ends[number]:
                self._open.discard(number)
        self._pace()

    def _pace(self) -> None:
        """Nobody runs far ahead of the partition that is waited for."""
        full = {number for number, waiting in self._waiting.items() if len(waiting) > WAITING_MAX}
        self._client.pause([TopicPartition(self._topic, number) for number in full - self._paused])
        self._client.resume([TopicPartition(self._topic, number) for number in self._paused - full])
        self._paused = full

    def _read(self, number: int, message: Message) -> list[Touchpoint | Rejected]:
        if ("touchpoints", number, message.offset()) in self._skip:
            return []
        kind, time = message.timestamp()
        received = time * MICROSECONDS if kind and time >= 0 else None
        headers = cast(list[tuple[str, bytes]], message.headers() or [])
        return self._reader.read(message.value(), received, headers)
