"""An epoch becomes visible at once and whole, or never."""

from __future__ import annotations

import os

import msgspec
import pytest
from confluent_kafka import TopicPartition

from pipeline.core.effects import Effects, Output
from pipeline.kafka import clients
from pipeline.kafka.clock import Report
from pipeline.kafka.dead_letters import DeadLetter
from pipeline.kafka.epoch import Epoch, Work
from pipeline.kafka.failstop import Stop
from pipeline.kafka.outside import Kafka
from pipeline.kafka.state import POSITION, Position
from pipeline.kafka.topics import apply
from pipeline.settings import Settings
from tests.kafka.segments import codecs

TIME = 1_772_359_200_250_000
TOPICS = ("profiles", "triggers", "dead-letters", "mail", "state", "progress")

WORK = Work(
    Effects(
        outputs=[Output("profiles", "p1", b"{}", "e1", TIME), Output("profiles", "p2", None, "e2", TIME)],
        mail=[(2, b"letter")],
        rows={1: {b"row": b"value", b"gone": None}},
    ),
    dead_letters=[DeadLetter(b"k", b"\xff", [("reason", b"bad")])],
    positions={1: Position(10, 20, now=5, received=4)},
    progress={1: Report(1, 4)},
    claims=[(3, b"\xffclaim:x")],
)


@pytest.fixture
def epochs(settings: Settings) -> Epoch:
    apply(settings)
    epochs = Epoch(settings, settings.prefix, Kafka(settings))
    epochs.start()
    return epochs


def committed(settings: Settings) -> dict[str, list[tuple[int, bytes | None, bytes | None, dict[str, bytes]]]]:
    """By topic without prefix: (partition, key, value, headers) of each committed record."""
    consumer = clients.committed_reader(settings)
    names = {settings.topic(name): name for name in TOPICS}
    topics = consumer.list_topics(timeout=10).topics
    partitions = [TopicPartition(topic, number, 0) for topic in names for number in topics[topic].partitions]
    consumer.assign(partitions)
    found: dict[str, list[tuple[int, bytes | None, bytes | None, dict[str, bytes]]]] = {name: [] for name in TOPICS}
    ended = 0
    while ended < len(partitions):
        for message in consumer.consume(100, 1.0):
            if message.error():
                ended += 1
            else:
                record = (message.partition(), message.key(), message.value(), dict(message.headers() or []))
                found[names[message.topic()]].append(record)
    consumer.close()
    return found


def test_everything_of_an_epoch_is_there_after_it(epochs: Epoch, settings: Settings) -> None:
    epochs.perform(WORK)
    found = committed(settings)
    [first, second] = sorted(found["profiles"], key=lambda record: record[1] or b"")
    assert first[1:3] == (b"p1", b"{}") and second[1:3] == (b"p2", None)
    assert first[3] == {
        "ce_id": b"e1",
        "ce_time": b"2026-03-01T10:00:00.25Z",
        "ce_type": b"selvedge.profile",
        "ce_source": f"selvedge/{settings.prefix}".encode(),
        "ce_specversion": b"1.0",
        "content-type": b"application/json",
    }
    assert found["mail"] == [(2, None, b"letter", {})]
    assert [record[1:] for record in found["dead-letters"]] == [(b"k", b"\xff", {"reason": b"bad"})]
    position = msgspec.json.encode(Position(10, 20, 5, 4))
    assert {record[:3] for record in found["state"]} == {
        (1, b"row", b"value"),
        (1, b"gone", None),
        (1, POSITION, position),
        (3, b"\xffclaim:x", None),
    }
    assert [record[1] for record in found["progress"]] == [b"1"]


def test_nothing_of_an_epoch_is_there_when_one_record_is_refused(epochs: Epoch, settings: Settings) -> None:
    large = Work(Effects(outputs=[Output("profiles", "p", b"{}", "e", TIME)]))
    large.dead_letters = [DeadLetter(None, os.urandom(2_000_000), [])]
    with pytest.raises(Stop, match="Message size too large"):
        epochs.perform(large)
    assert not any(committed(settings).values())


def test_keys_find_their_partition_as_javas_clients_would(epochs: Epoch, settings: Settings) -> None:
    """murmur2 & 0x7fffffff mod partitions, as Kafka's DefaultPartitioner."""
    epochs.perform(Work(Effects(outputs=[Output("profiles", "21", b"{}", "e", TIME)])))
    assert [record[0] for record in committed(settings)["profiles"]] == [(-973932308 & 0x7FFFFFFF) % settings.shards]


def test_the_rows_of_the_shell_are_not_the_cores(epochs: Epoch) -> None:
    with pytest.raises(AssertionError):
        epochs.perform(Work(Effects(rows={0: {POSITION: b"{}"}})))


def test_an_empty_epoch_needs_no_transaction() -> None:
    assert not Work(Effects(counts={"touchpoints": 1}))
    assert WORK


def test_who_reads_uncommitted_records_is_not_meant(epochs: Epoch, settings: Settings) -> None:
    """Readers of the outputs use read_committed: what a dead worker left behind is in the log all the same."""
    producer = epochs._producer
    producer.begin_transaction()
    producer.produce(settings.topic("profiles"), b"{}", b"half")
    producer.flush()
    partitions = [(settings.topic("profiles"), number) for number in range(settings.shards)]
    assert sum(clients.ends(clients.admin(settings), partitions).values()) == 1
    producer.abort_transaction()
    assert committed(settings)["profiles"] == []


def test_rows_and_documents_stand_compressed_on_their_topics(epochs: Epoch, settings: Settings) -> None:
    rows = {b"F%d" % number: b"state of a shop " * 20 for number in range(50)}
    documents = [
        Output("profiles", f"p{number}", b'{"profile_id":"p"}' * 20, f"e{number}", TIME) for number in range(50)
    ]
    epochs.perform(Work(Effects(outputs=documents, rows={0: rows})))
    for topic in ("state", "profiles"):
        found = set(codecs(settings.topic(topic)))
        if not found:
            pytest.skip("the broker's files cannot be read from here")
        assert found == {"zstd"}
