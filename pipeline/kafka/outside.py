"""What is outside a worker process and decides what becomes of it: the logs of Kafka, and time.

The protocol (epoch, recovery, progress, postmortem) knows nothing else of the world. `Kafka` is the real one; the
simulation of the tests has another in memory, with transactions, and crashes between any two calls. Clients behave as
confluent-kafka's do, down to the errors: KafkaException with a KafkaError.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, cast

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from pipeline.kafka import clients
from pipeline.kafka.clients import ANSWER_S, PATIENCE_S, Partition
from pipeline.settings import Settings

RETRY_S = 0.1

Headers = list[tuple[str, str | bytes | None]]


class Message(Protocol):
    """A record that was read, or an error of its partition in place of one."""

    def topic(self) -> str: ...

    def partition(self) -> int: ...

    def offset(self) -> int: ...

    def key(self) -> bytes | None: ...

    def value(self) -> bytes | None: ...

    def headers(self) -> list[tuple[str, bytes | None]] | None: ...

    def timestamp(self) -> tuple[int, int]: ...

    def error(self) -> KafkaError | None: ...


Delivered = Callable[[KafkaError | None, Message], None]
"""Told of a record that was written, or of one that was not and why."""


class Producer(Protocol):
    """Raises KafkaException; `produce` raises BufferError while the queue is full."""

    def init_transactions(self, timeout: float) -> None: ...

    def begin_transaction(self) -> None: ...

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        partition: int,
        on_delivery: Delivered | None = None,
        *,
        headers: Headers | None = None,
    ) -> None: ...

    def poll(self, timeout: float) -> int: ...

    def flush(self, timeout: float) -> int: ...

    def commit_transaction(self, timeout: float) -> None: ...


class Reader(Protocol):
    """Reads what is committed, and tells where a partition ends (an error _PARTITION_EOF)."""

    def assign(self, partitions: list[TopicPartition]) -> None: ...

    def consume(self, num_messages: int, timeout: float) -> Sequence[Message]: ...

    def close(self) -> None: ...


class Outside(Protocol):
    """See the head of the file. Times in seconds; `time_of_day` in microseconds since 1970. Calls block."""

    def transactional(self, transactional_id: str, on_delivery: Delivered | None = None) -> Producer: ...

    def plain(self) -> Producer:
        """Writes at once and tells of every record where it is."""

    def reader(self) -> Reader: ...

    def partitions(self, topic: str) -> list[int]: ...

    def ends(self, partitions: Iterable[Partition], patience_s: float = PATIENCE_S) -> dict[Partition, int]:
        """The high watermark of each partition, that is also what is not committed yet."""

    def beginnings(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """The offset at which each partition's log begins."""

    def monotonic(self) -> float: ...

    def time_of_day(self) -> int: ...

    def sleep(self, seconds: float) -> None: ...


class Kafka:
    """The real outside."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._admin = clients.admin(settings)

    def transactional(self, transactional_id: str, on_delivery: Delivered | None = None) -> Producer:
        more = {} if on_delivery is None else {"on_delivery": on_delivery}
        return cast(Producer, clients.transactional(self._settings, transactional_id, **more))

    def plain(self) -> Producer:
        return cast(Producer, clients.producer(self._settings, **{"delivery.report.only.error": False, "linger.ms": 0}))

    def reader(self) -> Reader:
        return cast(Reader, clients.committed_reader(self._settings))

    def partitions(self, topic: str) -> list[int]:
        return sorted(self._admin.list_topics(topic, timeout=ANSWER_S).topics[topic].partitions)

    def ends(self, partitions: Iterable[Partition], patience_s: float = PATIENCE_S) -> dict[Partition, int]:
        return clients.ends(self._admin, partitions, patience_s)

    def beginnings(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        return clients.beginnings(self._admin, partitions)

    def monotonic(self) -> float:
        return time.monotonic()

    def time_of_day(self) -> int:
        return time.time_ns() // 1_000

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def retry(outside: Outside, action: Callable[[], Any], giving_up: Callable[[], bool] = lambda: False) -> None:
    """Repeats what the broker may yet grant. Raises KafkaException for what it never will, and once `giving_up`."""
    while True:
        try:
            action()
            return
        except KafkaException as exception:
            error = exception.args[0]
            if error.fatal() or error.txn_requires_abort() or not error.retriable() or giving_up():
                raise
        outside.sleep(RETRY_S)
