"""Workers that die, hang, come and go: every touchpoint counts exactly once."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.settings import Settings
from tests.kafka import brokers
from tests.kafka.eventually import eventually
from tests.kafka.fleet import Fleet, await_counted, only_once

STANDSTILL_S = 12
NAMES = [f"c-{number}" for number in range(40)]


@pytest.fixture
def fleet(settings: Settings, tmp_path: Path) -> Iterator[Fleet]:
    with Fleet(settings, tmp_path) as fleet:
        yield fleet


def test_two_workers_share_the_shards_and_mail_each_other(fleet: Fleet) -> None:
    first, second = fleet.start(), fleet.start()
    eventually(lambda: fleet.shared(2))
    fleet.send(NAMES * 10)
    await_counted(fleet)
    assert only_once(fleet.records("triggers"))
    assert first.stats["mail"] > 0 and second.stats["mail"] > 0


def test_counts_are_exact_through_five_kills(fleet: Fleet) -> None:
    fleet.start(), fleet.start()
    eventually(lambda: fleet.shared(2))
    for victim in range(5):
        fleet.send(NAMES * 5)
        fleet.workers[victim].kill()
        fleet.send(NAMES * 5)
        fleet.start()
        eventually(lambda: fleet.shared(2))
    await_counted(fleet)
    assert only_once(fleet.records("triggers"))
    assert only_once(fleet.records("profiles"))


def test_a_worker_that_was_paused_too_long_is_fenced(fleet: Fleet) -> None:
    zombie = fleet.start()
    eventually(lambda: fleet.shared(1))
    fleet.send(NAMES * 3)
    await_counted(fleet)
    zombie.signal(signal.SIGSTOP)
    heir = fleet.start()
    eventually(lambda: heir.shards == [0, 1, 2, 3])
    fleet.send(NAMES * 3)
    await_counted(fleet)
    zombie.signal(signal.SIGCONT)
    assert zombie.ended() != 0
    assert "fenced" in zombie.said
    fleet.send(NAMES * 3)
    await_counted(fleet)
    assert heir.alive and only_once(fleet.records("triggers"))


def test_workers_outlive_a_broker_that_stands_still(tmp_path: Path) -> None:
    """Long enough to be thrown out of the group and to have leaders change."""
    try:
        broker = brokers.start()
    except brokers.Unavailable as reason:
        pytest.skip(f"no Kafka of our own to stop: {reason}")
    settings = Settings(
        brokers=broker.bootstrap, prefix="still", shards=4, replication=1, epoch_ms=100, session_timeout_ms=6_000
    )
    with broker, Fleet(settings, tmp_path) as fleet:
        if broker.stop_command:
            pytest.skip("a broker in Docker cannot be stopped by a signal")
        fleet.start(), fleet.start()
        eventually(lambda: fleet.shared(2))
        fleet.send(NAMES * 20)
        broker.process.send_signal(signal.SIGSTOP)
        time.sleep(STANDSTILL_S)
        broker.process.send_signal(signal.SIGCONT)
        fleet.send(NAMES * 20)
        await_counted(fleet)
        assert [worker.stop() for worker in fleet.workers] == [0, 0]
        assert only_once(fleet.records("triggers"))


def test_workers_join_and_leave_in_peace(fleet: Fleet) -> None:
    stayer = fleet.start()
    eventually(lambda: fleet.shared(1))
    for _ in range(3):
        guest = fleet.start()
        fleet.send(NAMES * 2)
        eventually(lambda: fleet.shared(2))
        fleet.send(NAMES * 2)
        assert guest.stop() == 0
        eventually(lambda: stayer.shards == [0, 1, 2, 3])
    await_counted(fleet)
    assert stayer.stop() == 0
    assert not any("stopped" in worker.said for worker in fleet.workers)
    assert only_once(fleet.records("triggers"))


def test_a_restart_goes_on_where_the_state_topic_ends(fleet: Fleet) -> None:
    assert_counted_by_one(fleet, NAMES * 3)
    assert_counted_by_one(fleet, NAMES * 3)
    assert only_once(fleet.records("profiles"))


def assert_counted_by_one(fleet: Fleet, names: list[str]) -> None:
    fleet.send(names)
    worker = fleet.start()
    await_counted(fleet)
    assert worker.stop() == 0
    assert worker.stats["touchpoints"] == len(names)
