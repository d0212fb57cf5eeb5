"""The shards of this process: taking them over, reading for them, giving them back.

A shard is owned from the moment its sources are read under a lease until the epoch that releases its claim is
committed. A takeover runs in the background: it may take longer than Faust waits, and must end before a withdrawal.
Runs on the event loop; an error in here ends the process.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from confluent_kafka import KafkaException
from faust.types import TP

from pipeline.core.state import Outdated, StateError
from pipeline.kafka.blocks import Block
from pipeline.kafka.committer import Committer
from pipeline.kafka.failstop import Stop, fail_stop
from pipeline.kafka.intake import Core, Intake, Lease
from pipeline.kafka.recovery import SOURCES, Kept, Lost, Recovery, Shard, Withdrawn
from pipeline.kafka.spans import Spans
from pipeline.kafka.state import Position
from pipeline.kafka.stats import Stats
from pipeline.settings import Settings

CHUNK = 500
"""Records folded between two looks at the event loop."""
EPOCH_RECORDS_MAX = 20_000
BEAT_S = 0.1


class Consumer(Protocol):
    """The transport's consumer, as far as it is needed here."""

    @property
    def heard(self) -> float: ...

    async def lease(self, offsets: Mapping[TP, int], number: int) -> None: ...


class Owner:
    """`consumer` is set before anything is granted. `outdated`: all shards are here, and their state needs a rebuild
    that this process may run once it has given them back."""

    consumer: Consumer

    def __init__(
        self,
        settings: Settings,
        core: Core,
        intake: Intake,
        committer: Committer,
        recovery: Recovery,
        stats: Stats,
        time_of_day: Callable[[], int],
        spans: Spans,
    ) -> None:
        self._settings, self._stats, self._time_of_day, self._spans = settings, stats, time_of_day, spans
        self._core, self._intake, self._committer, self._recovery = core, intake, committer, recovery
        self._topics = {settings.topic(name): name for name in SOURCES}
        self._threads = ThreadPoolExecutor(1, "selvedge-recovery")
        self._takeover: asyncio.Task[None] | None = None
        self._withdrawn = threading.Event()
        self._kept: dict[int, Kept] = {}
        self._leases = 0
        self.outdated = asyncio.Event()

    def grant(self, partitions: Collection[TP]) -> None:
        """These partitions are assigned: the takeover of their shards begins. Being told again of what is owned changes
        nothing; whatever else is owned must have been withdrawn before."""
        if self._takeover is None or self._takeover.done():
            try:
                shards = self._whole(partitions)
            except Stop as stop:
                fail_stop(stop)
            owned = sorted(self._committer.leases)
            if owned == shards != []:
                return
            if owned:
                fail_stop(f"shards {shards} are assigned, but {owned} have not been withdrawn")
            self._withdrawn = threading.Event()
            self._stats.assigned, self._stats.recovering = True, dict.fromkeys(shards, (0, 0))
            self._takeover = asyncio.create_task(self._guarded(shards, self._withdrawn))

    async def withdraw(self) -> None:
        """Finishes, commits and releases everything that is owned or claimed."""
        self._withdrawn.set()
        self._stats.assigned = False
        if self._takeover is not None:
            await asyncio.wait([self._takeover])
        since = await self._ends()
        await self._committer.last_epoch(lambda: self._give_up(since))

    async def read(self, block: Block) -> None:
        """Folds a block, if it is of a present lease."""
        fold = self._intake.touchpoints if self._topics[block.topic] == "touchpoints" else self._intake.mail
        first, count = 0, len(block.records)
        while True:
            lease = self._committer.leases.get(block.partition)
            if lease is None or lease.number != block.lease:
                return
            records = block.records[first : first + CHUNK] if count > CHUNK else block.records
            first += CHUNK
            fold(lease, records, block.start, records[-1].offset + 1 if first < count else block.end)
            if self._intake.pending >= EPOCH_RECORDS_MAX:
                await self._committer.epoch()
            if first >= count:
                return
            await asyncio.sleep(0)

    def committed(self) -> dict[TP, int]:
        """How far each source has been committed."""
        return self._offsets(self._committer.committed)

    def _offsets(self, positions: Mapping[int, Position]) -> dict[TP, int]:
        return {
            TP(topic, shard): getattr(position, name)
            for topic, name in self._topics.items()
            for shard, position in positions.items()
        }

    def _whole(self, partitions: Collection[TP]) -> list[int]:
        """The shards of an assignment, which must be whole ones."""
        of = {topic: {tp.partition for tp in partitions if tp.topic == topic} for topic in self._topics}
        touchpoints, mail = of.values()
        if touchpoints != mail:
            raise Stop(
                f"the group's assignment splits shards: touchpoints {sorted(touchpoints)}, mail {sorted(mail)}; are "
                f"there members in group {self._settings.group} that are no workers of this version?"
            )
        return sorted(touchpoints)

    async def _guarded(self, shards: Collection[int], withdrawn: threading.Event) -> None:
        try:
            await self._take_over(shards, withdrawn)
        except Withdrawn:
            return
        except Exception as error:
            if not withdrawn.is_set():
                fail_stop(error)

    async def _take_over(self, shards: Collection[int], withdrawn: threading.Event) -> None:
        kept = {shard: self._kept[shard] for shard in shards if shard in self._kept}
        self._kept = {}
        if not shards:
            return
        await self._alive(withdrawn)
        loop = asyncio.get_running_loop()
        try:
            with self._spans.span("recover", self._time_of_day(), shards=len(shards)):
                taken = await loop.run_in_executor(self._threads, self._recovery.take, shards, kept, withdrawn)
        except Lost as lost:
            await self._unless_withdrawn(lost, withdrawn)
            return
        if withdrawn.is_set():
            return
        try:
            await self._own(taken, kept)
        except Outdated as error:
            if len(taken) < error.shards:
                raise Stop(f"{error} (a worker that is alone does so itself)") from None
            self.outdated.set()

    async def _own(self, taken: Mapping[int, Shard], kept: Mapping[int, Kept]) -> None:
        self._leases += 1
        positions = {number: shard.position or Position(*shard.begin) for number, shard in taken.items()}
        for number, shard in taken.items():
            if shard.kept:
                self._core.restore(number, kept[number].memory)
            else:
                self._add(number, shard)
            self._committer.fenced += [(number, key) for key in shard.before(self._recovery.own)]
        self._committer.own({number: Lease(number, self._leases, at) for number, at in positions.items()})
        await self.consumer.lease(self._offsets(positions), self._leases)
        self._stats.recovering = {}

    def _add(self, number: int, shard: Shard) -> None:
        try:
            self._core.add(number, shard.rows.items())
        except Outdated:
            raise
        except StateError as error:
            raise Stop(f"shard {number}: {error}") from None

    async def _alive(self, withdrawn: threading.Event) -> None:
        """A process that was paused must not take over what has been assigned to others meanwhile."""
        while asyncio.get_running_loop().time() - self.consumer.heard > self._settings.session_timeout_ms / 1000:
            if withdrawn.is_set():
                raise Withdrawn
            await asyncio.sleep(BEAT_S)

    async def _unless_withdrawn(self, lost: Lost, withdrawn: threading.Event) -> None:
        """Another claim is legitimate if the group has moved on; we hear of that within the session time-out."""
        deadline = asyncio.get_running_loop().time() + self._settings.session_timeout_ms / 1000
        while not withdrawn.is_set():
            if asyncio.get_running_loop().time() > deadline:
                raise Stop(f"{lost}, but it is assigned to this one")
            await asyncio.sleep(BEAT_S)

    async def _ends(self) -> dict[int, int]:
        """Where the state partitions of the owned shards end; none: not to be had."""
        shards = list(self._committer.leases)
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, self._recovery.end, shards) if shards else {}
        except KafkaException:
            return {}

    def _give_up(self, since: Mapping[int, int]) -> list[tuple[int, bytes]]:
        """Takes the owned shards out of the core. What they hold is kept, in case they come back."""
        for shard, lease in self._committer.leases.items():
            memory = self._core.remove(shard)
            if shard in since:
                self._kept[shard] = Kept(memory, lease.position, since[shard])
        self._committer.own({})
        return [(shard, self._recovery.own) for shard in self._recovery.release()]
