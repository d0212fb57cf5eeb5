"""Faust transport that delivers blocks, one message each (scheme blocks://).

Rules. Nothing that was fetched under the present lease of a partition is dropped here: its records are not fetched
again. What is assigned is not read until it is leased. Offsets are not kept by acknowledgement: the reader commits its
own positions. Private names of Faust 0.15 are hooked; it is pinned.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

import aiokafka
from aiokafka.errors import KafkaError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage
from mode import Service

from pipeline.kafka.advice import GROUP_TOPIC, on_group
from pipeline.kafka.blocks import BlockThread
from pipeline.kafka.failstop import Misconfigured, Stop, describe, fail_stop

WATCH_S = 1.0
COORDINATOR_S = 60.0
"""How long a worker that starts waits for the group's coordinator."""


class Assignments(Protocol):
    """Who is told which partitions are this process's. Neither method may raise."""

    async def withdraw(self) -> None:
        """All partitions are about to go (or the process stops): finish, commit and release before returning."""

    def grant(self, partitions: frozenset[TP]) -> None:
        """These are assigned; returns at once. Reading begins with `BlockConsumer.lease`."""


class _NoOffsets(dict[Any, Any]):
    """Faust drops messages below what it has read; leases take the place of that."""

    def __missing__(self, key: object) -> None:
        return None

    def __setitem__(self, key: object, value: object) -> None:
        pass


class BlockConsumer(driver.Consumer):
    """Delivers blocks and tells `app.assignments` what is assigned."""

    _thread: BlockThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._read_offset = _NoOffsets()
        app: Any = self.app
        self._listener: Assignments = app.assignments
        self._assigned = False

    def _new_consumer_thread(self) -> BlockThread:
        return BlockThread(self, loop=self.loop, beacon=self.beacon)

    @property
    def heard(self) -> float:
        """When the group's coordinator last knew this process for a member (time.monotonic)."""
        return self._thread.heard

    async def lease(self, offsets: Mapping[TP, int], number: int) -> None:
        """Begins to read these partitions from these offsets on; blocks carry `number`."""
        await self._thread.lease(offsets, number)
        self.resume_partitions(offsets)

    async def note_offsets(self, offsets: Mapping[TP, int]) -> None:
        await self._thread.note_offsets(offsets)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:
        """Blocks fetched while the flow is stopped are held until it goes on: their records are not fetched again."""
        await self._flow()
        blocks: Any = await self._getmany(active_partitions=self._get_active_partitions(), timeout=timeout)
        for tp, block in blocks.items():
            await self._flow()
            if self.should_stop:
                return
            if block.lease == self._thread.leased(tp):
                yield tp, self._block_message(tp, block)

    async def _flow(self) -> None:
        while not self.flow_active and not self.should_stop:
            await self.wait(self.can_resume_flow.wait())

    def _block_message(self, tp: TP, block: Any) -> ConsumerMessage:
        generation = self.app.consumer_generation_id
        offset, timestamp, timestamp_type, headers, key, checksum = block.end - 1, 0.0, 0, None, None, None
        return ConsumerMessage(
            *tp, offset, timestamp, timestamp_type, headers, key, block, checksum, tp=tp, generation_id=generation
        )

    def ack(self, message: Any) -> bool:
        message.acked = True
        self._unacked_messages.discard(message)
        return True

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        return False

    async def verify_all_partitions_active(self) -> None:
        """Faust's own check looks at acknowledgements, which there are none of."""

    async def perform_seek(self) -> None:
        """Faust calls this between an assignment and the first fetch, and gives up on it after a while: so nothing
        waits here, and what is not leased stays paused."""
        assigned = frozenset(self.assignment())
        self.pause_partitions(assigned)
        if self._assigned and not self.should_stop:
            self._listener.grant(assigned)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        self._assigned = True
        await super().on_partitions_assigned(assigned, generation_id)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        self._assigned = False
        await self._listener.withdraw()
        await super().on_partitions_revoked(revoked)

    async def on_stop(self) -> None:
        """aiokafka leaves the group without telling that the partitions go, so here is the place to finish."""
        self._assigned = False
        await self._listener.withdraw()
        await super().on_stop()

    async def crash(self, reason: BaseException) -> None:
        fail_stop(reason)

    @Service.task
    async def _watch(self) -> None:
        """A fatal answer to JoinGroup or SyncGroup, or no coordinator, would leave a worker that looks alive and reads
        nothing."""
        begun = time.monotonic()
        while not self.should_stop:
            if not self._thread.heard and time.monotonic() - begun > COORDINATOR_S and not self._thread.coordinated:
                fail_stop(Misconfigured(f"the consumer group: no coordinator in {COORDINATOR_S:.0f} s; {GROUP_TOPIC}"))
            await self.sleep(WATCH_S)
            if self._thread._consumer is None or self.should_stop:
                continue
            try:
                await self._thread.check()
            except KafkaError as error:
                name = type(error).__name__
                advice = on_group(name)
                if advice is not None:
                    fail_stop(Misconfigured(f"the consumer group: {name}; {advice}"))
                if not error.retriable:
                    fail_stop(Stop(f"the consumer group: {name}"))
                self.log.warning("the consumer group: %s", describe(error))


class Transport(driver.Transport):
    """Entry point `blocks` of `faust.transports`."""

    Consumer = BlockConsumer
    driver_version = f"blocks aiokafka={aiokafka.__version__}"
