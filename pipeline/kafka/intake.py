"""From blocks of records to the core: touchpoints are read and folded, mail is handed over, the rest is a dead letter.

Records below a lease's position are there already and skipped; a block that begins above it would be a loss, so it ends
the process. A record that makes the core raise ends the process too, and the message names it and the setting that
passes over it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pipeline.core.effects import Effects
from pipeline.core.touchpoint import Rejected, Touchpoint
from pipeline.kafka.dead_letters import SKIPPED, SUPPRESSED, DeadLetter, Share, Source, dead_letter
from pipeline.kafka.failstop import Stop, describe
from pipeline.kafka.state import Position
from pipeline.kafka.stats import Stats
from pipeline.settings import Settings

MILLISECOND = 1_000
NOWHERE = -1


class Forgotten:
    """Stands for the record of a touchpoint that is refused behind the shard it was read at."""

    offset = NOWHERE


FORGOTTEN = Forgotten()


class Core(Protocol):
    """What the shell asks of the core: the shards this process owns (pipeline.core.group.Group)."""

    @property
    def next_due(self) -> int | None: ...

    @property
    def next_held(self) -> int | None: ...

    @property
    def waiting(self) -> int: ...

    def add(self, shard: int, /, rows: Iterable[tuple[bytes, bytes]] = ()) -> None: ...

    def remove(self, shard: int, /) -> Any: ...

    def restore(self, shard: int, removed: Any, /) -> None: ...

    def touch(self, shard: int, touchpoint: Touchpoint, /) -> Rejected | None: ...

    def receive(self, shard: int, mail: bytes, /) -> None: ...

    def drain(self, now: int, caught_up_to: int) -> Effects: ...

    def held(self) -> dict[str, tuple[int, int]]: ...

    def oldest_erasure(self) -> int: ...


class Reader(Protocol):
    """What turns the bytes of a record into touchpoints (pipeline.dialects.Reader)."""

    def read(
        self, value: bytes | None, timestamp: int | None, headers: Sequence[tuple[str, bytes]] = ()
    ) -> list[Touchpoint | Rejected]: ...


@dataclass
class Lease:
    """An owned shard. position: what has been folded. moved: records were, since the last epoch."""

    shard: int
    number: int
    position: Position
    moved: bool = False


class Intake:
    """Feeds the core. `pending` counts records since the last `take`."""

    def __init__(self, settings: Settings, core: Core, reader: Reader, share: Share, stats: Stats, worker: str) -> None:
        self.pending = 0
        self._core = core
        self._reader = reader
        self._share = share
        self._stats = stats
        self._skip = settings.skip
        self._settings = settings
        self._worker = worker
        self._dead_letters: list[DeadLetter] = []

    def take(self, rejected: Iterable[Rejected] = ()) -> list[DeadLetter]:
        """The dead letters since the last call; the core has been or is about to be drained. rejected: what it refused
        of the mail."""
        for one in rejected:
            self._reject("mail", NOWHERE, FORGOTTEN, one)
        letters, self._dead_letters = self._dead_letters, []
        self.pending = 0
        return letters

    def touchpoints(self, lease: Lease, records: Sequence[Any], start: int, end: int) -> None:
        """Folds records of a block that begins at `start`; afterwards everything below `end` has been."""
        position, shard = lease.position, lease.shard
        news = _unread(records, start, position.touchpoints, f"touchpoints:{shard}")
        read, touch, received, refused, offset = self._reader.read, self._core.touch, position.received, 0, start
        accepted = self._stats.accepted
        try:
            for record in news:
                offset = record.offset
                if self._skip and ("touchpoints", shard, offset) in self._skip:
                    self._reject("touchpoints", shard, record, SKIPPED)
                    continue
                for found in read(record.value, _microseconds(record.timestamp), record.headers):
                    rejected: Rejected | None
                    if type(found) is Touchpoint:
                        rejected = touch(shard, found)
                        if rejected is None:
                            accepted[found.dialect][found.channel] += 1
                        received = max(received, found.received)
                    else:
                        assert isinstance(found, Rejected)
                        rejected = found
                    if rejected is not None:
                        refused += rejected.code != SUPPRESSED
                        self._reject("touchpoints", shard, record, rejected)
        except Exception as error:
            raise culprit(f"touchpoints:{shard}:{offset}", error) from None
        position.touchpoints, position.received = max(position.touchpoints, end), received
        self._stats.touchpoints += len(news)
        self._noted(lease, news)
        self._share.note(len(news), refused, time.monotonic())

    def mail(self, lease: Lease, records: Sequence[Any], start: int, end: int) -> None:
        """Hands over mail, as `touchpoints` does its records."""
        position, shard = lease.position, lease.shard
        news = _unread(records, start, position.mail, f"mail:{shard}")
        offset = start
        try:
            for record in news:
                offset = record.offset
                if self._skip and ("mail", shard, offset) in self._skip:
                    self._reject("mail", shard, record, SKIPPED)
                else:
                    self._core.receive(shard, record.value)
        except Exception as error:
            raise culprit(f"mail:{shard}:{offset}", error) from None
        position.mail = max(position.mail, end)
        self._stats.mail += len(news)
        self._noted(lease, news)

    def _noted(self, lease: Lease, news: Sequence[Any]) -> None:
        lease.moved |= bool(news)
        self.pending += len(news)

    def _reject(self, topic: str, shard: int, record: Any, rejected: Rejected) -> None:
        source = Source(self._settings.topic(topic), shard, self._settings.group, self._worker)
        self._dead_letters.append(dead_letter(source, record, rejected))
        self._stats.rejected[rejected.code] += 1


def _unread(records: Sequence[Any], start: int, position: int, what: str) -> Sequence[Any]:
    if start > position:
        raise Stop(f"{what}: offsets {position} to {start - 1} were not delivered; were they deleted before the time?")
    if records and records[0].offset < position:
        return [record for record in records if record.offset >= position]
    return records


def _microseconds(milliseconds: int | None) -> int | None:
    """Of a record's timestamp, which is negative or None where there is none."""
    return milliseconds * MILLISECOND if milliseconds is not None and milliseconds >= 0 else None


def culprit(record: str, error: Exception) -> Stop:
    """Says that the core cannot do with a record (`topic:partition:offset`), and how to pass over it."""
    return Stop(
        f"record {record} cannot be processed: {describe(error)}; nothing of this epoch was committed. "
        f"To pass over this record set SELVEDGE_SKIP={record}"
    )
