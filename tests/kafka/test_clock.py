"""The record clock passes a time only when nothing received up to then can still have an effect, anywhere."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.times import MINUTE, SECOND
from pipeline.kafka.clock import SETTLE, RecordClock, Report, Sight, WallClock

HOPS = 2
"""Few, so that worlds often use them up."""


@dataclass
class Letter:
    """Mail caused by what was received at `cause`; it causes `hops` further letters, one after the other."""

    cause: int
    hops: int


@dataclass
class Log:
    """What the brokers hold of one shard."""

    touchpoints: list[int] = field(default_factory=list)
    mail: list[Letter] = field(default_factory=list)
    touchpoints_read: int = 0
    mail_read: int = 0
    """Committed positions."""
    report: Report | None = None


@dataclass
class Hand:
    """One owned shard in a process's memory."""

    touchpoints: int
    mail: int
    received: int = 0


class Process:
    """Owns some shards for the whole history; everything it does not own is foreign."""

    def __init__(self, world: World, shards: list[int]) -> None:
        self.world = world
        self.clock = RecordClock(len(world.logs), HOPS)
        self.clock.own(shards)
        self.hands = {shard: Hand(0, 0) for shard in shards}
        self.out: list[tuple[int, Letter]] = []

    def read(self) -> None:
        shard, hand = self.world.chance.choice(list(self.hands.items()))
        log = self.world.logs[shard]
        for received in log.touchpoints[hand.touchpoints : hand.touchpoints + self.world.chance.randint(0, 3)]:
            hand.touchpoints += 1
            hand.received = received
            self.handle(Letter(received, self.world.chance.randint(0, HOPS)))
        for letter in log.mail[hand.mail : hand.mail + self.world.chance.randint(0, 3)]:
            hand.mail += 1
            self.handle(letter)

    def handle(self, letter: Letter) -> None:
        if letter.hops:
            to = self.world.chance.randrange(len(self.world.logs))
            after = Letter(letter.cause, letter.hops - 1)
            if to in self.hands:
                self.handle(after)
            else:
                self.out.append((to, after))

    def look(self) -> None:
        goals = self.clock.goals()
        asked, before = self.world.time, {shard: hand.received for shard, hand in self.hands.items()}
        ends = {shard: (len(self.world.logs[shard].touchpoints), len(self.world.logs[shard].mail)) for shard in before}
        for _ in range(self.world.chance.randint(0, 2)):
            self.world.produce()
            self.read()
        sights = {
            shard: Sight(asked, before[shard], hand.touchpoints, ends[shard][0], hand.mail, ends[shard][1])
            for shard, hand in self.hands.items()
        }
        self.clock.saw(sights, goals)
        self.hear()

    def hear(self) -> None:
        heard = {shard: log.report for shard, log in enumerate(self.world.logs) if log.report is not None}
        self.clock.heard({shard: heard[shard] for shard in heard if self.world.chance.random() < 0.8})

    def epoch(self) -> None:
        now, _ = self.clock.read(self.world.time)
        self.world.nothing_is_open_up_to(now, self)
        for to, letter in self.out:
            self.world.logs[to].mail.append(letter)
        self.out.clear()
        for shard, hand in self.hands.items():
            log = self.world.logs[shard]
            log.touchpoints_read, log.mail_read = hand.touchpoints, hand.mail
            log.report = self.clock.report(shard, hand.received, hand.mail)
        self.clock.heard({shard: log.report for shard, log in enumerate(self.world.logs) if shard in self.hands})


class World:
    """Shards, processes and a producer that sends in the order of time."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.time = 1_000 * SECOND
        self.open = True
        self.logs = [Log() for _ in range(self.chance.randint(1, 5))]
        owners: dict[int, list[int]] = {}
        for shard in range(len(self.logs)):
            owners.setdefault(self.chance.randint(0, 2), []).append(shard)
        self.processes = [Process(self, shards) for shards in owners.values()]
        actors = [(process, todo) for process in self.processes for todo in ("read", "look", "epoch")]
        speeds = (0.05, 1, 5)
        self.weights = {actor: self.chance.choice(speeds) for actor in [(self, "produce"), *actors]}

    def produce(self) -> None:
        self.time += self.chance.randint(0, 2) * SETTLE // 2
        log = self.chance.choice(self.logs)
        if self.open and self.chance.random() < 0.5:
            log.touchpoints.append(self.time)

    def step(self) -> None:
        """Processes differ in how fast they are at what they do."""
        [(process, todo)] = self.chance.choices(list(self.weights), list(self.weights.values()))
        getattr(process, todo)()

    def quiet(self) -> None:
        """Nothing more is produced; everybody goes on for a while."""
        self.open = False
        for _ in range(20 * HOPS):
            self.time += SETTLE
            for process in self.processes:
                for _ in range(3 * len(self.logs)):
                    process.read()
                process.look()
                process.epoch()

    def nothing_is_open_up_to(self, now: int, judge: Process) -> None:
        """What is in the memory of `judge` counts for it, of others only what they have committed."""
        for shard, log in enumerate(self.logs):
            hand = judge.hands.get(shard)
            unread = log.touchpoints[hand.touchpoints if hand else log.touchpoints_read :]
            unhandled = log.mail[hand.mail if hand else log.mail_read :]
            assert not unread or min(unread) > now
            assert all(letter.cause > now for letter in unhandled)
        for process in self.processes:
            assert all(letter.cause > now for _, letter in process.out)

    def newest(self) -> int:
        return max((received for log in self.logs for received in log.touchpoints), default=0)


@given(st.integers(0, 2**32))
@settings(max_examples=400, deadline=None)
def test_nothing_received_up_to_the_clock_is_still_open(seed: int) -> None:
    world = World(seed)
    for _ in range(world.chance.randint(0, 600)):
        world.step()


@given(st.integers(0, 2**32))
@settings(max_examples=20, deadline=None)
def test_the_clock_comes_to_the_newest_time_once_all_is_quiet(seed: int) -> None:
    world = World(seed)
    for _ in range(world.chance.randint(0, 200)):
        world.step()
    world.quiet()
    for process in world.processes:
        assert process.clock.read(world.time)[0] == world.newest()
        assert process.clock.settled()


def test_a_process_that_owns_all_shards_first_handles_the_mail_that_others_left() -> None:
    clock = RecordClock(1, HOPS)
    clock.own([0])
    clock.heard({0: clock.report(0, received=5, mail=3)})
    clock.saw({0: sight(received=9, mail_end=4)}, clock.goals())
    assert clock.read(0)[0] == 0
    clock.saw({0: sight(received=9)}, clock.goals())
    assert clock.read(0)[0] == 4


def test_the_record_clock_waits_for_the_slowest_of_all_shards() -> None:
    clock = RecordClock(2, HOPS)
    clock.heard({0: Report(0, received=9, levels=[9, 9, 9])})
    assert clock.read(0)[0] == 0
    clock.heard({1: Report(1, received=7, levels=[7, 7, 4])})
    assert clock.read(0)[0] == 4


@given(st.lists(st.integers(-5, 5).map(lambda minutes: minutes * MINUTE), min_size=1))
def test_no_clock_ever_goes_back(steps: list[int]) -> None:
    clock = WallClock(1)
    time, before = 10_000 * MINUTE, 0
    for step in steps:
        time += step
        now, _ = clock.read(time)
        assert now >= before
        before = now


def sight(received: int = 5, touchpoints_end: int = 10, mail_end: int = 3, asked: int = 1_000) -> Sight:
    return Sight(asked, received, touchpoints=10, touchpoints_end=touchpoints_end, mail=3, mail_end=mail_end)


def test_on_the_wall_clock_a_shard_at_the_end_has_read_up_to_now() -> None:
    clock = WallClock(1)
    clock.own([0])
    clock.saw({0: sight(asked=1_000)}, clock.goals())
    assert clock.read(1_200) == (1_200, 1_000)


def test_on_the_wall_clock_a_shard_behind_has_read_up_to_its_last_touchpoint() -> None:
    clock = WallClock(1)
    clock.own([0])
    clock.saw({0: sight(touchpoints_end=11)}, clock.goals())
    assert clock.read(1_200) == (1_200, 5)


def test_on_the_wall_clock_a_shard_with_unread_mail_says_nothing_new() -> None:
    clock = WallClock(1)
    clock.own([0])
    clock.saw({0: sight(asked=1_000)}, clock.goals())
    clock.saw({0: sight(asked=2_000, mail_end=4)}, clock.goals())
    assert clock.read(2_200)[1] == 1_000


def test_the_slowest_of_all_shards_counts_and_an_unknown_one_is_slowest() -> None:
    clock = WallClock(2)
    clock.own([0])
    clock.saw({0: sight(asked=1_000)}, clock.goals())
    assert clock.read(1_200)[1] == 0
    clock.heard({1: Report(1, received=700)})
    assert clock.read(1_200)[1] == 700
