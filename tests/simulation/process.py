"""A simulated worker process: the production parts, assembled as in production, with timers and a consumer.

All of it runs in greenlets: wherever the process waits for a broker, others may do something first. A process ends as a
real one does, at once; what it has under way is never heard of again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import suppress
from random import Random
from typing import Any, Protocol

from confluent_kafka import KafkaError, KafkaException
from faust.types import TP
from greenlet import getcurrent, greenlet

from pipeline.core.identifiers import Registry
from pipeline.kafka.assembly import assemble
from pipeline.kafka.blocks import Block
from pipeline.kafka.committer import Committer
from pipeline.kafka.failstop import fail_stop
from pipeline.kafka.owner import Owner
from pipeline.kafka.recovery import SOURCES
from pipeline.kafka.stats import Stats
from tests.simulation.broker import Broker, TopicPartition, Transaction
from tests.simulation.clients import Outside
from tests.simulation.loop import Loop


class Ended(BaseException):
    """The process has ended; nothing catches it."""


class Setting(Protocol):
    """What a process needs of its world."""

    broker: Broker
    chance: Random
    time: float
    hub: greenlet
    epoch_s: float
    look_s: float
    block: int

    @property
    def shuffled(self) -> bool: ...

    def at(self, delay: float, call: Callable[[], object], process: Process | None = None) -> None: ...

    def trouble(self, process: Process, may_fail: bool) -> bool: ...

    def lag(self, topic: str) -> float: ...

    def passed_over(self, tp: TP) -> bool: ...

    def again(self) -> bool: ...

    def opened(self, id: str, transaction: Transaction) -> None: ...

    def decided(self, transaction: Transaction) -> None: ...

    def day(self) -> int: ...

    def join(self, process: Process) -> None: ...

    def revoked(self, process: Process, round: int) -> None: ...

    def left(self, process: Process) -> None: ...

    def buried(self, process: Process, reason: str) -> None: ...

    def assembly(self) -> tuple[Any, ...]: ...

    error: BaseException | None


class Process:
    """`paused`: until that time nothing happens. `heard`: when the group last heard of it."""

    owner: Owner
    committer: Committer

    def __init__(self, world: Setting, name: str) -> None:
        self.world, self.name = world, name
        self.broker, self.chance = world.broker, world.chance
        self.loop = Loop(self)
        self.stats = Stats()
        self.begun, self.ended = False, False
        self.registry: Registry | None = None
        self.expelled = False
        """The group has gone on without it once."""
        self.paused = 0.0
        self.heard = world.time
        self.skew = 0
        """How far its time of day is off, in microseconds."""
        self.effects, self.trouble_at = 0, 0
        self.round = 0
        self.rejoining = False
        self._turn = asyncio.Lock()
        """One thing after the other is heard of the group."""
        self._positions: dict[TP, int] = {}
        self._lease = 0
        self._hungry: dict[str, asyncio.Future[None]] = {}
        self.after(0.0, lambda: self.blocking(self._start))

    # -- for the loop and the clients --------------------------------------------------------------------------------

    @property
    def time(self) -> float:
        return self.world.time

    @property
    def time_of_day(self) -> int:
        return self.world.day() + self.skew

    def after(self, delay: float, call: Callable[[], object]) -> None:
        self.world.at(delay, call, self)

    def blocking(self, call: Callable[[], None]) -> None:
        greenlet(self._guarded, self.world.hub).switch(call)

    def _guarded(self, call: Callable[[], None]) -> None:
        with suppress(Ended):
            call()

    def wait(self, seconds: float) -> None:
        running, here = asyncio._get_running_loop(), getcurrent()
        asyncio._set_running_loop(None)
        self.after(seconds, here.switch)
        self.world.hub.switch()
        asyncio._set_running_loop(running)

    def effect(self, *, may_fail: bool = False) -> bool:
        self.effects += 1
        return self.effects >= self.trouble_at and self.world.trouble(self, may_fail)

    def lost_answer(self) -> KafkaException:
        return KafkaException(KafkaError(KafkaError._TIMED_OUT, "no answer", retriable=True))

    def mixed(self, things: Iterable[Any]) -> list[Any]:
        mixed = list(things)
        self.chance.shuffle(mixed)
        return mixed

    def sent(self, where: TopicPartition, records: list[Any]) -> list[Any]:
        mail = where[0] == self.settings.topic("mail")
        return self.mixed(records) if mail and self.world.shuffled else records

    def opened(self, id: str, transaction: Transaction) -> None:
        self.world.opened(id, transaction)

    def decided(self, transaction: Transaction) -> None:
        self.world.decided(transaction)

    def broken(self, error: BaseException) -> None:
        self.world.error = self.world.error or error

    # -- life --------------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        settings, self.registry, make_core, reader = self.world.assembly()
        self.settings = settings
        outside: Any = Outside(self)
        self.owner, self.committer = assemble(
            settings, self.registry, make_core, reader, self.stats, outside, self.name
        )
        self.owner.consumer = self
        self.loop.call_soon(self._begin)

    def _begin(self) -> None:
        self._task(self._every, self.world.epoch_s, self.committer.epoch)
        self._task(self._every, self.world.look_s, self.committer.look)
        for name in SOURCES:
            self._task(self._feed, self.settings.topic(name))
        self.begun = True
        self.world.join(self)

    def _task(self, work: Callable[..., Awaitable[None]], *args: Any) -> None:
        self.loop.create_task(_or_end(work, *args))

    async def _every(self, seconds: float, action: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(seconds * self.chance.uniform(0.5, 1.5))
            await action()

    async def _feed(self, topic: str) -> None:
        """Delivers blocks, one after the other, some time after they were fetched."""
        while True:
            block = self._fetch(topic)
            if block is None:
                self._hungry[topic] = self.loop.create_future()
                await self._hungry[topic]
            else:
                await asyncio.sleep(self.world.lag(topic) * self.chance.random())
                await self.owner.read(block)
                if self.world.again():
                    await self.owner.read(block)

    def _fetch(self, topic: str) -> Block | None:
        for tp in self.mixed(self._positions):
            if tp.topic == topic and not self.world.passed_over(tp):
                start = self._positions[tp]
                records, end = self.broker[tp].read(start, self.chance.randint(1, self.world.block))
                if end > start:
                    self._positions[tp] = end
                    return Block(topic, tp.partition, self._lease, start, end, records)
        return None

    async def lease(self, offsets: Mapping[TP, int], number: int) -> None:
        """As the transport's consumer does."""
        self._positions, self._lease = dict(offsets), number
        for topic in self._hungry:
            self.feed(topic)

    def feed(self, topic: str) -> None:
        """There may be something to read."""
        hungry = self._hungry.get(topic)
        if hungry is not None and not hungry.done():
            hungry.set_result(None)

    def end(self, reason: str) -> None:
        """Whatever is under way stays undone."""
        if not self.ended:
            self.ended = True
            self.world.buried(self, reason)

    # -- the group ---------------------------------------------------------------------------------------------------

    def revoke(self, round: int) -> None:
        self.round = round
        self.after(0.0, lambda: self._task(self._revoke, round))

    async def _revoke(self, round: int) -> None:
        async with self._turn:
            if self.round == round:
                await self._withdraw()
        self.world.revoked(self, round)

    def assign(self, shards: Collection[int], round: int) -> None:
        """What the group has decided; it may be known later than the next decision, but not after it."""
        if self.round == round:
            granted = [TP(self.settings.topic(name), shard) for name in SOURCES for shard in shards]
            self.loop.call_soon(self._grant, granted, round)

    def _grant(self, granted: list[TP], round: int) -> None:
        if self.round == round:
            self.owner.grant(granted)

    def rejoin(self) -> None:
        """The group has gone on without this process, and now it hears of that."""
        if not self.rejoining:
            self.rejoining = True
            self._task(self._rejoin)

    async def _rejoin(self) -> None:
        async with self._turn:
            self.round = 0
            await self._withdraw()
            self.rejoining = False
            self.world.join(self)

    def stop(self) -> None:
        """As on SIGTERM."""
        self._task(self._stop)

    async def _stop(self) -> None:
        async with self._turn:
            self.round = 0
            await self._withdraw()
        self.world.left(self)
        self.end("told to stop")
        raise Ended

    async def _withdraw(self) -> None:
        await self.owner.withdraw()
        self._positions = {}


async def _or_end(work: Callable[..., Awaitable[None]], *args: Any) -> None:
    """An error ends the process, as in the app."""
    try:
        await work(*args)
    except Exception as error:
        fail_stop(error)
