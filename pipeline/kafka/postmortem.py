"""Which record it was, when the core fails only at the end of an epoch: asked by a process that is about to end.

A second core is made from what is committed and fed the epoch's records one by one, each as an epoch of its own that
commits nothing, until it fails as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import NamedTuple

from confluent_kafka import KafkaError, TopicPartition

from pipeline.kafka.clients import Partition
from pipeline.kafka.dead_letters import Share
from pipeline.kafka.intake import Core, Intake, Lease, Reader
from pipeline.kafka.outside import Message, Outside
from pipeline.kafka.recovery import SOURCES, Shard
from pipeline.kafka.state import Position
from pipeline.kafka.stats import Stats
from pipeline.settings import Settings

SEARCH_S = 120.0
BATCH = 1_000
POLL_S = 0.2


class Epoch(NamedTuple):
    """The epoch that failed: from which positions to which, by shard, and at which clock."""

    since: Mapping[int, Position]
    until: Mapping[int, Position]
    now: int
    caught_up_to: int


class Record(NamedTuple):
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


class Postmortem:
    def __init__(self, settings: Settings, make_core: Callable[[], Core], reader: Reader, outside: Outside) -> None:
        self._settings, self._make_core, self._reader, self._outside = settings, make_core, reader, outside

    def culprit(self, epoch: Epoch) -> str | None:
        """`topic:partition:offset` of the first record the core cannot do with; None: it is not one record's doing, or
        the search took too long. Blocks."""
        try:
            return self._search(epoch)
        except TimeoutError:
            return None

    def _search(self, epoch: Epoch) -> str | None:
        core = self._make_core()
        for state in self._state(epoch):
            core.add(state.number, state.rows.items())
        intake = Intake(self._settings, core, self._reader, Share(Decimal(1)), Stats(), "")
        folds = {"touchpoints": intake.touchpoints, "mail": intake.mail}
        for topic, shard, record in self._records(epoch):
            lease = Lease(shard, 0, Position(record.offset, record.offset))
            try:
                folds[topic](lease, [record], record.offset, record.offset + 1)
                core.drain(epoch.now, epoch.caught_up_to)
            except Exception:
                return f"{topic}:{shard}:{record.offset}"
        return None

    def _state(self, epoch: Epoch) -> list[Shard]:
        topic = self._settings.topic("state")
        ends = self._outside.ends([(topic, number) for number in epoch.since])
        shards = {number: Shard(number) for number in epoch.since}
        goals = {(topic, number): (0, end) for (_, number), end in ends.items()}
        for message in self._read(goals):
            shards[message.partition()].apply(message, b"")
        return list(shards.values())

    def _records(self, epoch: Epoch) -> Iterator[tuple[str, int, Record]]:
        goals = {
            (self._settings.topic(name), shard): (getattr(since, name), getattr(epoch.until[shard], name))
            for name in SOURCES
            for shard, since in epoch.since.items()
        }
        names = {self._settings.topic(name): name for name in SOURCES}
        for one in self._read(goals):
            record = Record(one.offset(), one.timestamp()[1], one.key(), one.value(), list(one.headers() or []))
            yield names[one.topic()], one.partition(), record

    def _read(self, goals: Mapping[Partition, tuple[int, int]]) -> Iterator[Message]:
        """Committed messages from offsets to offsets. What seems to be the end may be the last epoch of this process,
        whose markers are not written yet. Raises TimeoutError when it takes too long: by half of the state an innocent
        record would fail."""
        open_goals = {partition: end for partition, (start, end) in goals.items() if start < end}
        reader = self._outside.reader()
        reader.assign([TopicPartition(*partition, goals[partition][0]) for partition in open_goals])
        deadline = self._outside.monotonic() + SEARCH_S
        try:
            while open_goals:
                if self._outside.monotonic() > deadline:
                    raise TimeoutError
                for message in reader.consume(BATCH, POLL_S):
                    partition = message.topic(), message.partition()
                    end = open_goals.get(partition)
                    if end is None:
                        continue
                    error = message.error()
                    if error is None and message.offset() < end:
                        yield message
                    elif message.offset() >= end and (error is None or error.code() == KafkaError._PARTITION_EOF):
                        del open_goals[partition]
        finally:
            reader.close()
