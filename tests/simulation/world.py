"""A simulated world: workers as in production on a broker in memory, producers, and faults.

Everything happens at a virtual time, one thing after the other, by one seeded generator: a seed is a world. Producers
send touchpoints for a while; as long as they do and some time longer, the faults of the configuration happen. Then
nothing is touched any more, and within a bounded time everything must have come to rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from heapq import heappop, heappush
from itertools import count, pairwise
from math import inf
from random import Random
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import msgspec
from faust.types import TP
from greenlet import getcurrent

from pipeline.core.effects import Effects, Output
from pipeline.core.group import Group
from pipeline.core.identifiers import Registry
from pipeline.core.times import DAY, HOUR, SECOND
from pipeline.core.touchpoint import Data, Id, Rejected, Touchpoint
from pipeline.dialects import Reader
from pipeline.kafka import failstop, owner
from pipeline.settings import Settings
from tests.histories import START, history, identifiers, policy, possible, touchpoint, wares
from tests.simulation.broker import Broker, Partition, Transaction
from tests.simulation.config import Config
from tests.simulation.membership import BEAT_S, SESSION_S, Membership
from tests.simulation.process import Ended, Process

UNTIL = START + 5 * DAY
"""Record clock at the end: all input was received before."""
OUTPUTS = ("profiles", "identities", "profile-changes", "triggers", "products", "dead-letters")
TRANSACTION_S = 4.0
FAULT_EVERY_S = 1.5
EFFECTS_MAX = 120
"""Between two troubles."""
MARKER_S = 0.2
LAG_S = 0.2
LADDER = 2_000
"""Above the numbers of other touchpoints."""
REST_S = 200.0
"""So long after the last fault everything must have come to rest."""
POISON = (b"", b"\x00\xff\xfe", b"{", b'{"id": 1', b"[[[[", b'{"specversion": "1.0"}', b"null", b'"\\ud800"')

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Touchpoint).decode
TOUCHPOINT = b"\xc1"
"""Before a touchpoint that the simulation sends; no JSON begins so."""


@cache
def registry(name: str, shards: int) -> Registry:
    return Registry(policy(name), shards=shards)


def ladder(chance: Random, touchpoints: list[Touchpoint], registry: Registry) -> list[Touchpoint]:
    """Instead of many of the touchpoints such that make clusters, from the weakest identifiers on, and then link each
    to one with a smaller root: so clusters are handed on and on."""
    steps = sorted(identifiers(registry), key=registry.order, reverse=True)
    size = chance.choice((1, 2, 3))
    groups = [steps[start : start + size] for start in range(0, len(steps) - size, size)]
    together = [group for group in groups if size > 1] + [[one[-1], other[-1]] for one, other in pairwise(groups)]
    rungs = iter([rung for rung in together if possible(rung, "page.viewed", registry)])
    made: list[Touchpoint] = []
    climbed: list[list[Id]] = []
    for number, tp in enumerate(touchpoints):
        if chance.random() < 0.2:
            made.append(tp)
            continue
        if not climbed or chance.random() < 0.7:
            climbed += [rung] if (rung := next(rungs, None)) else []
        if climbed:
            rung = climbed[-1] if chance.random() < 0.7 else chance.choice(climbed)
            tp = touchpoint(LADDER + number, "page.viewed", tp.channel, rung, tp.time, tp.received, 0, registry)
        made.append(tp)
    return made


class Bytes:
    """Reads what the simulation sends, and everything else as the real reader does."""

    def __init__(self, registry: Registry) -> None:
        self._reader = Reader(registry)

    def read(self, value: bytes | None, timestamp: int | None, headers: Any = ()) -> list[Touchpoint | Rejected]:
        if value is not None and value.startswith(TOUCHPOINT):
            return [_decode(memoryview(value)[1:])]
        return self._reader.read(value, timestamp, headers)


class Bug(Exception):
    """In the core."""


class Core(Group):
    """The real one, except that it cannot do with some touchpoints, at once or at the end of the epoch."""

    _broken = False

    def touch(self, shard: int, touchpoint: Touchpoint) -> None:
        if touchpoint.type == "bug.at_once":
            raise Bug
        if touchpoint.type == "bug.later":
            self._broken = True
        else:
            super().touch(shard, touchpoint)

    def drain(self, now: int, caught_up_to: int) -> Effects:
        if self._broken:
            raise Bug
        return super().drain(now, caught_up_to)


class World:
    """See the head of the file. `log`: what happened to processes, for who looks into a failure."""

    def __init__(self, config: Config, touchpoints: list[Touchpoint] | None = None) -> None:
        self.config = config
        self.chance = Random(config.seed)
        self.registry = registry(config.policy, config.shards)
        """Of the policy with which workers are started now."""
        self._skip: set[tuple[str, int, int]] = set()
        made = history(self.chance, config.size, self.registry)
        if config.ladder:
            made = ladder(self.chance, made, self.registry)
        if config.seed % 4 == 1:
            made += wares(Random(config.seed), config.size // 2, self.registry)
        self.touchpoints = made if touchpoints is None else touchpoints
        self.settings = self._settings()
        sharded = {name: [Partition() for _ in range(config.shards)] for name in ("touchpoints", "mail", "state")}
        topics = sharded | {name: [Partition()] for name in (*OUTPUTS, "progress")}
        self.broker = Broker({self.settings.topic(name): topic for name, topic in topics.items()}, self._feed)
        self.processes: list[Process] = []
        self.time = 0.0
        self._lazy = {shard for shard in range(config.shards) if self.chance.random() < 0.4}
        self.epoch_s, self.look_s, self.block = config.epoch_s, config.look_s, config.block
        self.log: list[tuple[float, str, str]] = []
        self.error: BaseException | None = None
        self.refused = 0
        """Records that must be among the dead letters."""
        self.until = UNTIL
        self.sweep: list[Output] = []
        """What the next daily sweep will publish."""
        self._faults = config.faults
        self._group = Membership(self.chance, config.shards)
        self._wall = START
        self._events: list[tuple[float, int, Process | None, Callable[[], object]]] = []
        self._sequence = count()
        self._quiet_since = inf
        self._current: Process | None = None
        self._last_words = ""

    # -- the run -----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Until everything is at rest."""
        self.hub = getcurrent()
        self._send()
        self.processes = [self._started(number) for number in range(self.config.processes)]
        self.at(BEAT_S, self._beat)
        faulty_s = self.config.haste + self.chance.uniform(2.0, 7.0)
        self.at(faulty_s, self._be_quiet)
        if self.config.new_policy:
            self.at(self.chance.uniform(0.5, faulty_s), self._change_policy)
        with self._failstop():
            while not self._at_rest:
                self._step()
            for process in self.processes:
                self.sweep += process.owner._core.finish(self.until).outputs
                process.ended = True
                process.loop.close()

    _at_rest = False

    def _step(self) -> None:
        self.time, _, process, call = heappop(self._events)
        if process is not None:
            if process.ended:
                return
            if process.paused > self.time:
                self.at(process.paused - self.time, call, process)
                return
        self._current = process
        call()
        if self.error is not None:
            raise self.error

    def at(self, delay: float, call: Callable[[], object], process: Process | None = None) -> None:
        """Calls that so many seconds later; not before `process` goes on, and never if it ends."""
        heappush(self._events, (self.time + delay, next(self._sequence), process, call))

    def _be_quiet(self) -> None:
        """No more faults, no more touchpoints: only time goes on, up to `until`."""
        self._faults = ()
        self._quiet_since = self.time
        for process in self.processes:
            process.paused = min(process.paused, self.time)
            process.skew = 0
        if self.config.clock == "wall":
            floors = [p.committer.clock.floor for p in self.processes if not p.ended and p.begun]
            self._wall = self.until = max([UNTIL + 10 * DAY, *floors])
        for shard in range(self.config.shards):
            end = Touchpoint(f"end-{shard}", "test/end", "server", "stock.changed", UNTIL, UNTIL, (), Data())
            self._append(shard, end)
        self.at(0.0, self._look_for_rest)

    def _change_policy(self) -> None:
        """From now on workers start with the new policy, and those that are there are restarted."""
        self.registry = registry(self.config.new_policy, self.config.shards)
        self._replace_outdated()

    def _replace_outdated(self) -> None:
        outdated = [process for process in self.processes if process.registry is not self.registry]
        ready = [process for process in outdated if process.begun and not process.ended and process.paused <= self.time]
        if ready:
            self.chance.choice(ready).stop()
        if outdated:
            self.at(BEAT_S, self._replace_outdated)

    def _look_for_rest(self) -> None:
        assert self.time < self._quiet_since + REST_S, "it does not come to rest"
        if not self._rests():
            self.at(BEAT_S, self._look_for_rest)
        elif self.config.clock == "wall" and self.until == self._wall:
            self._wall += HOUR
            self.until = self._wall + 1
            self.at(BEAT_S, self._look_for_rest)
        else:
            self._at_rest = True

    def _rests(self) -> bool:
        owned: dict[int, Process] = {}
        for process in self.processes:
            if process.ended or not process.begun or process.registry is not self.registry:
                return False
            committer = process.committer
            due, held = process.owner._core.next_due, process.owner._core.next_held
            if committer._lock.locked() or committer._new or (due is not None and due <= self.until) or held:
                return False
            if committer.clock.floor < self.until:
                return False
            owned |= dict.fromkeys(committer.leases, process)
        if len(owned) < self.config.shards or not self.broker.decided:
            return False
        return all(self._all_read(shard, process) for shard, process in owned.items())

    def _all_read(self, shard: int, process: Process) -> bool:
        position = process.committer.committed[shard]
        ends = [self.broker[self.settings.topic(name), shard].end for name in ("touchpoints", "mail")]
        return [position.touchpoints, position.mail] == ends

    def outputs(self) -> Iterator[Output]:
        """What was committed to the output topics, each in its order."""
        for name in OUTPUTS[:-1]:
            for record in self.committed(name):
                yield Output(name, record.key.decode(), record.value, dict(record.headers)["ce_id"].decode(), 0)

    def committed(self, topic: str) -> list[Any]:
        """All records of a topic."""
        return [
            record for one in self.broker.topics[self.settings.topic(topic)] for record in one.read(0, 1_000_000)[0]
        ]

    def rows(self, shard: int) -> dict[bytes, bytes]:
        """The rows of a shard that are committed, the newest last."""
        records = self.broker[self.settings.topic("state"), shard].read(0, 1_000_000)[0]
        newest = {record.key: record for record in records}
        kept = sorted(newest.values(), key=lambda record: record.offset)
        return {record.key: record.value for record in kept if record.value is not None}

    # -- producers ---------------------------------------------------------------------------------------------------

    def _send(self) -> None:
        """Each touchpoint goes to any shard, repeats to any, later."""
        chance, faults = self.chance, self._faults
        sent = [(tp.received, tp) for tp in self.touchpoints]
        if "repeats" in faults:
            sent += [(tp.received + chance.randrange(DAY), tp) for tp in self.touchpoints if chance.random() < 0.4]
        if "bug" in faults:
            sent += [self._bug(number) for number in range(2)]
        times = sorted(chance.uniform(0.0, self.config.haste) for _ in sent)
        for time, (received, tp) in zip(times, self._ordered(sent), strict=True):
            self.at(time, lambda received=received, tp=tp: self._arrive(received, tp))

    def _ordered(self, sent: list[tuple[int, Touchpoint]]) -> list[tuple[int, Touchpoint]]:
        """On the record clock a shard gets touchpoints in the order in which they are received."""
        if self.config.clock == "record" or self.config.order == "received":
            return sorted(sent, key=lambda each: each[0])
        if self.config.order == "any":
            self.chance.shuffle(sent)
            return sent
        return sorted(sent, key=lambda each: self.registry.rank(each[1].ids[0]) if each[1].ids else 0, reverse=True)

    def _bug(self, number: int) -> tuple[int, Touchpoint]:
        received = START + self.chance.randrange(DAY)
        kind = self.chance.choice(("bug.at_once", "bug.later"))
        self.refused += 1
        return received, Touchpoint(f"bug-{number}", "test/bug", "web", kind, received, received, (), Data())

    def _arrive(self, received: int, tp: Touchpoint) -> None:
        self._wall = max(self._wall, received)
        shard = self.chance.randrange(self.config.shards)
        where = self.settings.topic("touchpoints"), shard
        if "poison" in self._faults and self.chance.random() < 0.2:
            self.broker[where].append(None, self.chance.choice(POISON), [], received // 1_000)
            self.refused += 1
        if "holes" in self._faults and self.chance.random() < 0.2:
            self.broker.write("a producer", self.broker.init("a producer"), where, [(None, b"aborted", [])])
            self.broker.abort("a producer")
        self._append(shard, tp)

    def _append(self, shard: int, tp: Touchpoint) -> None:
        where = self.settings.topic("touchpoints"), shard
        self.broker[where].append(None, TOUCHPOINT + _encode(tp), [], tp.received // 1_000)
        self._feed(where[0])

    def _feed(self, topic: str) -> None:
        for process in self.processes:
            process.feed(topic)

    # -- processes ---------------------------------------------------------------------------------------------------

    def _started(self, number: int) -> Process:
        process = Process(self, f"worker-{number}-{len(self.log)}")
        process.trouble_at = self.chance.randint(1, EFFECTS_MAX)
        self._say(process, "starts")
        return process

    def _say(self, process: Process, what: str) -> None:
        self.log.append((self.time, process.name, what))

    def _settings(self) -> Settings:
        return Settings(
            clock="record" if self.config.clock == "record" else "wall",
            session_timeout_ms=int(SESSION_S * 1_000),
            shards=self.config.shards,
            skip=frozenset(self._skip),
        )

    def assembly(self) -> tuple[Any, ...]:
        """What a process is made of: settings, registry, core and reader."""
        settings, registry = self._settings(), self.registry
        return settings, registry, lambda: Core(registry, settings.clock), Bytes(registry)

    def buried(self, process: Process, reason: str) -> None:
        """A process has ended; another one is started in its place."""
        self._say(process, reason)
        number = self.processes.index(process)
        self.at(0.0, process.loop.close)
        self.at(self.chance.uniform(0.1, 3.0), lambda: self._replace(number))

    def _replace(self, number: int) -> None:
        self.processes[number] = self._started(number)

    @contextmanager
    def _failstop(self) -> Iterator[None]:
        machine = SimpleNamespace(_exit=self._exit)
        with (
            patch.object(failstop, "os", machine),
            patch.object(failstop, "complain", self._hear),
            patch.object(owner, "CHUNK", 3),
            patch.object(owner, "EPOCH_RECORDS_MAX", 12),
        ):
            yield

    def _hear(self, line: str, **_: object) -> None:
        self._last_words = line

    def _exit(self, _: int) -> None:
        """A process ends itself. What it says must be what the faults explain."""
        process, line = self._current, self._last_words
        assert process is not None
        if "SELVEDGE_SKIP=" in line and "Bug" in line:
            topic, shard, offset = line.rpartition("=")[2].split(":")
            self._skip.add((topic, int(shard), int(offset)))
        elif not ("(fenced)" in line or "assigned to this one" in line) or not self._excused(process):
            self.error = self.error or AssertionError(line)
        process.end(line)
        raise Ended

    def _excused(self, process: Process) -> bool:
        """Whether others may have taken it for dead, or one that stood still before its claim has claimed late."""
        return process.expelled or not {"slow", "pause"}.isdisjoint(self.config.faults)

    def join(self, process: Process) -> None:
        self._group.join(process)

    def revoked(self, process: Process, round: int) -> None:
        self._group.revoked(process, round)

    def left(self, process: Process) -> None:
        self._group.leave(process)

    def day(self) -> int:
        return self._wall + int(self.time * SECOND)

    # -- faults ------------------------------------------------------------------------------------------------------

    @property
    def shuffled(self) -> bool:
        return "shuffled" in self._faults

    def lag(self, topic: str) -> float:
        """How late records of a topic are read, at most."""
        return self.config.lag_s if self._quiet_since > self.time and topic == self.settings.topic("mail") else LAG_S

    def passed_over(self, tp: TP) -> bool:
        """Some partitions of mail are read less often than others."""
        lazy = tp.partition in self._lazy and tp.topic == self.settings.topic("mail")
        return lazy and self._quiet_since > self.time and self.chance.random() < 0.8

    def again(self) -> bool:
        """Whether a block is delivered a second time."""
        return "again" in self._faults and self.chance.random() < 0.3

    def opened(self, id: str, transaction: Transaction) -> None:
        self.at(TRANSACTION_S, lambda: self._give_up(id, transaction))

    def _give_up(self, id: str, transaction: Transaction) -> None:
        if self.broker.ids[id].transaction is transaction:
            self.broker.abort(id)
            for process in self.processes:
                process.expelled |= process.name == id

    def decided(self, transaction: Transaction) -> None:
        for where in list(transaction.where):
            late = self._faults and self.chance.random() < 0.3
            if late:
                delay = self.chance.uniform(0.0, 5 * MARKER_S if "slow" in self._faults else MARKER_S)
                self.at(delay, lambda where=where: self.broker.mark(transaction, where))
            else:
                self.broker.mark(transaction, where)

    def trouble(self, process: Process, may_fail: bool) -> bool:
        """At one of its effects something may happen to a process; gives whether its queue is full."""
        chance = self.chance
        kinds = [kind for kind in ("crash", "pause", "slow", "lost") if kind in self._faults]
        if not kinds:
            process.trouble_at = process.effects + EFFECTS_MAX
            return False
        process.trouble_at = process.effects + chance.randint(1, EFFECTS_MAX)
        kind = chance.choice(kinds)
        if kind == "crash" and chance.random() < 0.5:
            process.end("crashes at an effect")
            raise Ended
        if kind == "pause" and chance.random() < 0.5:
            self._pause(process)
            process.wait(0.0)
        if kind == "slow":
            process.wait(chance.uniform(0.0, 1.5))
            return True
        if kind == "lost":
            if may_fail:
                raise process.lost_answer()
            process.trouble_at = process.effects + 1
        return False

    def _beat(self) -> None:
        self.at(BEAT_S, self._beat)
        self._group.beat(self.processes, self.time)
        if self._lazy:
            self._feed(self.settings.topic("mail"))
        if self._faults and self.chance.random() < BEAT_S / FAULT_EVERY_S:
            self._fault(self.chance.choice(self._faults), self.chance.choice(self.processes))

    def _fault(self, kind: str, process: Process) -> None:
        if kind == "compaction":
            for partition in self.broker.topics[self.settings.topic("state")]:
                partition.compact()
        if process.ended or not process.begun or process.paused > self.time:
            return
        if kind == "crash":
            process.end("crashes")
        elif kind == "pause":
            self._pause(process)
        elif kind == "leave":
            process.stop()
        elif kind == "rebalance":
            self._group.rebalance()
        elif kind == "steps":
            process.skew = self.chance.choice((-DAY, -HOUR, -SECOND, SECOND, HOUR, DAY))

    def _pause(self, process: Process) -> None:
        process.paused = self.time + self.chance.uniform(0.2, 5.0)
        self._say(process, f"pauses until {process.paused:.1f}")
