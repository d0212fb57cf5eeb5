"""`selvedge rebuild`: the state anew from all touchpoints, and the outputs corrected; for when no worker runs.

 1. wait until the group has no members, and no longer than until those that ended without a word are out of it
 2. claim all shards: whoever is there unseen, or comes, is fenced, or fences this
 3. the old state says that it is being rebuilt, keeps what was published, and is emptied
 4. touchpoints: of an archive, if one is given, then of the topic up to its end; those in both count once
 5. what differs from what was published is published
 6. the state is whole, positions stand where 4 ended, the claims are released; mail from before is passed over
Each step is one or more transactions. Ended on the way, it leaves a state that workers refuse; run it again. A worker
that is alone runs it by itself where only what is blocked has changed, or where it was ended and needs no archive.
"""

from __future__ import annotations

import os
import socket
import threading
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import xxhash
from confluent_kafka.admin import AdminClient

from pipeline.core.effects import Effects
from pipeline.core.events import PRIVACY
from pipeline.core.identifiers import Registry
from pipeline.core.rebuild import ROWS_MAX, Rebuild
from pipeline.core.touchpoint import Rejected, Touchpoint
from pipeline.kafka import clients
from pipeline.kafka.connect import Tell
from pipeline.kafka.epoch import Epoch, Work
from pipeline.kafka.failstop import Stop
from pipeline.kafka.history import History
from pipeline.kafka.outside import Kafka, Outside
from pipeline.kafka.recovery import Recovery, Shard
from pipeline.kafka.state import Position
from pipeline.kafka.stats import Stats
from pipeline.settings import Settings

LOOK_S, SLACK_S = 0.5, 3.0
"""Between two looks at the group; what its coordinator may need beyond the session time-out."""

Archive = Iterable[list[Touchpoint | Rejected]]
"""What was read of each record, in the order received."""


@dataclass
class Rebuilt:
    """touchpoints, refused: how many were read. documents, withdrawn: records on compacted topics, by what they did."""

    touchpoints: int = 0
    refused: int = 0
    changed: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        changed = ", ".join(f"{count:,} {what}" for what, count in sorted(self.changed.items())) or "nothing"
        return f"{self.touchpoints:,} touchpoints read, {self.refused:,} records refused; corrected: {changed}"


def rebuild(
    settings: Settings, registry: Registry, admin: AdminClient, tell: Tell, archive: Archive | None, *, partial: bool
) -> Rebuilt:
    """archive: what was received before the topic begins. partial: go on without it, though the topic's beginning was
    deleted. Raises Stop, Lost, StateError or KafkaException; none of them holds a payload."""
    outside = Kafka(settings)
    _await_no_members(settings, admin, outside, tell)
    begins = outside.beginnings((settings.topic("touchpoints"), shard) for shard in range(registry.shards))
    if archive is None and not partial and any(begins.values()):
        raise Stop(
            f"the beginning of {settings.topic('touchpoints')} was deleted: what it said would be lost. Run `selvedge "
            "rebuild` with the files of an archive, or with --partial to do without"
        )
    name = f"{settings.group}-rebuild-{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:12]}"
    return _Run(settings, registry, outside, name, tell).run(archive)


def _await_no_members(settings: Settings, admin: AdminClient, outside: Outside, tell: Tell) -> None:
    """A worker that ended without a word is a member until its session time-out."""
    deadline = outside.monotonic() + settings.session_timeout_ms / 1000 + SLACK_S
    told = False
    while members := clients.members(settings, admin):
        if outside.monotonic() > deadline:
            raise Stop(f"stop the workers first: group {settings.group} has {members} members")
        if not told:
            tell(f"group {settings.group} has {members} members; waiting until they are gone")
            told = True
        outside.sleep(LOOK_S)


class _Run:
    def __init__(self, settings: Settings, registry: Registry, outside: Outside, name: str, tell: Tell) -> None:
        self._settings, self._registry, self._outside, self._tell = settings, registry, outside, tell
        self._epochs = Epoch(settings, name, outside)
        self._recovery = Recovery(settings, name, outside, Stats())
        self._done = Rebuilt()
        self._received = 0
        self._before: dict[int, int] = {}
        """Up to which offset the old state had read."""

    def run(self, archive: Archive | None) -> Rebuilt:
        self._epochs.start()
        taken = self._recovery.win(range(self._registry.shards), {}, threading.Event())
        rows = {number: shard.rows for number, shard in taken.items()}
        self._before = {number: at.touchpoints for number, shard in taken.items() if (at := shard.position) is not None}
        core = Rebuild(self._registry, self._settings.clock, rows, archived=archive is not None)
        self._perform_all(core.begin())
        history = History(self._settings, self._registry, self._outside)
        self._read(core, archive or (), history)
        now = self._now(taken)
        self._perform_all(core.finish(now))
        mail = self._outside.ends((self._settings.topic("mail"), number) for number in taken)
        positions = {
            number: Position(history.ends[number], mail[self._settings.topic("mail"), number], now, self._received)
            for number in taken
        }
        claims = [(number, self._recovery.own) for number in self._recovery.release()]
        claims += [(number, key) for number, shard in taken.items() for key in shard.before(self._recovery.own)]
        self._epochs.perform(Work(core.end(), positions=positions, claims=claims))
        return self._done

    def _now(self, taken: dict[int, Shard]) -> int:
        newest = max((shard.position.now for shard in taken.values() if shard.position is not None), default=0)
        return max(newest, self._received if self._settings.clock == "record" else self._outside.time_of_day())

    def _read(self, core: Rebuild, archive: Archive, history: History) -> None:
        archived: set[int] = set()
        for read in archive:
            archived.update(_digest(one) for one in read if isinstance(one, Touchpoint))
            for one in read:
                self._take(core, one, again=True)
        for shard, offset, read in history.read():
            for one in read:
                if isinstance(one, Rejected) or _digest(one) not in archived:
                    self._take(core, one, again=offset < self._before.get(shard, 0))
        self._perform(core.gather())

    def _take(self, core: Rebuild, one: Touchpoint | Rejected, *, again: bool) -> None:
        if isinstance(one, Rejected):
            self._done.refused += 1
            return
        self._received = max(self._received, one.received)
        if one.type in PRIVACY:
            self._perform_all(core.serve(one, again=again))
        elif core.touch(one) is not None:
            self._done.refused += 1
            return
        self._done.touchpoints += 1
        if self._done.touchpoints % ROWS_MAX == 0:
            self._tell(f"{self._done.touchpoints:,} touchpoints")
            self._perform(core.gather())

    def _perform_all(self, steps: Iterator[Effects]) -> None:
        for step in steps:
            self._perform(step)

    def _perform(self, effects: Effects) -> None:
        for output in effects.outputs:
            what = f"{output.topic} {'withdrawn' if output.value is None else 'written'}"
            self._done.changed[what] = self._done.changed.get(what, 0) + 1
        self._done.refused += len(effects.rejected)
        work = Work(effects)
        if work:
            self._epochs.perform(work)


def _digest(touchpoint: Touchpoint) -> int:
    anchor = touchpoint.ids[0] if touchpoint.ids else ""
    return xxhash.xxh3_64_intdigest(f"{touchpoint.id}\n{touchpoint.source}\n{anchor}".encode())
