"""Reading topics without owning anything: what is committed at this moment.

A transaction that is open now hides what stands behind it; it is not waited for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, TopicPartition

from pipeline.kafka.clients import ANSWER_S, committed_reader
from pipeline.kafka.state import SHELL
from pipeline.settings import Settings

BATCH_MAX = 10_000
WAIT_S = 1.0

Rows = dict[bytes, bytes]


class Committed(NamedTuple):
    """A record: its partition, its offset, key and value (None: a tombstone)."""

    partition: str
    offset: int
    key: str
    value: bytes | None


def state_rows(settings: Settings, shards: int, kinds: bytes | None = None) -> list[Rows]:
    """The core's rows of each shard, by key. kinds: first bytes of the keys wanted; None: all. Raises KafkaException
    for what is not passing."""
    rows: list[Rows] = [{} for _ in range(shards)]
    waiting = set(range(shards))
    reader = committed_reader(settings)
    try:
        reader.assign([TopicPartition(settings.topic("state"), shard, OFFSET_BEGINNING) for shard in waiting])
        while waiting:
            for message in reader.consume(BATCH_MAX, WAIT_S):
                shard, error = message.partition() or 0, message.error()
                if error is None:
                    _put(rows[shard], message.key(), message.value(), kinds)
                elif error.code() == KafkaError._PARTITION_EOF:
                    waiting.discard(shard)
                elif not error.retriable():
                    raise KafkaException(error)
    finally:
        reader.close()
    return rows


def since(settings: Settings, topic: str, positions: Mapping[str, int]) -> Iterator[Committed]:
    """The committed records of an output topic (name without prefix) from these positions (by partition; none: the
    beginning) up to where its partitions end now. Raises KafkaException for what is not passing."""
    reader = committed_reader(settings)
    try:
        name = settings.topic(topic)
        count = len(reader.list_topics(name, timeout=ANSWER_S).topics[name].partitions)
        starts = [positions.get(str(partition), OFFSET_BEGINNING) for partition in range(count)]
        reader.assign([TopicPartition(name, partition, start) for partition, start in enumerate(starts)])
        waiting = set(range(count))
        while waiting:
            for message in reader.consume(BATCH_MAX, WAIT_S):
                partition, error = message.partition() or 0, message.error()
                if error is None:
                    key, value = message.key(), message.value()
                    yield Committed(str(partition), message.offset() or 0, _text(key), _bytes(value))
                elif error.code() == KafkaError._PARTITION_EOF:
                    waiting.discard(partition)
                elif not error.retriable():
                    raise KafkaException(error)
    finally:
        reader.close()


def _text(key: str | bytes | None) -> str:
    return key.decode() if isinstance(key, bytes) else key or ""


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def _put(rows: Rows, key: Any, value: Any, kinds: bytes | None) -> None:
    if key.startswith(SHELL) or (kinds is not None and key[:1] not in kinds):
        return
    if value is None:
        rows.pop(key, None)
    else:
        rows[key] = value
