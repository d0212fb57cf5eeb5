"""The broker in memory without faults, for tests of single parts of the protocol.

These make happen themselves what they are about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from pipeline.settings import Settings
from tests.simulation.broker import Broker, Partition, TopicPartition, Transaction
from tests.simulation.clients import Outside

SHARDED, SINGLE = ("touchpoints", "mail", "state"), ("profiles", "dead-letters", "progress")


def broker(settings: Settings) -> Broker:
    """With empty topics."""
    topics = {settings.topic(name): [Partition() for _ in range(settings.shards)] for name in SHARDED}
    topics |= {settings.topic(name): [Partition()] for name in SINGLE}
    return Broker(topics, lambda topic: None)


class Calm:
    """A process as far as its clients ask. Time passes only for who waits. before_effect, waits: called at each effect,
    and each time somebody has waited. late: the markers of commits stay unwritten until `write_markers`."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.outside = Outside(self)
        self.time, self.time_of_day = 0.0, 1_772_359_200_000_000
        self.before_effect: Callable[[], object] = lambda: None
        self.waits: Callable[[], object] = lambda: None
        self.late = False
        self._unmarked: list[Transaction] = []

    def effect(self, *, may_fail: bool = False) -> bool:
        self.before_effect()
        return False

    def wait(self, seconds: float) -> None:
        self.time += seconds
        self.waits()

    def mixed(self, things: Iterable[Any]) -> list[Any]:
        return list(things)

    def sent(self, where: TopicPartition, records: list[Any]) -> list[Any]:
        return records

    def opened(self, id: str, transaction: Transaction) -> None: ...

    def decided(self, transaction: Transaction) -> None:
        self._unmarked.append(transaction)
        if not self.late:
            self.write_markers()

    def write_markers(self) -> None:
        for transaction in self._unmarked:
            for where in list(transaction.where):
                self.broker.mark(transaction, where)
        self._unmarked.clear()
