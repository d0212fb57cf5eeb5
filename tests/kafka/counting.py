"""A core that only counts, for tests of the shell: exact numbers, no rules.

Each identifier's touchpoints are counted at the home of the anchor, so that foreign ones travel by mail. Every drain
publishes the new counts to `profiles`; the record that makes a count a multiple of TRIGGER_EVERY is told once on
`triggers`, and so is a `test.alarm` once the clock passes its received time + ALARM_AFTER. `test.bug` raises when it
is folded, `test.late_bug` at the end of the epoch.
`python -m tests.kafka.counting` is a worker with this core.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

import msgspec

from pipeline.core.effects import Effects, Output
from pipeline.core.identifiers import Registry
from pipeline.core.times import MINUTE
from pipeline.core.touchpoint import Touchpoint
from pipeline.kafka.worker import run
from pipeline.settings import load

TRIGGER_EVERY = 5
ALARM_AFTER = 10 * MINUTE


class Bug(Exception):
    """What a core raises that has one. Its text holds personal data, as texts of real ones may."""


class Counted(msgspec.Struct, array_like=True):
    count: int = 0
    alarm: int = 0


class Letter(msgspec.Struct, array_like=True):
    name: str
    type: str
    received: int


class Shard:
    def __init__(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        self.counts = {key.decode(): msgspec.json.decode(row, type=Counted) for key, row in rows}
        self.changed: set[str] = set()


class CountingCore:
    next_held = None
    waiting = 0

    def __init__(self, registry: Registry, clock: str) -> None:
        self._registry = registry
        self._shards: dict[int, Shard] = {}
        self._effects = Effects()
        self._bug = False

    @property
    def next_due(self) -> int | None:
        alarms = [one.alarm for shard in self._shards.values() for one in shard.counts.values() if one.alarm]
        return min(alarms, default=None)

    def add(self, shard: int, /, rows: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self._shards[shard] = Shard(rows)

    def remove(self, shard: int, /) -> Shard:
        return self._shards.pop(shard)

    def restore(self, shard: int, removed: Shard, /) -> None:
        self._shards[shard] = removed

    def touch(self, shard: int, touchpoint: Touchpoint, /) -> None:
        if touchpoint.type == "test.bug":
            raise Bug(f"cannot do {touchpoint.ids[0]}")
        letter = Letter(touchpoint.ids[0], touchpoint.type, touchpoint.received)
        home = self._registry.home(touchpoint.ids[0])
        if home in self._shards:
            self._fold(home, letter)
        else:
            self._effects.mail.append((home, msgspec.json.encode(letter)))

    def receive(self, shard: int, mail: bytes, /) -> None:
        self._fold(shard, msgspec.json.decode(mail, type=Letter))

    def held(self) -> dict[str, tuple[int, int]]:
        return {"counts": (sum(len(shard.counts) for shard in self._shards.values()), 0)}

    def oldest_erasure(self) -> int:
        return 0

    def drain(self, now: int, caught_up_to: int) -> Effects:
        if self._bug:
            raise Bug("cannot do with somebody")
        effects, self._effects = self._effects, Effects()
        for number, shard in self._shards.items():
            self._ring(shard, now, effects)
            for name in shard.changed:
                counted = shard.counts[name]
                effects.outputs.append(Output("profiles", name, msgspec.json.encode(counted), f"{name}/{counted}", now))
                effects.rows.setdefault(number, {})[name.encode()] = msgspec.json.encode(counted)
            shard.changed.clear()
        return effects

    def _fold(self, number: int, letter: Letter) -> None:
        shard = self._shards[number]
        counted = shard.counts.setdefault(letter.name, Counted())
        counted.count += 1
        shard.changed.add(letter.name)
        self._bug |= letter.type == "test.late_bug"
        self._effects.counts["counted"] = self._effects.counts.get("counted", 0) + 1
        if letter.type == "test.alarm":
            counted.alarm = letter.received + ALARM_AFTER
        if counted.count % TRIGGER_EVERY == 0:
            self._tell(self._effects, letter.name, str(counted.count), letter.received)

    def _ring(self, shard: Shard, now: int, effects: Effects) -> None:
        for name, counted in shard.counts.items():
            if counted.alarm and counted.alarm <= now:
                self._tell(effects, name, f"alarm at {counted.alarm} with {counted.count}", now)
                counted.alarm = 0
                shard.changed.add(name)

    def _tell(self, effects: Effects, name: str, what: str, time: int) -> None:
        effects.outputs.append(Output("triggers", name, msgspec.json.encode(what), f"{name}/{what}", time))


if __name__ == "__main__":
    sys.exit(run(load(os.environ), CountingCore))
