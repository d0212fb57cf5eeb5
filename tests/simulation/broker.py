"""Kafka in memory: partitions with transactions, and who may write in the name of a transactional id.

No time and no chance in here: the world decides when markers are written, when logs are compacted and who fails. What a
transaction wrote holds up readers of what is committed until its marker stands in the partition; markers take an
offset, aborted records are passed over.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException

Headers = list[tuple[str, bytes | None]]
TopicPartition = tuple[str, int]


class Transaction:
    """`committed`: None while it is open. `where`: partitions without its marker yet."""

    __slots__ = ("committed", "where")

    def __init__(self) -> None:
        self.committed: bool | None = None
        self.where: dict[TopicPartition, None] = {}


class Record(NamedTuple):
    """As aiokafka's batches give it to a reader of blocks. timestamp in ms."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    transaction: Transaction | None


_offset = attrgetter("offset")


class Partition:
    def __init__(self) -> None:
        self.records: list[Record] = []
        self.end = 0
        """High watermark."""
        self._open: dict[Transaction, int] = {}

    @property
    def stable(self) -> int:
        """Up to here everything is decided."""
        return min(self._open.values(), default=self.end)

    def append(
        self,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        timestamp: int = 0,
        transaction: Transaction | None = None,
    ) -> int:
        offset = self.end
        if transaction is not None:
            self._open.setdefault(transaction, offset)
        self.records.append(Record(offset, timestamp, key, value, headers, transaction))
        self.end += 1
        return offset

    def mark(self, transaction: Transaction) -> None:
        """Writes the marker of a transaction that is decided."""
        if self._open.pop(transaction, None) is not None:
            self.end += 1

    def read(self, position: int, most: int) -> tuple[list[Record], int]:
        """Committed records from `position` on, and where to read on."""
        stable, found = self.stable, []
        for place in range(bisect_left(self.records, position, key=_offset), len(self.records)):
            record = self.records[place]
            if record.offset >= stable:
                break
            if record.transaction is None or record.transaction.committed:
                if len(found) == most:
                    return found, record.offset
                found.append(record)
        return found, max(stable, position)

    def compact(self) -> None:
        """Of what is decided the newest record of each key stays. Deleted keys stay deleted as long as readers take."""
        stable = self.stable
        visible = [one for one in self.records if one.transaction is None or one.transaction.committed]
        newest = {record.key: record.offset for record in visible if record.offset < stable}
        self.records = [one for one in self.records if one.offset >= stable or newest.get(one.key) == one.offset]


@dataclass
class Identity:
    """A transactional id. epoch: of the producer that may use it."""

    epoch: int = -1
    transaction: Transaction | None = None


@dataclass
class Broker:
    """`grown`: told of topics in which there is more to read."""

    topics: dict[str, list[Partition]]
    grown: Callable[[str], None]
    ids: dict[str, Identity] = field(default_factory=lambda: defaultdict(Identity))
    deciding: dict[str, Transaction] = field(default_factory=dict)
    """By transactional id: committed, and some markers are missing."""

    def __getitem__(self, partition: TopicPartition) -> Partition:
        topic, number = partition
        return self.topics[topic][number]

    @property
    def decided(self) -> bool:
        """Whether no transaction is open and no marker missing."""
        return all(one.stable == one.end for topic in self.topics.values() for one in topic)

    def init(self, id: str) -> int:
        """A new producer for `id`: what its predecessor left open is aborted, and it can write no more."""
        self.finish(id)
        self.abort(id)
        identity = self.ids[id]
        identity.epoch += 1
        return identity.epoch

    def abort(self, id: str) -> None:
        """The coordinator gives up an open transaction, and its producer."""
        identity = self.ids[id]
        transaction, identity.transaction = identity.transaction, None
        if transaction is not None:
            identity.epoch += 1
            transaction.committed = False
            self._mark_all(transaction)

    def write(self, id: str, epoch: int, where: TopicPartition, records: list[tuple[bytes | None, ...]]) -> None:
        """Appends (key, value, headers) to a partition within the transaction of `id`."""
        self._check(id, epoch)
        self.finish(id)
        identity = self.ids[id]
        if identity.transaction is None:
            identity.transaction = Transaction()
        identity.transaction.where[where] = None
        for key, value, headers in records:
            self[where].append(key, value, headers, transaction=identity.transaction)

    def commit(self, id: str, epoch: int) -> Transaction | None:
        """Decides for the open transaction; its markers are still to be written."""
        self._check(id, epoch)
        identity = self.ids[id]
        transaction, identity.transaction = identity.transaction, None
        if transaction is not None:
            transaction.committed = True
            self.deciding[id] = transaction
        return transaction

    def mark(self, transaction: Transaction, where: TopicPartition) -> None:
        if where in transaction.where:
            del transaction.where[where]
            self[where].mark(transaction)
            self.grown(where[0])

    def finish(self, id: str) -> None:
        """Writes the markers that are missing."""
        transaction = self.deciding.pop(id, None)
        if transaction is not None:
            self._mark_all(transaction)

    def _mark_all(self, transaction: Transaction) -> None:
        for where in list(transaction.where):
            self.mark(transaction, where)

    def _check(self, id: str, epoch: int) -> None:
        if self.ids[id].epoch != epoch:
            raise KafkaException(KafkaError(KafkaError._FENCED, "the producer is fenced", fatal=True))
