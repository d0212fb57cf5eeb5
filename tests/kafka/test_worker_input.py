"""Bad input flows to the dead letters; a bug ends the process with nothing committed; the rest goes on."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer

from pipeline.kafka.clock import decode_report
from pipeline.kafka.topics import TOUCHPOINT_BYTES_MAX
from pipeline.settings import Settings
from tests.kafka.eventually import eventually
from tests.kafka.fleet import ROOT, Fleet, await_counted

NAMES = [f"c-{number}" for number in range(8)]
GARBAGE: list[bytes | None] = [
    None,
    b"",
    b"\x00\xff\xfe not text",
    b"[" * 100_000,
    b'{"specversion":"1.0"}',
    b"9" * 1_000,
    b'{"specversion":"1.0","id":"e","source":"web/s","type":"page.viewed","data":{"identifiers":[]}}',
    os.urandom(TOUCHPOINT_BYTES_MAX - 200),
]


@pytest.fixture
def fleet(settings: Settings, tmp_path: Path) -> Iterator[Fleet]:
    with Fleet(settings, tmp_path) as fleet:
        yield fleet


def test_garbage_goes_to_the_dead_letters_as_it_came_and_the_rest_goes_on(fleet: Fleet) -> None:
    fleet.send(NAMES)
    fleet.send_raw(GARBAGE, partition=2)
    fleet.send(NAMES)
    worker = fleet.start()
    await_counted(fleet)
    letters = fleet.records("dead-letters")
    assert sorted(letter.value or b"" for letter in letters) == sorted(value or b"" for value in GARBAGE)
    assert all(letter.key is not None and letter.key.startswith(b"key-") for letter in letters)
    for letter in letters:
        errors = {name.removeprefix("__connect.errors."): value for name, value in letter.headers.items()}
        assert errors["topic"] == fleet.settings.topic("touchpoints").encode()
        assert errors["partition"] == b"2"
        assert re.fullmatch(rb"\d+", errors["offset"] or b"")
        assert errors["stage"] in (b"DECODE", b"VALIDATE")
        assert errors["connector.name"] == fleet.settings.group.encode()
        assert re.fullmatch(rb"[a-z_]+", errors["exception.class.name"] or b"")
    assert sum(worker.stats["rejected"].values()) == len(GARBAGE)


def test_a_header_name_that_is_no_text_stops_nobody(fleet: Fleet) -> None:
    fleet.send(NAMES)
    environment = {**os.environ, "AIOKAFKA_NO_EXTENSIONS": "1"}
    topic = fleet.settings.topic("touchpoints")
    command = [sys.executable, "-m", "tests.kafka.unreadable", fleet.settings.brokers, topic]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=60)
    fleet.send(NAMES)
    fleet.start()
    await_counted(fleet)
    [letter] = fleet.records("dead-letters")
    assert letter.value == b"garbage with a header" and letter.headers["\ufffd\ufffd"] == b"value"


def test_markers_and_aborted_records_are_passed_over(fleet: Fleet) -> None:
    producer = Producer({**fleet.settings.librdkafka(), "transactional.id": fleet.settings.prefix})
    producer.init_transactions()
    worker = fleet.start()
    for end in (producer.commit_transaction, producer.abort_transaction, producer.commit_transaction):
        fleet.send(NAMES)
        producer.begin_transaction()
        for partition in range(fleet.settings.shards):
            producer.produce(fleet.settings.topic("touchpoints"), b"in a transaction", partition=partition)
        producer.flush()
        end()
        fleet.send(NAMES)
    await_counted(fleet)
    assert len(fleet.records("dead-letters")) == 2 * fleet.settings.shards
    assert worker.stop() == 0
    fleet.send(NAMES)
    fleet.start()
    await_counted(fleet)


@pytest.mark.parametrize("bug", ["test.bug", "test.late_bug"])
def test_a_bug_ends_the_process_and_names_the_record_but_nobody(fleet: Fleet, bug: str) -> None:
    worker = fleet.start()
    eventually(lambda: fleet.shared(1))
    fleet.send(NAMES)
    await_counted(fleet)
    fleet.send(NAMES)
    fleet.send(["jane-doe"], type=bug)
    fleet.send(NAMES)
    assert worker.ended() != 0
    assert "jane-doe" not in worker.said
    assert "Bug at " in worker.said and "counting.py" in worker.said
    record = re.search(r"SELVEDGE_SKIP=(touchpoints:\d+:\d+)", worker.said)
    assert record is not None

    del fleet.sent["cookie:jane-doe"]
    fleet.send(NAMES)
    again = fleet.start()
    assert again.ended() != 0
    assert record[0] in again.said
    skipping = frozenset({("touchpoints", int(record[1].split(":")[1]), int(record[1].split(":")[2]))})
    fleet.start(skip=skipping)
    await_counted(fleet)
    [letter] = fleet.records("dead-letters")
    assert letter.headers["__connect.errors.exception.class.name"] == b"skipped_by_operator"
    assert letter.value is not None and b"jane-doe" in letter.value


def test_a_flood_of_garbage_stops_the_worker_loudly(fleet: Fleet) -> None:
    fleet.send_raw([b"garbage"] * 1_500)
    worker = fleet.start()
    assert worker.ended() != 0
    assert "max_share" in worker.said


def test_a_stranger_in_the_group_stops_the_worker_with_a_reason(fleet: Fleet) -> None:
    """Faust never looks at the answer to JoinGroup: the worker would look alive and read nothing."""
    stranger = Consumer({**fleet.settings.librdkafka(), "group.id": fleet.settings.group})
    stranger.subscribe([fleet.settings.topic("touchpoints")])
    eventually(lambda: stranger.poll(0.1) or stranger.assignment())
    worker = fleet.start()
    assert worker.ended() != 0
    assert "the consumer group: InconsistentGroupProtocolError" in worker.said
    stranger.close()


def test_on_the_wall_clock_all_shards_say_that_they_are_up_to_date(fleet: Fleet) -> None:
    fleet.start(clock="wall"), fleet.start(clock="wall")
    eventually(lambda: fleet.shared(2))
    fleet.send(NAMES)
    await_counted(fleet)
    begun = time.time_ns() // 1_000
    eventually(lambda: all(worker.stats["caught_up_to"] > begun for worker in fleet.workers))
    reports = [decode_report(record.value or b"") for record in fleet.records("progress")]
    newest = {report.shard: report.received for report in reports}
    assert sorted(newest) == [0, 1, 2, 3] and min(newest.values()) > begun
    assert not fleet.records("dead-letters")


def test_missing_topics_are_named_with_the_command_that_makes_them(fleet: Fleet) -> None:
    worker = fleet.start(prefix="nothing-here")
    assert worker.ended() != 0
    assert "nothing-here.touchpoints" in worker.said and "selvedge topics apply" in worker.said
    assert "Traceback" not in worker.said


def test_an_absent_broker_is_one_line_and_tried_again(settings: Settings, tmp_path: Path) -> None:
    log = tmp_path / "log"
    absent = dataclasses.replace(settings, brokers="127.0.0.1:9")
    environment = {**os.environ, **absent.environment()}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.kafka.counting"], cwd=ROOT, env=environment, stdout=out, stderr=out
        )
    eventually(lambda: "no answer from 127.0.0.1:9" in log.read_text())
    process.kill()
    process.wait(10)
    assert len(log.read_text().splitlines()) == 1
