"""The Faust app: membership, assignment, agents on `touchpoints` and `mail`, and the timers of epoch and clock.

Faust is not trusted with durability: no tables, no producer, no acknowledgements, no web server, no retries of agents.
Whatever goes wrong in one of its services ends the process.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import faust
from faust.app.base import BootStrategy
from mode import Service

from pipeline.kafka.committer import Committer
from pipeline.kafka.failstop import fail_stop
from pipeline.kafka.owner import Owner
from pipeline.kafka.recovery import SOURCES
from pipeline.kafka.stats import Lag, Stats
from pipeline.kafka.surroundings import Surroundings
from pipeline.kafka.transport import BlockConsumer
from pipeline.settings import Settings

BLOCKS_QUEUED_MAX = 8
LOOK_S = 0.2
NOTE_S = 2.0
BEHIND_S, BEHIND, EPOCH_SHARE, EPOCH_BEHIND_S = 10.0, 2_000, 0.1, 4.0
STATS_S = 1.0
SURROUNDINGS_S = 30.0
HEARTBEATS_PER_SESSION = 6


class _Boot(BootStrategy):
    enable_kafka_producer = False
    enable_web = False


class App(faust.App):
    """`assignments` and `connection` are what the transport asks for."""

    BootStrategy = _Boot

    def __init__(self, settings: Settings, owner: Owner, committer: Committer, stats: Stats) -> None:
        self.assignments = owner
        self.connection = settings.aiokafka()
        self._timers = _Timers(settings, owner, committer, stats)
        session_s = settings.session_timeout_ms / 1000
        super().__init__(
            settings.group,
            broker=f"blocks://{settings.brokers.replace(',', ';')}",
            broker_session_timeout=session_s,
            broker_heartbeat_interval=session_s / HEARTBEATS_PER_SESSION,
            broker_request_timeout=max(90.0, 2 * session_s),
            broker_rebalance_timeout=max(60.0, 2 * session_s),
            broker_check_crcs=not settings.embedded,
            processing_guarantee="at_least_once",
            topic_allow_declare=False,
            topic_disable_leader=True,
            web_enabled=False,
            stream_wait_empty=False,
            store="memory://",
            key_serializer="raw",
            value_serializer="raw",
        )
        for name in SOURCES:
            topic = self.topic(
                settings.topic(name), key_type=bytes, value_type=bytes, maxsize=BLOCKS_QUEUED_MAX, internal=False
            )
            self.agent(topic, name=name)(_reader(owner))

    async def on_first_start(self) -> None:
        """Faust would make directories here."""

    async def on_start(self) -> None:
        consumer: Any = self.consumer
        self.assignments.consumer = consumer
        self._timers.consumer = consumer
        await super().on_start()
        await self.add_runtime_dependency(self._timers)

    async def _on_agent_error(self, agent: Any, exc: BaseException) -> None:
        fail_stop(exc)

    def _crash(self, reason: BaseException) -> None:
        fail_stop(reason)


def epoch_s(epoch_ms: int, lags: Iterable[Lag]) -> float:
    """Seconds between the beginnings of two epochs. Far behind, with more to read than a second's work, they are
    longer, by a share of how far: what a person did in one costs once, and who waits for it waits for the rest."""
    unread, behind = 0, 0.0
    for lag in lags:
        unread, behind = unread + lag.touchpoints, max(behind, lag.seconds)
    far = behind > BEHIND_S and unread > BEHIND
    return max(epoch_ms / 1000, min(EPOCH_SHARE * behind, EPOCH_BEHIND_S) if far else 0.0)


def _reader(owner: Owner) -> Callable[[Any], Awaitable[None]]:
    async def read(stream: Any) -> None:
        async for block in stream:
            await owner.read(block)

    return read


class _Timers(Service):
    """What happens by itself."""

    consumer: BlockConsumer

    def __init__(self, settings: Settings, owner: Owner, committer: Committer, stats: Stats) -> None:
        super().__init__()
        self._settings, self._owner, self._committer, self._stats = settings, owner, committer, stats

    @Service.task
    async def _epochs(self) -> None:
        while not self.should_stop:
            await self._take(self._epoch_s(), self._epoch)

    @Service.task
    async def _looks(self) -> None:
        await self._every(LOOK_S, self._committer.look)

    @Service.task
    async def _notes(self) -> None:
        await self._every(NOTE_S, self._note)

    @Service.task
    async def _figures(self) -> None:
        await self._every(STATS_S, self._write)

    @Service.task
    async def _surroundings(self) -> None:
        surroundings = Surroundings(self._settings, self._stats)

        async def look() -> None:
            await asyncio.to_thread(surroundings.look)

        await self._every(SURROUNDINGS_S, look)

    async def _every(self, seconds: float, action: Callable[[], Awaitable[None]]) -> None:
        while not self.should_stop:
            await self._take(seconds, action)

    async def _take(self, seconds: float, action: Callable[[], Awaitable[None]]) -> None:
        """Acts, and lets at least so long pass."""
        begun = time.monotonic()
        try:
            await action()
        except Exception as error:
            fail_stop(error)
        await self.sleep(max(0.0, seconds - (time.monotonic() - begun)))

    def _epoch_s(self) -> float:
        lags = self._stats.lag.values() if self._settings.clock == "wall" else ()
        return epoch_s(self._settings.epoch_ms, lags)

    async def _epoch(self) -> None:
        await self._committer.epoch()
        self._stats.turned = time.monotonic()

    async def _note(self) -> None:
        positions = self._owner.committed()
        if positions:
            await self.consumer.note_offsets(positions)

    async def _write(self) -> None:
        if self._settings.stats_file is not None:
            self._stats.write(self._settings.stats_file)
