"""Following a topic: its committed records as they come, from the beginning or from now on, until stopped.

No consumer group is joined and nothing is committed: looking on leaves no trace. When the brokers are gone it says so
once, waits as at the start, and gives up with BrokerAbsent.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any, NamedTuple

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from pipeline.kafka.connect import PATIENCE_S, Tell, connect, quiet_logger
from pipeline.kafka.topics import partitions
from pipeline.settings import Settings

POLL_S = 0.5
ANSWER_S = 10.0


class Record(NamedTuple):
    """What a topic holds. value None: a tombstone. headers: as sent, undecodable bytes replaced."""

    key: str
    value: bytes | None
    headers: dict[str, str]
    partition: int
    offset: int


def follow(
    settings: Settings, topic: str, tell: Tell, *, from_beginning: bool = False, patience_s: float = PATIENCE_S
) -> Generator[Record, None, None]:
    """Records of a topic (name without prefix), endless. Raises BrokerAbsent, TopicsWrong, or KafkaException for what
    the brokers refuse. tell: takes a line for the operator."""
    count = partitions(settings, connect(settings, tell, patience_s), topic)
    down: list[str] = []
    consumer = Consumer(_configuration(settings, topic, down), logger=quiet_logger())
    name = settings.topic(topic)
    try:
        wanted = [TopicPartition(name, partition, OFFSET_BEGINNING) for partition in range(count)]
        consumer.assign(wanted if from_beginning else [_end(consumer, one) for one in wanted])
        tell(f"following {name}")
        while True:
            message = consumer.poll(POLL_S)
            if down:
                connect(settings, tell, patience_s)
                down.clear()
            if message is not None:
                yield _record(message)
    finally:
        consumer.close()


def _configuration(settings: Settings, topic: str, down: list[str]) -> dict[str, Any]:
    def note(error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            down.append(error.str())

    return {
        **settings.librdkafka(),
        "group.id": f"{settings.topic(topic)}.follow",  # not joined, but rights are asked for it
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
        "fetch.wait.max.ms": 100,
        "error_cb": note,
    }


def _end(consumer: Consumer, partition: TopicPartition) -> TopicPartition:
    """Where the committed records end now, so that what comes after the first line told is never missed."""
    deadline = time.monotonic() + ANSWER_S
    while True:
        try:
            _, end = consumer.get_watermark_offsets(partition, timeout=ANSWER_S)
            return TopicPartition(partition.topic, partition.partition, end)
        except KafkaException:
            if time.monotonic() > deadline:
                raise
            consumer.list_topics(partition.topic, timeout=ANSWER_S)  # a new leader is not asked before it is known


def _record(message: Message) -> Record:
    error = message.error()
    if error is not None:
        raise KafkaException(error)
    return Record(
        key=_text(message.key()),
        value=_bytes(message.value()),
        headers={str(name): _text(value) for name, value in _pairs(message.headers())},
        partition=message.partition() or 0,
        offset=message.offset() or 0,
    )


def _pairs(headers: Any) -> list[tuple[Any, Any]]:
    """confluent-kafka types headers as a dict or a list; consumers get a list."""
    return list(headers or [])


def _text(value: str | bytes | None) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value or ""


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
