"""The protocol alone: shards of the core, and all their mail in one bag, from which it comes in any order.

No broker and no process is in the way, so that far more can happen to clusters on the move than in a world: mail is
overtaken by any other, touchpoints come to any shard in any order, shards move to another worker by their rows.
Everything follows from the seed. At rest the outputs and rows are those of the oracle. Parents only fall, and
where nothing keeps persons apart none ever comes apart on the way.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import msgspec

from pipeline.core.effects import Effects
from pipeline.core.group import Group
from pipeline.core.times import DAY, SECOND
from pipeline.core.touchpoint import Id
from pipeline.core.unionfind import Node
from pipeline.kafka.state import POSITION
from tests.deployment import Deployment
from tests.histories import history
from tests.oracle import answer
from tests.published import Published
from tests.simulation.checks import State, agrees_with_the_oracle, agrees_with_the_state, knows_its_hubs
from tests.simulation.world import ladder, registry

GROWING = "growing"
"""The policy under which nothing keeps persons apart: without a veto none can ever lose an identifier, if mail to one
shard stays in order, as in a partition."""

_node = msgspec.msgpack.Decoder(Node).decode


@dataclass(frozen=True)
class Config:
    """haste: share of the steps in which a touchpoint comes; pace: ... in which an epoch ends. moves: ... in which a
    shard moves. newest: how often the newest mail is handed over instead of any."""

    seed: int
    policy: str
    size: int
    shards: int
    workers: int
    ladder: bool
    haste: float
    pace: float
    moves: float
    newest: float

    @staticmethod
    def of(seed: int) -> Config:
        rnd = Random(seed)
        return Config(
            seed=seed,
            policy=rnd.choice(("plain", "plain", "hubs", "degree", "fanout", "tight", "loose", "growing", "growing")),
            size=rnd.choice((4, 8, 14, 30, 50)),
            shards=rnd.choice((2, 3, 5, 8)),
            workers=rnd.choice((1, 2, 3, 8)),
            ladder=rnd.random() < 0.6,
            haste=rnd.choice((0.05, 0.2, 0.6)),
            pace=rnd.choice((0.1, 0.4, 0.7)),
            moves=rnd.choice((0.0, 0.05)),
            newest=rnd.choice((0.0, 0.5, 0.9)),
        )


class Bag:
    """As far as the checks of rows go, a World."""

    def __init__(self, config: Config) -> None:
        self.config, self.chance = config, Random(config.seed)
        self.registry = registry(config.policy, config.shards)
        made = history(self.chance, config.size, self.registry)
        if config.ladder:
            made = ladder(self.chance, made, self.registry)
        if config.policy == GROWING:
            made = [tp for tp in made if tp.type != "identity.unlinked"]
        self.touchpoints = made
        self._coming = list(self.touchpoints)
        self.chance.shuffle(self._coming)
        self._kept = Deployment(config.shards)
        workers = min(config.workers, config.shards)
        self._groups = [
            self._kept.worker(self.registry, "wall", [shard for shard in range(config.shards) if shard % workers == n])
            for n in range(workers)
        ]
        self._parents: dict[Id, Id] = {}
        self.now = max(tp.received for tp in made)
        self.until = self.now + 30 * DAY

    @property
    def published(self) -> Published:
        return self._kept.published

    def rows(self, shard: int) -> dict[bytes, bytes]:
        """As a World's; there are no positions here."""
        return {POSITION: b"", **self._kept.rows[shard]}

    def check(self) -> None:
        """What must hold of a bag that was run."""
        known = answer(self.touchpoints, self.registry)
        agrees_with_the_oracle(self.published, known)
        state = State(self)
        agrees_with_the_state(self.published, state)
        knows_its_hubs(state, known.hubs)

    def run(self) -> None:
        while self._coming or self._kept.mail:
            self._step()
        while self._settle():
            pass
        self.now = self.until
        while self._settle():
            pass
        published = len(self.published.changes)
        for group in self._groups:
            self._commit(group.finish(self.now))
        for change in self.published.changes[published:]:
            assert not {"identity", "lineage"}.intersection(change["changed"]), "a publication was forgotten"
        if self.config.policy == GROWING:
            assert all(change["kind"] != "split" for change in self.published.changes), "a person came apart on the way"

    def _step(self) -> None:
        chance, config = self.chance, self.config
        self.now += SECOND // 10
        if self._coming and chance.random() < config.haste:
            shard = chance.randrange(config.shards)
            self._owner(shard).touch(shard, self._coming.pop())
        elif self._kept.mail and chance.random() > config.pace:
            newest = chance.random() < config.newest
            place = -1 if newest else chance.randrange(len(self._kept.mail))
            if config.policy == GROWING:
                place = next(n for n, sent in enumerate(self._kept.mail) if sent[0] == self._kept.mail[place][0])
            shard, message = self._kept.mail.pop(place)
            self._owner(shard).receive(shard, message)
        elif chance.random() < config.moves:
            self._move(chance.randrange(config.shards), chance.choice(self._groups))
        else:
            self._drain(chance.choice(self._groups))

    def _settle(self) -> bool:
        """Ends an epoch everywhere and hands over all mail; whether there was any."""
        for group in self._groups:
            self._drain(group)
        sent, self._kept.mail = self._kept.mail, []
        if self.config.policy != GROWING:
            self.chance.shuffle(sent)
        for shard, message in sent:
            self._owner(shard).receive(shard, message)
        return bool(sent)

    def _owner(self, shard: int) -> Group:
        return next(group for group in self._groups if shard in group.shards)

    def _move(self, shard: int, to: Group) -> None:
        owner = self._owner(shard)
        if owner is not to:
            self._drain(owner)
            owner.remove(shard)
            to.add(shard, list(self._kept.rows[shard].items()))

    def _drain(self, group: Group) -> None:
        self._commit(group.drain(self.now, self.now))

    def _commit(self, effects: Effects) -> None:
        self._parents_fall(effects)
        self._kept.commit(effects)

    def _parents_fall(self, effects: Effects) -> None:
        """So whoever climbs gets to a root, and the way to it only gets shorter."""
        order = self.registry.order
        for rows in effects.rows.values():
            for node in (_node(row) for key, row in rows.items() if key[:1] == b"N" and row is not None):
                before = self._parents.get(node.id)
                assert before is None or (node.parent is not None and order(node.parent) <= order(before)), (
                    "a parent rises"
                )
                if node.parent is not None:
                    self._parents[node.id] = node.parent
