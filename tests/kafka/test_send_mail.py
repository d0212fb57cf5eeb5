"""The example that sends mail, on a broker and as a process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from confluent_kafka import Producer

from pipeline.core import times
from pipeline.examples.trigger_topic import TriggerTopic
from pipeline.kafka.look import since
from pipeline.kafka.topics import apply
from pipeline.settings import Settings
from tests.examples.mailbox import OK, Mailbox
from tests.examples.test_send_mail import EXAMPLE, A, B
from tests.kafka.conftest import SHARDS
from tests.kafka.eventually import eventually

EXAMPLE_RECORD = {name: value for name, value in EXAMPLE.items() if name != "trigger_id"}


def put(settings: Settings, *values: bytes, partition: int = 1) -> None:
    producer = Producer(settings.librdkafka())
    for value in values:
        producer.produce(settings.topic("triggers"), value, partition=partition)
    assert producer.flush(20) == 0


def transaction(settings: Settings, name: str, value: bytes) -> Producer:
    """One that has written a record and is open."""
    producer = Producer({**settings.librdkafka(), "transactional.id": name})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(settings.topic("triggers"), value, partition=1)
    assert producer.flush(20) == 0
    return producer


def test_catching_up_reads_what_is_committed_at_that_moment(place: Settings) -> None:
    put(place, b"one", b"two")
    topic = TriggerTopic(place, SHARDS)
    try:
        assert [read.value for read in topic.catch_up()] == [b"one", b"two"]
        put(place, b"three")
        assert [read.value for read in topic.catch_up(1)] == [b"three"]
        assert topic.catch_up(1) == []
    finally:
        topic.close()


def test_an_open_transaction_is_not_waited_for_and_an_aborted_one_not_read(settings: Settings) -> None:
    apply(settings)
    put(settings, b"one")
    topic = TriggerTopic(settings, SHARDS)
    found: list[bytes | None] = []

    def two() -> bool:
        """A transaction is readable a moment after the commit was confirmed."""
        found.extend(read.value for read in topic.catch_up(1))
        return b"two" in found

    try:
        open_one = transaction(settings, f"{settings.prefix}-open", b"aborted")
        assert [read.value for read in topic.catch_up()] == [b"one"]
        open_one.abort_transaction(30)
        transaction(settings, f"{settings.prefix}-next", b"two").commit_transaction(30)
        eventually(two, 30)
        assert found == [b"two"]
    finally:
        topic.close()


def trigger(trigger_id: str, status: str = "fired", revision: int = 1) -> bytes:
    now = time.time_ns() // 1_000
    when = {"fired_at": now, "send_not_before": now, "expires_at": now + times.DAY}
    own = {"trigger_id": trigger_id, "status": status, "revision": revision}
    return json.dumps(EXAMPLE_RECORD | own | {name: times.text(at) for name, at in when.items()}).encode()


@pytest.fixture
def mailer(embedded: str, tmp_path: Path) -> tuple[Settings, list[str]]:
    """Settings of the broker, and the command without the SMTP server's port."""
    settings = Settings(brokers=embedded, shards=SHARDS, embedded=True)
    claims = ["--claims", str(tmp_path / "claims"), "--sender", "shop@example.com"]
    return settings, [
        sys.executable,
        "-m",
        "pipeline.examples.send_mail",
        "--host",
        "127.0.0.1",
        "--tls",
        "none",
        *claims,
    ]


def test_killed_while_the_server_takes_a_mail_it_goes_on_with_the_next(mailer: tuple[Settings, list[str]]) -> None:
    settings, command = mailer
    taken, kill = threading.Event(), threading.Event()

    def hang(step: str) -> str:
        if step == "taken":
            taken.set()
            kill.wait(30)
        return OK

    with Mailbox() as mailbox:
        mailbox.answer = hang
        command = [*command, "--port", str(mailbox.port), "--since", "2020-01-01T00:00:00Z"]
        environment = {**os.environ, **settings.environment()}
        put(settings, trigger(A))
        first = subprocess.Popen(command, env=environment)
        assert taken.wait(60)
        first.kill()
        first.wait(10)
        kill.set()
        mailbox.answer = lambda step: OK
        withdrawn = "d43045bc-97d5-5d56-9475-63b5fff539c9"
        put(settings, trigger(withdrawn), trigger(withdrawn, "retracted", 2), trigger(B))
        second = subprocess.Popen(command, env=environment)
        try:
            eventually(lambda: B in mailbox.triggers, 60)
        finally:
            second.send_signal(signal.SIGTERM)
            assert second.wait(30) == 0
        assert mailbox.triggers == [A, B]
    assert [json.loads(value)["id"] for value in touchpoints(settings)] == [f"sent-{B}"]


def touchpoints(settings: Settings) -> list[bytes]:
    return [record.value for record in since(settings, "touchpoints", {}) if record.value]
