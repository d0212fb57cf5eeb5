"""What a deployment keeps, without Kafka: state rows by shard and what its outputs say. Workers come and go."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.core.effects import Effects
from pipeline.core.group import Group
from pipeline.core.identifiers import Registry
from pipeline.core.touchpoint import Touchpoint
from tests.published import Published


class Deployment:
    def __init__(self, shards: int) -> None:
        self.rows: dict[int, dict[bytes, bytes]] = {shard: {} for shard in range(shards)}
        self.published = Published()

    def worker(self, registry: Registry, clock: str = "record") -> Group:
        """A group that owns all shards as the state has them."""
        group = Group(registry, clock)
        for shard, rows in self.rows.items():
            group.add(shard, list(rows.items()))
        return group

    def commit(self, effects: Effects) -> None:
        assert not effects.mail, "mail among the shards of one worker is a function call"
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
            group.touch(registry.home(tp.ids[0]), tp)
        self.commit(group.drain(now, now))
        self.commit(group.finish(now))
