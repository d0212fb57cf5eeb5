"""Claims, fences and rows: whoever takes a shard over has all of its state, and is alone.

What is said of takeovers holds on a real broker and on the one in memory.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from pipeline.core import times
from pipeline.core.effects import Effects
from pipeline.kafka import clients
from pipeline.kafka.epoch import Epoch, Work
from pipeline.kafka.failstop import Stop
from pipeline.kafka.outside import Kafka, Outside
from pipeline.kafka.recovery import Kept, Lost, Recovery, Shard, Withdrawn
from pipeline.kafka.state import Position
from pipeline.kafka.stats import Stats
from pipeline.kafka.topics import apply
from pipeline.settings import Settings
from tests.simulation import calm
from tests.simulation.calm import Calm

ROW = b"row"


class Process:
    """A worker as far as the protocol goes; shard 0 only."""

    def __init__(self, settings: Settings, name: str, outside: Outside) -> None:
        self.outside, self.stats = outside, Stats()
        self.recovery = Recovery(settings, f"{settings.prefix}-{name}", outside, self.stats)
        self.epochs = Epoch(settings, f"{settings.prefix}-{name}", outside)
        self.epochs.start()
        self.memory: dict[bytes, bytes] = {}

    def take(self, kept: Kept | None = None) -> Shard:
        shard = self.recovery.take([0], {0: kept} if kept else {}, threading.Event())[0]
        self.memory = dict(shard.rows)
        return shard

    def commit(self, rows: dict[bytes, bytes | None], touchpoints: int = 1) -> None:
        self.epochs.perform(Work(Effects(rows={0: rows}), positions={0: Position(touchpoints, 0)}))

    def hang(self, rows: dict[bytes, bytes | None]) -> None:
        """An epoch that is not committed: its records are in the log, and hold up who reads committed ones."""
        producer: Any = self.epochs._producer
        producer.begin_transaction()
        self.epochs._produce_rows(Work(Effects(rows={0: rows})))
        producer.flush(10)

    def release(self, touchpoints: int = 1) -> Kept:
        since = self.recovery.end([0])[0]
        claims = [(shard, self.recovery.own) for shard in self.recovery.release()]
        self.epochs.perform(Work(Effects(), positions={0: Position(touchpoints, 0)}, claims=claims))
        return Kept(dict(self.memory), Position(touchpoints, 0), since)


def after_claim(process: Process, action: Callable[[], object]) -> None:
    """Does something between the first claim of a process and its reading."""
    claim, done = process.recovery._claim, []

    def claim_and_act(shards: Mapping[int, Shard]) -> None:
        claim(shards)
        if not done:
            done.append(action())

    process.recovery._claim = claim_and_act  # type: ignore[method-assign]


class Slow:
    """A reader that gets nothing at first: the broker has other things to do."""

    def __init__(self, reader: Any, outside: Outside, breaks: Iterator[bool]) -> None:
        self.assign, self.close = reader.assign, reader.close
        self._reader, self._outside, self._breaks = reader, outside, breaks

    def consume(self, num_messages: int, timeout: float) -> Sequence[Any]:
        if next(self._breaks, True):
            return self._reader.consume(num_messages, timeout)
        self._outside.sleep(timeout)
        return []


Make = Callable[[str], Process]


def in_memory() -> Make:
    """Makes processes on one broker in memory."""
    settings = Settings(shards=1)
    broker = calm.broker(settings)
    return lambda name: Process(settings, name, Calm(broker).outside)


@pytest.fixture
def real(settings: Settings) -> Make:
    apply(settings)
    return lambda name: Process(settings, name, Kafka(settings))


@pytest.fixture(params=["memory", "real"])
def process(request: pytest.FixtureRequest) -> Make:
    return in_memory() if request.param == "memory" else request.getfixturevalue("real")


def test_a_released_shard_is_taken_over_without_a_fence(process: Make) -> None:
    first, second = process("first"), process("second")
    first.take()
    first.commit({ROW: b"1"}, touchpoints=7)
    first.release(touchpoints=8)
    shard = second.take()
    assert shard.rows == {ROW: b"1"} and shard.position == Position(8, 0)
    assert not second.recovery._fenced


def test_an_owner_that_died_inside_an_epoch_is_fenced_and_the_epoch_is_void(process: Make) -> None:
    first, second = process("first"), process("second")
    first.take()
    first.commit({ROW: b"1"})
    first.hang({ROW: b"2"})
    assert second.take().rows == {ROW: b"1"}
    with pytest.raises(KafkaException):
        first.epochs._producer.commit_transaction(10)
    assert (second.stats.fences, second.stats.aborts) == (1, 1)


def test_a_clock_that_disagrees_with_the_brokers_is_named(
    real: Make, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    right, wrong = real("right"), real("wrong")
    right.take()
    assert abs(right.stats.clock_ahead) < 5 and "clock" not in capfd.readouterr().err
    right.release()
    monkeypatch.setattr(wrong.outside, "time_of_day", lambda: time.time_ns() // 1_000 - 3_600 * times.SECOND)
    wrong.take()
    assert -3_605 < wrong.stats.clock_ahead < -3_595
    said = capfd.readouterr().err
    assert re.search(r"this machine's clock is 3\d\d\d s behind the broker's: .*; set both by NTP", said)


def test_an_owner_that_only_slept_can_never_commit_again(process: Make) -> None:
    first, second = process("first"), process("second")
    first.take()
    first.commit({ROW: b"1"})
    second.take()
    with pytest.raises(Stop, match="fenced"):
        first.commit({ROW: b"2"})
    second.commit({ROW: b"3"})
    assert process("third").take().rows == {ROW: b"3"}


def test_a_claim_behind_ones_own_means_that_the_shard_is_lost(process: Make) -> None:
    first, second = process("first"), process("second")
    after_claim(first, lambda: second.recovery._claim({0: Shard(0)}))
    with pytest.raises(Lost, match="another worker"):
        first.take()


def test_deleted_rows_stay_deleted(process: Make) -> None:
    first = process("first")
    first.take()
    first.commit({ROW: b"1", b"other": b"1"})
    first.commit({ROW: None})
    first.release()
    assert process("second").take().rows == {b"other": b"1"}


def test_memory_is_good_when_nobody_owned_the_shard_meanwhile(process: Make) -> None:
    first = process("first")
    first.take()
    first.commit({ROW: b"1"})
    shard = first.take(first.release(touchpoints=5))
    assert shard.kept and shard.rows == {} and shard.position == Position(5, 0)


def test_memory_is_dropped_when_somebody_owned_the_shard_meanwhile(process: Make) -> None:
    first, second = process("first"), process("second")
    first.take()
    first.commit({ROW: b"1", b"other": b"1"})
    kept = first.release()
    second.take()
    second.commit({ROW: None}, touchpoints=9)
    second.release(touchpoints=9)
    shard = first.take(kept)
    assert not shard.kept and shard.rows == {b"other": b"1"} and shard.position == Position(9, 0)


def test_memory_is_dropped_and_the_owner_fenced_when_it_died(process: Make) -> None:
    first, second = process("first"), process("second")
    first.take()
    kept = first.release()
    second.take()
    second.commit({ROW: b"2"})
    assert first.take(kept).rows == {ROW: b"2"}
    with pytest.raises(Stop, match="fenced"):
        second.commit({ROW: b"3"})


def test_an_owner_whose_claim_came_before_a_release_is_seen_by_who_released(process: Make) -> None:
    first, second = process("first"), process("second")
    first.take()
    first.commit({ROW: b"1"})
    kept: list[Kept] = []
    after_claim(second, lambda: kept.append(first.release()))
    second.take()
    second.commit({ROW: b"2"})
    assert not second.recovery._fenced
    assert first.take(kept[0]).rows == {ROW: b"2"}
    with pytest.raises(Stop, match="fenced"):
        second.commit({ROW: b"3"})


def test_who_reads_slowly_reads_to_the_end_all_the_same() -> None:
    process = in_memory()
    first, second = process("first"), process("second")
    first.take()
    first.commit({ROW: b"1"})
    first.release()
    at_once, breaks = second.outside.reader, iter([False] * 30)
    second.outside.reader = lambda: Slow(at_once(), second.outside, breaks)
    assert second.take().rows == {ROW: b"1"}
    assert not second.recovery._fenced


def test_a_takeover_that_is_withdrawn_ends_at_once(process: Make) -> None:
    withdrawn = threading.Event()
    withdrawn.set()
    first = process("first")
    with pytest.raises(Withdrawn):
        first.recovery.take([0], {}, withdrawn)
    assert first.recovery.release() == {0}


def test_a_shard_without_state_begins_where_the_logs_begin(real: Make, settings: Settings) -> None:
    first = real("first")
    send(settings, 3)
    delete_before(settings, 2)
    assert first.take().begin == (2, 0)


def test_a_position_below_the_beginning_of_a_log_stops_the_worker(real: Make, settings: Settings) -> None:
    first = real("first")
    first.take()
    first.commit({}, touchpoints=1)
    first.release(touchpoints=1)
    send(settings, 3)
    delete_before(settings, 2)
    with pytest.raises(Stop, match=r"touchpoints:0: the log begins at offset 2.* 1 records were deleted"):
        real("second").take()


def send(settings: Settings, count: int) -> None:
    producer = clients.producer(settings)
    for _ in range(count):
        producer.produce(settings.topic("touchpoints"), b"", partition=0)
    producer.flush()


def delete_before(settings: Settings, offset: int) -> None:
    admin = AdminClient(settings.librdkafka())
    for answer in admin.delete_records([TopicPartition(settings.topic("touchpoints"), 0, offset)]).values():
        answer.result()
