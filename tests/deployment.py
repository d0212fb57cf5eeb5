"""What a deployment keeps, without Kafka: state rows by shard and what its outputs say. Workers come and go."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from pipeline.core.effects import Effects
from pipeline.core.group import Group
from pipeline.core.identifiers import Registry
from pipeline.core.touchpoint import Touchpoint
from tests.histories import home
from tests.published import Published


class Deployment:
    def __init__(self, shards: int) -> None:
        self.rows: dict[int, dict[bytes, bytes]] = {shard: {} for shard in range(shards)}
        self.published = Published()
        self.mail: list[tuple[int, bytes]] = []
        """Sent by a worker to the shard of another: shard, message."""

    def worker(self, registry: Registry, clock: str = "record", shards: Collection[int] | None = None) -> Group:
        """A group that owns these shards (None: all) as the state has them."""
        group = Group(registry, clock)
        for shard, rows in self.rows.items():
            if shards is None or shard in shards:
                group.add(shard, list(rows.items()))
        return group

    def commit(self, effects: Effects) -> None:
        self.mail += effects.mail
        for shard, changed in effects.rows.items():
            for key, row in changed.items():
                if row is None:
                    self.rows[shard].pop(key, None)
                else:
                    self.rows[shard][key] = row
        for output in effects.outputs:
            self.published.take(output)

    def run(self, registry: Registry, touchpoints: Iterable[Touchpoint], now: int, clock: str = "record") -> None:
        """A worker reads these in one epoch that ends at `now`, publishes all that waits, and is stopped."""
        group = self.worker(registry, clock)
        for tp in touchpoints:
            group.touch(home(tp, registry), tp)
        self.settle([group], now)
        self.commit(group.finish(now))

    def settle(self, workers: Sequence[Group], now: int) -> None:
        """Epochs of these workers, which own all shards, until no mail is on its way."""
        while True:
            for group in workers:
                self.commit(group.drain(now, now))
            if not self.mail:
                return
            sent, self.mail = self.mail, []
            for shard, message in sent:
                owner = next(group for group in workers if shard in group.shards)
                owner.receive(shard, message)
