"""A simulated world: processes that own shards and run the production groups, a network between them, and faults.

A world is a configuration and a list of touchpoints. Each shard has a log of input, read in order. Mail between
processes waits in one channel per (sending process, shard); channels are read in any order and, where the world is not
`fifo`, from any place. An epoch of a process ends with a drain: rows, mail and outputs become durable together. A crash
forgets the epoch; what it had read is read again. Shards move between processes by their rows. When the faults have had
their time everything is delivered, and after a bounded number of rounds nothing may be left to do.

The clock is the received time up to which all input was read and no mail is on its way.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field
from random import Random

from pipeline.core.effects import Effects
from pipeline.core.group import Group
from pipeline.core.identifiers import Registry
from pipeline.core.times import DAY
from pipeline.core.touchpoint import Id, Touchpoint
from tests.histories import START, history, identifiers, policy
from tests.published import Published

ROUNDS_MAX = 1000
UNTIL = START + 5 * DAY
"""Clock at the end: all input was received before."""


@dataclass(frozen=True)
class Config:
    """Chances are per step. `repeats`: share of touchpoints that are sent twice."""

    seed: int
    policy: str
    size: int
    shards: int
    processes: int
    repeats: float
    fifo: bool
    move: float
    crash: float
    restart: float

    @staticmethod
    def of(seed: int) -> Config:
        rnd = Random(seed)
        return Config(
            seed=seed,
            policy=rnd.choice(("plain", "plain", "hubs", "hubs", "degree", "fanout", "tight", "loose", "oversize")),
            size=rnd.choice((3, 8, 20, 40, 60)),
            shards=rnd.choice((1, 2, 3, 5, 8)),
            processes=rnd.choice((1, 2, 3)),
            repeats=rnd.choice((0.0, 0.3)),
            fifo=rnd.random() < 0.7,
            move=rnd.choice((0.0, 0.05)),
            crash=rnd.choice((0.0, 0.05)),
            restart=rnd.choice((0.0, 0.05)),
        )


@dataclass
class Process:
    """`epoch`: what was read since the last drain, to be read again after a crash."""

    group: Group
    inputs: list[tuple[int, Touchpoint]] = field(default_factory=list)
    mail: list[tuple[tuple[int, int], bytes]] = field(default_factory=list)


class World:
    def __init__(self, config: Config, touchpoints: list[Touchpoint] | None = None) -> None:
        self.config = config
        self.rnd = Random(config.seed)
        self.registry = Registry(policy(config.policy), shards=config.shards)
        made = history(self.rnd, config.size, self.registry)
        self.touchpoints = touchpoints or made
        self.published = Published()
        self.rows: dict[int, dict[bytes, bytes]] = defaultdict(dict)
        self.inputs: dict[int, deque[Touchpoint]] = {shard: deque() for shard in range(config.shards)}
        self.channels: dict[tuple[int, int], deque[bytes]] = defaultdict(deque)
        self.clock = START - DAY
        self._send()
        self.owner = {shard: self.rnd.randrange(config.processes) for shard in range(config.shards)}
        self.processes = [self._started(number) for number in range(config.processes)]

    def _send(self) -> None:
        """Puts each touchpoint on the log of any shard, a repeat on any later place of any log."""
        repeated = [tp for tp in self.touchpoints if self.rnd.random() < self.config.repeats]
        sent = [(tp.received, tp) for tp in self.touchpoints]
        sent += [(tp.received + self.rnd.randrange(DAY), tp) for tp in repeated]
        for _, tp in sorted(sent, key=lambda each: each[0]):
            self.inputs[self.rnd.randrange(self.config.shards)].append(tp)

    def _started(self, number: int) -> Process:
        group = Group(self.registry, "record")
        for shard, owner in self.owner.items():
            if owner == number:
                group.add(shard, list(self.rows[shard].items()))
        return Process(group)

    # -- the run -----------------------------------------------------------------------------------------------------

    def run(self) -> Published:
        while any(self.inputs.values()) or any(self.channels.values()):
            self._step()
        self._come_to_rest()
        return self.published

    def _step(self) -> None:
        config, rnd = self.config, self.rnd
        number = rnd.randrange(config.processes)
        chance = rnd.random()
        if chance < config.crash:
            self._crash(number)
        elif chance < config.crash + config.restart:
            self._drain(number)
            self.processes[number] = self._started(number)
        elif chance < config.crash + config.restart + config.move:
            self._move(rnd.randrange(config.shards), number)
        elif rnd.random() < 0.25:
            self._drain(number)
        elif rnd.random() < 0.5:
            self._read_input(rnd.randrange(config.shards))
        else:
            self._read_mail()

    def _read_input(self, shard: int) -> None:
        if log := self.inputs[shard]:
            process = self.processes[self.owner[shard]]
            tp = log.popleft()
            process.inputs.append((shard, tp))
            process.group.touch(shard, tp)

    def _read_mail(self) -> None:
        waiting = [channel for channel, mail in self.channels.items() if mail]
        if not waiting:
            return
        channel = self.rnd.choice(waiting)
        mail = self.channels[channel]
        place = 0 if self.config.fifo else self.rnd.randrange(len(mail))
        message = mail[place]
        del mail[place]
        process = self.processes[self.owner[channel[1]]]
        process.mail.append((channel, message))
        process.group.receive(channel[1], message)

    def _drain(self, number: int) -> None:
        self._tick()
        process = self.processes[number]
        self._perform(number, process.group.drain(self.clock, self.clock))
        process.inputs.clear()
        process.mail.clear()

    def _perform(self, number: int, effects: Effects) -> None:
        for shard, rows in effects.rows.items():
            assert self.owner[shard] == number, "rows of a shard come from its owner"
            for key, row in rows.items():
                if row is None:
                    self.rows[shard].pop(key, None)
                else:
                    self.rows[shard][key] = row
        for shard, message in effects.mail:
            assert self.owner[shard] != number or self.config.move, "mail to an own shard is a function call"
            self.channels[number, shard].append(message)
        for output in effects.outputs:
            self.published.take(output)

    def _tick(self) -> None:
        """Everything received before the next unread touchpoint is known, if no mail is on its way. A touchpoint that
        was read and is not durable yet counts as unread; so does mail, which may lead to more mail."""
        if any(self.channels.values()) or any(process.mail for process in self.processes):
            return
        unread = [log[0].received - 1 for log in self.inputs.values() if log]
        unread += [tp.received - 1 for process in self.processes for _, tp in process.inputs]
        self.clock = max(self.clock, min(unread, default=UNTIL))

    # -- faults ------------------------------------------------------------------------------------------------------

    def _crash(self, number: int) -> None:
        process = self.processes[number]
        for shard, tp in reversed(process.inputs):
            self.inputs[shard].appendleft(tp)
        for channel, message in reversed(process.mail):
            self.channels[channel].appendleft(message)
        self.processes[number] = self._started(number)

    def _move(self, shard: int, to: int) -> None:
        before = self.owner[shard]
        if before != to:
            self._drain(before)
            self.processes[before].group.remove(shard)
            self.owner[shard] = to
            self.processes[to].group.add(shard, list(self.rows[shard].items()))

    # -- the end -----------------------------------------------------------------------------------------------------

    def _come_to_rest(self) -> None:
        for _ in range(ROUNDS_MAX):
            for number in range(self.config.processes):
                self._drain(number)
            while any(self.channels.values()):
                self._read_mail()
            if self.clock == UNTIL and not self._unfinished():
                break
        else:
            raise AssertionError(f"not at rest after {ROUNDS_MAX} rounds")
        for number, process in enumerate(self.processes):
            self._perform(number, process.group.finish(UNTIL))
        assert not any(self.channels.values())
        assert not any(self._waits(name) for name in identifiers(self.registry)), "a cluster waits for seats"

    def _waits(self, name: Id) -> bool:
        home = self.processes[self.owner[self.registry.home(name)]].group.home(name)
        seat = home.roots.seats.get(name)
        return seat is not None and bool(seat.waiting)

    def _unfinished(self) -> bool:
        return any(
            process.mail or process.inputs or ((due := process.group.next_due) is not None and due <= UNTIL)
            for process in self.processes
        )
