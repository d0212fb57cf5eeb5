"""Which record it was that an epoch failed because of: the one that failed, never an innocent one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pipeline.core.effects import Effects
from pipeline.core.touchpoint import Touchpoint
from pipeline.kafka.epoch import Epoch, Work
from pipeline.kafka.postmortem import Epoch as FailedEpoch
from pipeline.kafka.postmortem import Postmortem
from pipeline.kafka.state import Position
from pipeline.settings import Settings
from tests.core.touchpoints import touchpoint
from tests.simulation import calm
from tests.simulation.calm import Calm

SETTINGS = Settings(shards=1)
FAILED = FailedEpoch({0: Position(0, 0)}, {0: Position(3, 0)}, now=9, caught_up_to=9)
LETTERS = {b"1": "innocent", b"2": "guilty", b"3": "innocent"}


class Core:
    """Cannot do without the row that an earlier epoch has committed, nor with a guilty record at the end of its
    epoch."""

    def __init__(self) -> None:
        self._rows: dict[bytes, bytes] = {}
        self._read: list[Touchpoint] = []

    def add(self, shard: int, rows: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self._rows.update(rows)

    def touch(self, shard: int, touchpoint: Touchpoint) -> None:
        self._read.append(touchpoint)

    def drain(self, now: int, caught_up_to: int) -> Effects:
        assert self._rows == {b"row": b"value"}
        assert all(one.id == "innocent" for one in self._read)
        return Effects()


class Reader:
    def read(self, value: bytes, timestamp: int | None, headers: Any = ()) -> list[Touchpoint]:
        return [touchpoint(LETTERS[value])]


def process() -> Calm:
    """A worker that has committed a row, and whose next epoch of three records has failed."""
    host = Calm(calm.broker(SETTINGS))
    epochs = Epoch(SETTINGS, "worker", host.outside)
    epochs.start()
    host.late = True
    epochs.perform(Work(Effects(rows={0: {b"row": b"value"}})))
    for value in LETTERS:
        host.broker[SETTINGS.topic("touchpoints"), 0].append(None, value, [])
    return host


def culprit(host: Calm) -> str | None:
    return Postmortem(SETTINGS, Core, Reader(), host.outside).culprit(FAILED)


def test_the_record_that_failed_is_named() -> None:
    host = process()
    host.write_markers()
    assert culprit(host) == "touchpoints:0:1"


def test_what_was_committed_last_is_waited_for_until_its_markers_are_written() -> None:
    """Without its row the first record would fail, which is innocent."""
    host = process()
    host.waits = lambda: host.time > 2 and host.write_markers()
    assert culprit(host) == "touchpoints:0:1"
    assert host.time > 2


def test_nobody_is_named_when_the_state_cannot_be_read_in_time() -> None:
    assert culprit(process()) is None
