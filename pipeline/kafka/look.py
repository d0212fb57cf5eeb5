"""Reading the state topic without owning anything: what is committed of the shards at this moment.

A transaction that is open now hides what stands behind it; it is not waited for.
"""

from __future__ import annotations

from typing import Any

from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, TopicPartition

from pipeline.kafka.clients import committed_reader
from pipeline.kafka.state import SHELL
from pipeline.settings import Settings

BATCH_MAX = 10_000
WAIT_S = 1.0

Rows = dict[bytes, bytes]


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


def _put(rows: Rows, key: Any, value: Any, kinds: bytes | None) -> None:
    if key.startswith(SHELL) or (kinds is not None and key[:1] not in kinds):
        return
    if value is None:
        rows.pop(key, None)
    else:
        rows[key] = value
