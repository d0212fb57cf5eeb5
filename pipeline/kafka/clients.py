"""librdkafka clients of a worker, as it wants them set.

All output goes through one transactional producer per process; claims are written by a plain idempotent one, because
an unfinished transaction of a process that died would hide what stands behind it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from pipeline.kafka.connect import quiet_logger
from pipeline.settings import Settings

MESSAGE_BYTES_MAX = 100 << 20
"""Above what any topic takes: the broker's own limit is the one that counts."""
ANSWER_S = 10.0
RETRY_S = 0.1
PATIENCE_S = 60.0
"""How long brokers may be without a leader for a partition before a worker gives up."""


def producer(settings: Settings, **more: Any) -> Producer:
    return Producer(
        {
            **settings.librdkafka(),
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 5,
            "batch.size": 1 << 20,
            "batch.num.messages": 100_000,
            "compression.type": "zstd",
            "message.max.bytes": MESSAGE_BYTES_MAX,
            "message.timeout.ms": settings.transaction_timeout_ms - 1_000,
            "partitioner": "murmur2_random",
            "queue.buffering.max.messages": 2_000_000,
            "queue.buffering.max.kbytes": 1 << 20,
            "delivery.report.only.error": True,
            **more,
        },
        logger=quiet_logger(),
    )


def transactional(settings: Settings, transactional_id: str, **more: Any) -> Producer:
    return producer(
        settings,
        **{
            "transactional.id": transactional_id,
            "transaction.timeout.ms": settings.transaction_timeout_ms,
            **more,
        },
    )


def committed_reader(settings: Settings) -> Consumer:
    """Reads what is committed of the partitions it is given; tells where a partition ends."""
    return Consumer(
        {
            **settings.librdkafka(),
            "group.id": settings.group,  # not joined, but rights are asked for it
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 50,
            "fetch.queue.backoff.ms": 10,
            "queued.max.messages.kbytes": 65_536,
            "check.crcs": not settings.embedded,
        },
        logger=quiet_logger(),
    )


def admin(settings: Settings) -> AdminClient:
    return AdminClient(settings.librdkafka(), logger=quiet_logger())


Partition = tuple[str, int]
_spec: Any = OffsetSpec
_LATEST, _EARLIEST = _spec.latest(), _spec.earliest()


def ends(client: AdminClient, partitions: Iterable[Partition], patience_s: float = PATIENCE_S) -> dict[Partition, int]:
    """The high watermark of each partition, that is also what is not committed yet."""
    return _offsets(client, partitions, _LATEST, patience_s)


def beginnings(client: AdminClient, partitions: Iterable[Partition]) -> dict[Partition, int]:
    """The offset at which each partition's log begins."""
    return _offsets(client, partitions, _EARLIEST, PATIENCE_S)


def _offsets(
    client: AdminClient, partitions: Iterable[Partition], which: Any, patience_s: float
) -> dict[Partition, int]:
    wanted = {TopicPartition(topic, partition): which for topic, partition in partitions}
    if not wanted:
        return {}
    deadline = time.monotonic() + patience_s
    while True:
        answers = client.list_offsets(wanted, request_timeout=ANSWER_S)
        try:
            return {(one.topic, one.partition): answer.result().offset for one, answer in answers.items()}
        except KafkaException:
            _look_for_leaders(client)
            if time.monotonic() > deadline:
                raise
            time.sleep(RETRY_S)


def _look_for_leaders(client: AdminClient) -> None:
    """By itself librdkafka goes on asking the former leader of a partition for minutes."""
    with suppress(KafkaException):
        client.list_topics(timeout=ANSWER_S)


def members(settings: Settings, admin: AdminClient) -> int:
    """How many the workers' group has: who ended without a word is one until its session time-out."""
    group = admin.describe_consumer_groups([settings.group], request_timeout=ANSWER_S)[settings.group]
    return len(group.result().members)
