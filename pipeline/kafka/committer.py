"""Ends epochs: takes the effects out of the core, has them performed, and knows what has been committed.

Folding goes on while an epoch commits: its effects were taken out before. One lock orders the epochs. Runs on the event
loop, except what waits for brokers. An error in here ends the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from typing import Any, TypeVar

from pipeline.core import times
from pipeline.core.effects import Effects
from pipeline.kafka.clock import Clock, Report, Sight
from pipeline.kafka.epoch import Epoch, Work
from pipeline.kafka.failstop import Stop, describe, fail_stop
from pipeline.kafka.intake import Core, Intake, Lease, culprit
from pipeline.kafka.postmortem import Epoch as FailedEpoch
from pipeline.kafka.progress import Progress
from pipeline.kafka.spans import Spans
from pipeline.kafka.state import Position
from pipeline.kafka.stats import Lag, Stats

REPORT_S = 5.0
"""A shard is heard of at least so often."""

T = TypeVar("T")
Culprit = Callable[[FailedEpoch], str | None]
"""Names the record that an epoch failed because of."""


class Committer:
    """`leases`: the shards owned now. `committed`: their positions as the newest epoch left them. `fenced`: claims to
    delete with the next epoch, as (shard, key)."""

    def __init__(
        self,
        core: Core,
        intake: Intake,
        epochs: Epoch,
        progress: Progress,
        clock: Clock,
        stats: Stats,
        culprit: Culprit,
        time_of_day: Callable[[], int],
        spans: Spans,
    ) -> None:
        self.leases: dict[int, Lease] = {}
        self.committed: dict[int, Position] = {}
        self.fenced: list[tuple[int, bytes]] = []
        self.clock = clock
        self._core, self._intake, self._epochs, self._progress = core, intake, epochs, progress
        self._stats, self._culprit, self._time_of_day, self._spans = stats, culprit, time_of_day, spans
        self._lock = asyncio.Lock()
        self._threads = ThreadPoolExecutor(2, "selvedge-commit")
        self._reported = 0.0
        self._new = False
        self._published: dict[int, Report] = {}

    def own(self, leases: Mapping[int, Lease]) -> None:
        """These are owned from now on, and no others."""
        self.leases = dict(leases)
        self.committed = {shard: copy(lease.position) for shard, lease in leases.items()}
        self.clock.floor = max([self.clock.floor, *(lease.position.now for lease in leases.values())])
        self.clock.own(leases)
        self._published = {shard: report for shard, report in self._published.items() if shard in leases}
        self._stats.shards = sorted(leases)
        self._new = True

    async def epoch(self) -> None:
        """Commits what has happened since the last epoch, if anything has."""
        await asyncio.shield(self._ordered(self._collect))

    async def last_epoch(self, give_up: Callable[[], list[tuple[int, bytes]]]) -> None:
        """Commits everything. `give_up` is called once the core has been drained for it: nothing may change the owned
        shards afterwards; it gives the claims to delete, as (shard, key)."""

        def collect() -> Work:
            work = self._collect()
            work.claims += give_up()
            return work

        await asyncio.shield(self._ordered(collect))

    async def look(self) -> None:
        """Sees how far everybody is, for the clock."""
        goals = self.clock.goals()
        asked, received = self._time_of_day(), {shard: lease.position.received for shard, lease in self.leases.items()}
        ends = await self._wait(lambda: self._progress.ends(received))
        sights = {
            shard: _sight(asked, received[shard], lease, ends[shard])
            for shard, lease in self.leases.items()
            if ends is not None and shard in ends
        }
        if sights.keys() == received.keys() == self.leases.keys():
            self.clock.saw(sights, goals)
        self.clock.heard(await self._wait(self._progress.reports))
        self._stats.idle = self._idle(sights)
        self._stats.lag = {shard: _lag(sight) for shard, sight in sights.items()}
        self._stats.state = self._core.held()
        held = self._core.next_held
        self._stats.waiting = self._core.waiting
        self._stats.waiting_age = max(0, self._stats.now - held) / times.SECOND if held else 0.0
        oldest = self._core.oldest_erasure()
        self._stats.erasure_age = max(0, self._stats.now - oldest) / times.SECOND if oldest else 0.0

    async def _wait(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    async def _ordered(self, collect: Callable[[], Work]) -> None:
        """Shielded by its callers, because an epoch that has begun must end before the next one begins."""
        try:
            async with self._lock:
                begun, at, records = _monotonic(), self._time_of_day(), self._intake.pending
                work = collect()
                if work:
                    outputs = work.effects.outputs
                    with self._spans.span("epoch", at, records=records, outputs=len(outputs)) as span:
                        self._spans.link(span, outputs)
                        await self._perform(work, span)
                    self._stats.epoch_s.note(_monotonic() - begun)
                    self._stats.epoch_records.note(records)
        except Exception as error:
            fail_stop(error)

    async def _perform(self, work: Work, span: Any) -> None:
        with self._spans.span("commit", self._time_of_day(), span):
            seconds = await self._wait(lambda: self._epochs.perform(work))
        self.clock.heard(work.progress)
        self.committed |= {shard: position for shard, position in work.positions.items() if shard in self.leases}
        self._stats.epochs += 1
        self._stats.commit_s.append(seconds)
        self._stats.counts.update(work.effects.counts)

    def _collect(self) -> Work:
        now, caught_up_to = self.clock.read(self._time_of_day())
        self._stats.now, self._stats.caught_up_to = now, caught_up_to
        effects = self._drain(now, caught_up_to)
        work = Work(effects, self._intake.take(effects.rejected), claims=self.fenced)
        self.fenced = []
        overdue = _monotonic() - self._reported >= REPORT_S and bool(self.leases)
        busy = bool(work) or overdue or any(lease.moved for lease in self.leases.values())
        work.progress = self._reports(busy, overdue)
        if busy or work.progress:
            work.positions = self._positions(work.effects, now, overdue)
        return work

    def _drain(self, now: int, caught_up_to: int) -> Effects:
        due, held = self._core.next_due, self._core.next_held
        is_read = held is not None and held <= caught_up_to
        if not self._new and not self._intake.pending and not is_read and (due is None or due > now):
            return Effects()
        self._new = False
        if due is not None and due <= now:
            self._stats.timer_late_s.note((now - due) / times.SECOND)
        begun = _monotonic()
        try:
            effects = self._core.drain(now, caught_up_to)
        except Exception as error:
            raise self._failed(FailedEpoch(self.committed, self._positions_now(), now, caught_up_to), error) from None
        self._stats.drain_s.append(_monotonic() - begun)
        return effects

    def _positions_now(self) -> dict[int, Position]:
        return {shard: lease.position for shard, lease in self.leases.items()}

    def _failed(self, epoch: FailedEpoch, error: Exception) -> Stop:
        record = self._culprit(epoch)
        if record is not None:
            return culprit(record, error)
        return Stop(f"the end of an epoch failed, and not because of one record: {describe(error)}")

    def _reports(self, busy: bool, overdue: bool) -> dict[int, Report]:
        """Reports of the shards that have something new to say, or must be heard of."""
        chosen: dict[int, Report] = {}
        for shard, lease in self.leases.items():
            report = self.clock.report(shard, lease.position.received, lease.position.mail)
            news = report != self._published.get(shard) and (busy or self.clock.eager)
            if news or overdue:
                chosen[shard] = self._published[shard] = report
        if overdue:
            self._reported = _monotonic()
        return chosen

    def _positions(self, effects: Effects, now: int, all_of_them: bool) -> dict[int, Position]:
        chosen: dict[int, Position] = {}
        for shard, lease in self.leases.items():
            if lease.moved or shard in effects.rows or all_of_them:
                lease.moved = False
                lease.position.now = now
                chosen[shard] = copy(lease.position)
        return chosen

    def _idle(self, sights: Mapping[int, Sight]) -> bool:
        due = self._core.next_due
        return (
            bool(sights)
            and all(sight.at_end and sight.mail_read for sight in sights.values())
            and not self._intake.pending
            and not self._lock.locked()
            and (due is None or due > self.clock.floor)
            and self.clock.settled()
        )


def _sight(asked: int, received: int, lease: Lease, ends: tuple[int, int]) -> Sight:
    position = lease.position
    return Sight(asked, received, position.touchpoints, ends[0], position.mail, ends[1])


def _lag(sight: Sight) -> Lag:
    """A shard is behind by the age of the last touchpoint it has read, if there are newer ones."""
    touchpoints, mail = (max(0, sight.touchpoints_end - sight.touchpoints), max(0, sight.mail_end - sight.mail))
    behind = sight.asked - sight.received if touchpoints and sight.received else 0
    return Lag(touchpoints, mail, max(0, behind) / times.SECOND)


def _monotonic() -> float:
    return asyncio.get_running_loop().time()
