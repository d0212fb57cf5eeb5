"""The topic `triggers`, read committed and from its beginning: what is new, and what is readable up to this moment."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable

from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, Message, TopicPartition

from pipeline.examples.book import Read
from pipeline.kafka.clients import ANSWER_S, committed_reader
from pipeline.settings import Settings

BATCH_MAX = 1_000
POLL_S = 0.1


class TriggerTopic:
    """Raises KafkaException for what the brokers refuse, or if they do not answer."""

    def __init__(self, settings: Settings, partitions: int) -> None:
        self._name = settings.topic("triggers")
        self._partitions = range(partitions)
        self._reader = committed_reader(dataclasses.replace(settings, group=f"{self._name}.mail"))
        self._reader.assign([TopicPartition(self._name, number, OFFSET_BEGINNING) for number in self._partitions])
        self._read = dict.fromkeys(self._partitions, 0)
        """Partition -> up to which offset it was read."""

    def close(self) -> None:
        self._reader.close()

    def wait(self, seconds: float) -> list[Read]:
        """What has come, or comes within that time."""
        first = self._reader.poll(seconds)
        return [] if first is None else self._taken([first, *self._reader.consume(BATCH_MAX, 0)])

    def catch_up(self, partition: int | None = None) -> list[Read]:
        """Everything unread of a partition (None: of all) that is readable at the moment of the call."""
        wanted = self._partitions if partition is None else (partition,)
        ends = {number: self._end(number) for number in wanted}
        found: list[Read] = []
        while any(self._read[number] < end for number, end in ends.items()):
            found += self._taken(self._reader.consume(BATCH_MAX, POLL_S))
        return found

    def _end(self, partition: int) -> int:
        """Where the committed records end: the broker is asked, and asked again while the partition has no leader."""
        where = TopicPartition(self._name, partition)
        deadline = time.monotonic() + ANSWER_S
        while True:
            try:
                beginning, end = self._reader.get_watermark_offsets(where, timeout=ANSWER_S)
                return end if end > beginning else 0
            except KafkaException:
                if time.monotonic() > deadline:
                    raise
                self._reader.list_topics(self._name, timeout=ANSWER_S)  # a new leader is not asked before it is known

    def _taken(self, messages: Iterable[Message]) -> list[Read]:
        found: list[Read] = []
        for message in messages:
            partition, offset, error = message.partition() or 0, message.offset() or 0, message.error()
            if error is None:
                value = message.value()
                found.append(Read(partition, value.encode() if isinstance(value, str) else value))
                self._read[partition] = offset + 1
            elif error.code() == KafkaError._PARTITION_EOF:
                self._read[partition] = offset
            elif not error.retriable():
                raise KafkaException(error)
        return found
