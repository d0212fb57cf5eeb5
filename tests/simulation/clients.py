"""The clients of one simulated process, on the broker in memory: what pipeline.kafka.outside asks for.

Each call is an effect: the process may be slow there, be paused, or die, before and after what the call does. Records
of a transaction wait in the client and are written partition by partition, in any order: so mail of several senders
mixes in any way.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from confluent_kafka import TIMESTAMP_CREATE_TIME, KafkaError, KafkaException

from tests.simulation.broker import Broker, TopicPartition, Transaction


class Host(Protocol):
    """The process that the clients are part of."""

    broker: Broker

    def effect(self, *, may_fail: bool = False) -> bool:
        """Here something may happen to the process. may_fail: also that an answer is lost (KafkaException). Gives
        whether the queue of records is full."""

    def wait(self, seconds: float) -> None: ...

    def mixed(self, things: Iterable[Any]) -> list[Any]:
        """In any order."""

    def sent(self, where: TopicPartition, records: list[Any]) -> list[Any]:
        """The order in which records of one transaction come to stand in a partition."""

    def opened(self, id: str, transaction: Transaction) -> None:
        """A transaction has begun: the broker will not wait for ever."""

    def decided(self, transaction: Transaction) -> None:
        """A transaction was committed: its markers are to be written."""

    @property
    def time(self) -> float: ...

    @property
    def time_of_day(self) -> int: ...


class Message:
    """As confluent-kafka's."""

    def __init__(self, where: TopicPartition, offset: int, record: Any = None, error: KafkaError | None = None) -> None:
        self._where, self._offset, self._record, self._error = where, offset, record, error

    def topic(self) -> str:
        return self._where[0]

    def partition(self) -> int:
        return self._where[1]

    def offset(self) -> int:
        return self._offset

    def key(self) -> bytes | None:
        return None if self._record is None else self._record.key  # type: ignore[no-any-return]

    def value(self) -> bytes | None:
        return None if self._record is None else self._record.value  # type: ignore[no-any-return]

    def headers(self) -> list[tuple[str, bytes | None]] | None:
        return self._record.headers or None

    def timestamp(self) -> tuple[int, int]:
        return TIMESTAMP_CREATE_TIME, 0 if self._record is None else self._record.timestamp

    def error(self) -> KafkaError | None:
        return self._error


class Transactional:
    def __init__(self, host: Host, id: str) -> None:
        self._host, self._id, self._epoch = host, id, -1
        self._queued: dict[TopicPartition, list[Any]] = {}
        self._fatal: KafkaException | None = None
        self._begun = False

    def init_transactions(self, timeout: float) -> None:
        self._host.effect(may_fail=True)
        self._epoch = self._host.broker.init(self._id)
        self._host.effect()

    def begin_transaction(self) -> None:
        self._host.effect()
        if self._fatal is not None:
            raise self._fatal
        if self._begun:
            raise KafkaException(KafkaError(KafkaError._STATE, "a transaction is under way"))
        self._begun = True

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        partition: int,
        on_delivery: object = None,
        *,
        headers: Any = None,
    ) -> None:
        if self._host.effect():
            raise BufferError
        if self._fatal is not None:
            raise self._fatal
        where = topic, max(partition, 0)
        self._queued.setdefault(where, []).append((key, value, headers or []))

    def poll(self, timeout: float) -> int:
        for where in self._host.mixed(self._queued)[:1]:
            self._write(where)
        return 0

    def flush(self, timeout: float) -> int:
        for where in self._host.mixed(self._queued):
            self._write(where)
        return 0

    def commit_transaction(self, timeout: float) -> None:
        self.flush(timeout)
        self._host.effect(may_fail=True)
        transaction = self._tried(lambda: self._host.broker.commit(self._id, self._epoch))
        if transaction is not None:
            self._host.decided(transaction)
        self._host.effect(may_fail=True)
        self._begun = False

    def _write(self, where: TopicPartition) -> None:
        self._host.effect()
        records = self._host.sent(where, self._queued.pop(where))
        before = self._host.broker.ids[self._id].transaction
        self._tried(lambda: self._host.broker.write(self._id, self._epoch, where, records))
        transaction = self._host.broker.ids[self._id].transaction
        if before is None and transaction is not None:
            self._host.opened(self._id, transaction)

    def _tried(self, call: Any) -> Any:
        try:
            return call()
        except KafkaException as error:
            self._fatal = error
            raise


class Plain:
    """Without transactions: what is flushed is there."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._queued: list[Any] = []

    def produce(
        self, topic: str, value: bytes | None, key: bytes | None, partition: int, on_delivery: Any = None
    ) -> None:
        self._queued.append(((topic, partition), value, key, on_delivery))

    def flush(self, timeout: float) -> int:
        for where, value, key, on_delivery in self._host.mixed(self._queued):
            self._host.effect()
            offset = self._host.broker[where].append(key, value, [])
            self._host.effect()
            on_delivery(None, Message(where, offset))
        self._queued.clear()
        return 0


class Reader:
    """Reads what is committed."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._positions: dict[TopicPartition, int] = {}
        self._told: set[TopicPartition] = set()

    def assign(self, partitions: list[Any]) -> None:
        self._positions = {(one.topic, one.partition): one.offset for one in partitions}
        self._told.clear()

    def consume(self, num_messages: int, timeout: float) -> list[Message]:
        self._host.effect()
        found: list[Message] = []
        for where, position in self._positions.items():
            found += self._read(where, position, num_messages - len(found))
        if not found and timeout:
            self._host.wait(timeout)
        return found

    def _read(self, where: TopicPartition, position: int, most: int) -> list[Message]:
        records, after = self._host.broker[where].read(position, most)
        self._positions[where] = after
        if after != position:
            self._told.discard(where)
        messages = [Message(where, record.offset, record) for record in records]
        if after >= self._host.broker[where].stable and where not in self._told:
            self._told.add(where)
            messages.append(Message(where, after, None, KafkaError(KafkaError._PARTITION_EOF)))
        return messages

    def close(self) -> None:
        self._positions = {}


class Outside:
    """See the head of the file."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def transactional(self, transactional_id: str, on_delivery: object = None) -> Transactional:
        return Transactional(self._host, transactional_id)

    def plain(self) -> Plain:
        return Plain(self._host)

    def reader(self) -> Reader:
        return Reader(self._host)

    def partitions(self, topic: str) -> list[int]:
        return list(range(len(self._host.broker.topics[topic])))

    def ends(self, partitions: Iterable[TopicPartition], patience_s: float = 60.0) -> dict[TopicPartition, int]:
        self._host.effect(may_fail=not patience_s)
        return {where: self._host.broker[where].end for where in partitions}

    def beginnings(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        self._host.effect()
        return dict.fromkeys(partitions, 0)

    def monotonic(self) -> float:
        return self._host.time

    def time_of_day(self) -> int:
        return self._host.time_of_day

    def sleep(self, seconds: float) -> None:
        self._host.wait(seconds)
