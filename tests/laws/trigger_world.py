"""How histories of triggers are run: processes with shards, partitions that are read with a lag, mail that takes its
time, ticks. The groups are the product's; who may believe what was read (`progress`) is modelled here:

* a shard says how far it has read: to the clock if nothing is left, else to the last touchpoint read;
* it says so only after the mail of that epoch was sent; whoever ticks reads its own mail to the end first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

import msgspec

from pipeline.core.group import Group
from pipeline.core.identifiers import Registry
from pipeline.core.times import DAY, MINUTE
from pipeline.core.touchpoint import Touchpoint
from tests.core.shopper import NOON, Facts

UNTIL = NOON + 9 * DAY
"""Clock at the end: all that a history can lead to is over."""

Record = dict[str, Any]


@dataclass(frozen=True)
class Layout:
    """lag: how many minutes later than it arrives a partition is read, at most. ticks: how many at random times, beside
    those that the groups ask for. asked: whether these are met, to the minute. repeats: share of touchpoints that are
    sent again."""

    shards: int = 1
    processes: int = 1
    lag: int = 0
    ticks: int = 0
    asked: bool = True
    repeats: float = 0.0

    @staticmethod
    def of(rnd: Random, *, lag: bool = False) -> Layout:
        shards = rnd.choice((2, 3) if lag else (1, 2, 3))
        return Layout(
            shards,
            rnd.choice((1, shards)),
            rnd.choice((5, 13)) if lag else 0,
            rnd.choice((0, 3)),
            lag or rnd.random() < 0.7,
            rnd.choice((0.0, 0.3)),
        )


class TriggerWorld:
    def __init__(self, facts: Facts, layout: Layout, rnd: Random) -> None:
        self.layout, self.rnd = layout, rnd
        self.registry = Registry(facts.registry.policy, shards=layout.shards)
        self.groups = [Group(self.registry, "wall", durable=False, documents=False) for _ in range(layout.processes)]
        for shard in range(layout.shards):
            self._group(shard).add(shard)
        self.mail: list[list[tuple[int, bytes]]] = [[] for _ in self.groups]
        self.logs = self._logs(facts)
        self.read = [0] * layout.shards
        """How far each shard has read."""
        self.known = 0
        """The smallest of these, as written in the last epoch of each."""
        self.records: list[Record] = []
        self.taken: list[Touchpoint] = []
        """What was read."""

    def _group(self, shard: int) -> Group:
        return self.groups[shard % self.layout.processes]

    def _logs(self, facts: Facts) -> list[list[tuple[int, Touchpoint]]]:
        """Of each shard (when it is read, what)."""
        sent = [(tp.received, tp) for tp in facts.all]
        repeated = [one for one in sent if self.rnd.random() < self.layout.repeats]
        sent += [(time + self.rnd.choice((0, 90 * MINUTE)), tp) for time, tp in repeated]
        logs: list[list[tuple[int, Touchpoint]]] = [[] for _ in range(self.layout.shards)]
        lags = [self.rnd.randint(0, self.layout.lag) * MINUTE for _ in logs]
        for time, tp in sorted(sent, key=lambda one: one[0]):
            shard = self.registry.home(tp.ids[0]) if self.rnd.random() < 0.8 else self.rnd.randrange(len(logs))
            logs[shard].append((time + lags[shard], tp))
        return logs

    def run(self) -> Iterator[int]:
        """Yields the clock after each tick in which something was read or published."""
        ticks = sorted(NOON + self.rnd.randrange(9 * 24 * 60) * MINUTE for _ in range(self.layout.ticks))
        now = NOON
        while now < UNTIL:
            due = [log[0][0] for log in self.logs if log] + ticks[:1] + [UNTIL]
            due += [now + MINUTE] if any(self.mail) or any(group.next_held for group in self.groups) else []
            if self.layout.asked:
                due += [-(-asked // MINUTE) * MINUTE for group in self.groups if (asked := group.next_due) is not None]
            now = max(now, min(due))
            ticks = [tick for tick in ticks if tick > now]
            before = len(self.records), len(self.taken)
            self._tick(now)
            if now == UNTIL:
                self._tick(now)
                self._deliver(now)
            if before != (len(self.records), len(self.taken)):
                yield now

    def _tick(self, now: int) -> None:
        self._deliver(now)
        self._epoch(now)

    def _epoch(self, now: int) -> None:
        read = self._take(now)
        for number in range(len(self.groups)):
            self._drain(number, now)
        self.read, self.known = read, min(read)

    def _take(self, now: int) -> list[int]:
        """Reads what is to be read by now; answers how far each shard then is."""
        read = []
        for shard, log in enumerate(self.logs):
            last = self.read[shard]
            while log and log[0][0] <= now:
                last = max(last, log[0][1].received)
                self.taken.append(log.pop(0)[1])
                self._group(shard).touch(shard, self.taken[-1])
            arrived = [tp.received for _, tp in log if tp.received <= now]
            read.append(last if arrived else now)
        return read

    def _drain(self, number: int, now: int) -> None:
        effects = self.groups[number].drain(now, self.known)
        for shard, message in effects.mail:
            self.mail[shard % self.layout.processes].append((shard, message))
        for output in effects.outputs:
            if output.topic == "triggers":
                self.records.append(msgspec.json.decode(output.value or b""))

    def _deliver(self, now: int) -> None:
        """Reads all mail to the end."""
        while any(self.mail):
            for number, waiting in enumerate(self.mail):
                self.mail[number] = []
                for shard, message in waiting:
                    self.groups[number].receive(shard, message)
                if waiting:
                    self._drain(number, now)
