"""`produce` sends what a worker would take, to where it would take it, and says what it left out."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from pipeline.core import times
from pipeline.core.identifiers import Registry
from pipeline.core.policy import Policy
from pipeline.dialects import Reader
from pipeline.kafka.connect import BrokerAbsent
from pipeline.kafka.embedded import EmbeddedBroker
from pipeline.kafka.produce import Sender, Sent, produce
from pipeline.kafka.topics import TopicsWrong
from pipeline.settings import Settings
from tests.kafka.conftest import SHARDS

TIME = "2026-03-01T10:31:07Z"


@pytest.fixture
def registry() -> Registry:
    return Registry(Policy(), shards=SHARDS)


@pytest.fixture
def reader(registry: Registry) -> Reader:
    return Reader(registry)


class Told(list[str]):
    """Lines for the operator."""

    def __call__(self, line: str) -> None:
        assert "\n" not in line
        self.append(line)


@pytest.fixture
def told() -> Told:
    return Told()


def event(id: str, type: str = "page.viewed", **members: Any) -> bytes:
    data = {"identifiers": [{"type": "cookie", "value": f"c-{id}"}]} | members.pop("data", {})
    envelope = {"specversion": "1.0", "id": id, "source": "web/shop", "type": type, "time": TIME, **members}
    return json.dumps(
        {name: value for name, value in (envelope | {"data": data}).items() if value is not None}
    ).encode()


def file(tmp_path: Path, *lines: bytes, name: str = "touchpoints.jsonl") -> Path:
    path = tmp_path / name
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def arrived(settings: Settings, count: int) -> list[Message]:
    """Exactly `count` records of touchpoints, by key."""
    consumer = Consumer({**settings.librdkafka(), "group.id": "test", "enable.partition.eof": True})
    consumer.assign([TopicPartition(settings.topic("touchpoints"), index, OFFSET_BEGINNING) for index in range(SHARDS)])
    messages = list(_until_ends(consumer))
    consumer.close()
    assert len(messages) == count
    return sorted(messages, key=lambda message: message.key() or b"")


def _until_ends(consumer: Consumer) -> Iterator[Message]:
    ends = 0
    while ends < SHARDS:
        message = consumer.poll(10)
        assert message is not None, "the partitions have no end"
        if message.error():
            ends += 1
        else:
            yield message


def test_lines_arrive_as_they_are_where_their_anchors_live(
    place: Settings, registry: Registry, reader: Reader, told: Told, tmp_path: Path
) -> None:
    lines = [event(str(index)) for index in range(50)]
    sent = produce(place, reader, [file(tmp_path, *lines)], told)
    assert (str(sent), sent.complete, told) == ("50 delivered", True, [])
    messages = arrived(place, 50)
    assert sorted(message.value() for message in messages) == sorted(lines)
    for message in messages:
        identifier = registry.identify("cookie", json.loads(message.value())["data"]["identifiers"][0]["value"]).id
        assert identifier is not None
        assert message.key() == identifier.encode()
        assert message.partition() == registry.home(identifier)
        assert message.headers() is None


def test_the_key_does_not_give_an_address_away(place: Settings, reader: Reader, told: Told, tmp_path: Path) -> None:
    line = event("1", data={"identifiers": [{"type": "email", "value": "jane@example.com"}]})
    produce(place, reader, [file(tmp_path, line)], told)
    key = arrived(place, 1)[0].key()
    assert key.startswith(b"email:")
    assert b"jane" not in key


def test_bad_lines_are_told_with_file_line_and_reason_and_the_others_go_on(
    place: Settings, reader: Reader, told: Told, tmp_path: Path
) -> None:
    path = file(
        tmp_path, event("1"), b"", b"garbage", event("2"), event("3", data={"identifiers": []}), event("4", source=None)
    )
    sent = produce(place, reader, [path], told)
    assert sent == Sent(delivered=2, bad=3)
    assert not sent.complete
    assert str(sent) == "2 delivered, 3 bad"
    assert [line.split(": ")[:2] for line in told] == [
        [f"{path}:3", "not_json"],
        [f"{path}:5", "no_identifier"],
        [f"{path}:6", "bad_envelope"],
    ]
    assert [message.value() for message in arrived(place, 2)] == [event("1"), event("2")]


def test_a_request_with_a_bad_event_in_it_is_not_sent_in_part(reader: Reader, told: Told, tmp_path: Path) -> None:
    good = {"type": "track", "event": "Product Viewed", "messageId": "m-1", "anonymousId": "a-1", "timestamp": TIME}
    bad = {name: value for name, value in good.items() if name != "anonymousId"} | {"messageId": "m-2"}
    with EmbeddedBroker(SHARDS) as bootstrap:
        settings = Settings(brokers=bootstrap, embedded=True)
        batch = json.dumps({"batch": [good, bad], "sentAt": TIME}).encode()
        assert produce(settings, reader, [file(tmp_path, batch)], told) == Sent(bad=1)
        assert produce(settings, reader, [file(tmp_path, json.dumps({"batch": [good]}).encode())], told).delivered == 1
        arrived(settings, 1)


def test_received_times_of_replay_are_sent_along_when_asked_for(
    place: Settings, reader: Reader, told: Told, tmp_path: Path
) -> None:
    recorded, plain, timeless = (
        event("1", recordedtime="2026-03-01T11:00:00Z"),
        event("2", time="2026-03-01T12:00:00Z"),
        event("3", time=None),
    )
    produce(place, reader, [file(tmp_path, recorded, plain, timeless)], told, recorded=True)
    headers = [dict(message.headers()) for message in arrived(place, 3)]  # type: ignore[arg-type]
    assert [header["ce_recordedtime"] for header in headers] == [
        b"2026-03-01T11:00:00Z",
        b"2026-03-01T12:00:00Z",
        b"2026-03-01T12:00:00Z",
    ]


def test_a_worker_reads_the_received_time_that_replay_reads(
    place: Settings, reader: Reader, told: Told, tmp_path: Path
) -> None:
    line = event("1")
    produce(place, reader, [file(tmp_path, line)], told, recorded=True)
    message = arrived(place, 1)[0]
    (by_worker,) = reader.read(message.value(), message.timestamp()[1] * times.MILLISECOND, message.headers())
    assert [by_worker] == reader.read(line, None)


def test_standard_input_is_a_file_called_dash(
    embedded: str, reader: Reader, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(event("1") + b"\n" + event("2") + b"\nx")))
    sent = produce(Settings(brokers=embedded), reader, [Path("-")], told)
    assert sent == Sent(delivered=2, bad=1)
    assert told[0].startswith("-:3: not_json")


def test_progress_reaches_the_size_of_the_files(embedded: str, reader: Reader, told: Told, tmp_path: Path) -> None:
    seen: list[int] = []
    one, two = file(tmp_path, event("1"), name="one"), file(tmp_path, event("2"), name="two")
    produce(Settings(brokers=embedded), reader, [one, two], told, progress=seen.append)
    assert seen[-1] == one.stat().st_size + two.stat().st_size


def test_a_line_that_no_topic_takes_is_told_and_the_next_one_sent(
    embedded: str, reader: Reader, told: Told, tmp_path: Path
) -> None:
    path = file(tmp_path, event("1", data={"properties": {"x": "x" * 5_000_000}}), event("2"))
    sent = produce(Settings(brokers=embedded), reader, [path], told)
    assert sent == Sent(delivered=1, bad=1)
    assert told[0].startswith(f"{path}:1: ")


def test_what_the_brokers_do_not_take_is_counted_and_told(reader: Reader, told: Told) -> None:
    with EmbeddedBroker(SHARDS) as bootstrap:
        sender = Sender(Settings(brokers=bootstrap, transaction_timeout_ms=5_000), reader, told)
    sender.line(event("1"), "here:1")
    sent = sender.finish()
    assert sent == Sent(undelivered=1)
    assert not sent.complete
    assert "not delivered" in told[0]


def test_a_missing_topic_is_named_with_the_command_that_makes_it(embedded: str, reader: Reader, told: Told) -> None:
    with pytest.raises(TopicsWrong, match=r"missing topics: other\.touchpoints; make them with: selvedge topics apply"):
        produce(Settings(brokers=embedded, prefix="other"), reader, [], told)


def test_no_broker_gives_one_line_a_retry_and_an_end(reader: Reader, told: Told) -> None:
    with pytest.raises(BrokerAbsent, match=r"no answer from 127\.0\.0\.1:1 in 3 s: .*Connection refused"):
        produce(Settings(brokers="127.0.0.1:1"), reader, [], told, patience_s=3)
    assert len(told) == 1
    assert told[0].endswith("Connection refused; trying for another 1 s")
