"""What time it is for the core, and up to when every shard has read: (now, caught_up_to), in microseconds.

Each shard reports how far it is; reports are committed with the epoch that made them true. On the wall clock `now` is
the time of day, and `caught_up_to` the smallest report. On the record clock time is what touchpoints say: it may pass a
time T only when everything received up to T has been read and all mail it caused has been handled, wherever:

    level 0 of a shard   all its touchpoints received up to then are read; looked up after all shards said so of theirs
    level n              ... and all mail that level n - 1 of all shards caused has been handled here

Mail can cause mail; what joins two persons settles in less than HOPS steps. A level, once true, stays true.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from pipeline.core import times

HOPS = 6
SETTLE = times.SECOND
"""A shard at the end has read up to a time only when it still is so long after: producers send to partitions in
batches, one partition's later than another's."""


class Report(msgspec.Struct):
    """How far a shard is; one row of `progress`. received: of the newest touchpoint read (wall clock: the time up to
    which all is read). end: it stands at the end. levels: levels 0 to HOPS on the record clock."""

    shard: int
    received: int = 0
    end: bool = False
    levels: list[int] = []


encode_report = msgspec.json.Encoder().encode
decode_report = msgspec.json.Decoder(Report).decode


@dataclass(frozen=True)
class Sight:
    """One look at the logs. asked: time of day just before the brokers were asked; position, end of both sources, with
    `received` as it was before asking."""

    asked: int
    received: int
    touchpoints: int
    touchpoints_end: int
    mail: int
    mail_end: int

    @property
    def at_end(self) -> bool:
        return self.touchpoints >= self.touchpoints_end

    @property
    def mail_read(self) -> bool:
        return self.mail >= self.mail_end


class WallClock:
    """See the head of the file. `floor`: the clock never goes below. `eager`: reports are to be written at once."""

    eager = False

    def __init__(self, shards: int) -> None:
        self.floor = 0
        self.reports: dict[int, Report] = {}
        self._shards = shards
        self._read: dict[int, int] = {}

    def own(self, shards: Iterable[int]) -> None:
        """These shards are this process's from now on, and no others."""
        before = {shard: report.received for shard, report in self.reports.items()} | self._read
        self._read = {shard: before.get(shard, 0) for shard in shards}

    def goals(self) -> list[int]:
        """To be asked for before a look at the logs, and given to `saw` with what was seen."""
        return []

    def heard(self, reports: Mapping[int, Report]) -> None:
        self.reports.update(reports)

    def saw(self, sights: Mapping[int, Sight], goals: list[int]) -> None:
        for shard, sight in sights.items():
            if sight.mail_read:
                upto = sight.asked if sight.at_end else sight.received
                self._read[shard] = max(upto, self._read[shard])

    def report(self, shard: int, received: int, mail: int) -> Report:
        return Report(shard, self._read[shard])

    def read(self, time_of_day: int) -> tuple[int, int]:
        others = {shard: report.received for shard, report in self.reports.items()}
        read = others | self._read
        self.floor = max(self.floor, time_of_day)
        return self.floor, min(read.get(shard, 0) for shard in range(self._shards))

    def settled(self) -> bool:
        """Nothing more will be due because of what has been read."""
        return True


@dataclass
class _Levels:
    """Of one owned shard. goal: (time that level 0 may rise to, time of day at which that became known). waiting: other
    level -> (time it may rise to, mail offset to be read first). end: it stood at the end when last looked at."""

    levels: list[int]
    goal: tuple[int, int] | None = None
    waiting: dict[int, tuple[int, int]] = field(default_factory=dict)
    end: bool = False

    def look(self, sight: Sight, goals: list[int]) -> None:
        self.end = sight.at_end
        if self.goal is None and goals[0] > self.levels[0]:
            self.goal = goals[0], sight.asked
        if self.goal is not None:
            goal, known = self.goal
            if sight.received > goal or (sight.at_end and sight.asked - known >= SETTLE):
                self.levels[0], self.goal = goal, None
        for level, goal in enumerate(goals[1:], 1):
            if goal > self.levels[level]:
                self.waiting.setdefault(level, (goal, sight.mail_end))

    def handled(self, mail: int) -> None:
        for level, (goal, offset) in list(self.waiting.items()):
            if mail >= offset:
                self.levels[level] = goal
                del self.waiting[level]


class RecordClock:
    """See the head of the file. A process that owns all shards needs only level 0: its mail is handled within an
    epoch."""

    eager = True

    def __init__(self, shards: int, hops: int = HOPS) -> None:
        self.floor = 0
        self.reports: dict[int, Report] = {}
        self._shards, self._hops = shards, hops
        self._own: dict[int, _Levels] = {}

    def own(self, shards: Iterable[int]) -> None:
        self._own = {shard: self._own.get(shard) or self._begin(shard) for shard in shards}

    def _begin(self, shard: int) -> _Levels:
        report = self.reports.get(shard)
        return _Levels(list(report.levels) if report else [0] * (self._hops + 1))

    def goals(self) -> list[int]:
        """For each level the time it may rise to: for level 0 how far all shards seem to be, which may be wrong by the
        time it is heard; for the others what all have reached on the level below."""
        return [self._seems(), *(self._agreed(level) for level in range(self._hops))]

    def heard(self, reports: Mapping[int, Report]) -> None:
        for shard, report in reports.items():
            before = self.reports.get(shard)
            if before is not None:
                report.levels = [max(pair) for pair in zip(before.levels, report.levels, strict=True)]
            self.reports[shard] = report

    def saw(self, sights: Mapping[int, Sight], goals: list[int]) -> None:
        for shard, sight in sights.items():
            self._own[shard].look(sight, goals)
        if len(sights) == self._shards and all(sight.mail_read for sight in sights.values()):
            self._rise(min(own.levels[0] for own in self._own.values()))

    def report(self, shard: int, received: int, mail: int) -> Report:
        own = self._own[shard]
        own.handled(mail)
        return Report(shard, received, own.end, list(own.levels))

    def read(self, time_of_day: int) -> tuple[int, int]:
        self._rise(self._agreed(self._hops))
        return self.floor, self.floor

    def settled(self) -> bool:
        reports = self.reports.values()
        ended = self._complete() and all(report.end for report in reports)
        return ended and self.floor >= max(report.received for report in reports)

    def _agreed(self, level: int) -> int:
        return min(report.levels[level] for report in self.reports.values()) if self._complete() else 0

    def _complete(self) -> bool:
        return len(self.reports) == self._shards

    def _seems(self) -> int:
        """The newest there is if all shards stand at the end, else what the slowest of the others is past."""
        if not self._complete():
            return 0
        behind = [report.received for report in self.reports.values() if not report.end]
        return max(0, min(behind) - 1) if behind else max(report.received for report in self.reports.values())

    def _rise(self, now: int) -> None:
        self.floor = max(self.floor, now)


Clock = WallClock | RecordClock


def clock(kind: str, shards: int) -> Clock:
    return RecordClock(shards) if kind == "record" else WallClock(shards)
