"""Workers on a real broker and `replay` say the same about everybody, whatever happens to the workers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from pipeline.core.effects import Output
from pipeline.core.identifiers import PUBLIC_KEY, Registry
from pipeline.core.policy import load
from pipeline.core.replay import Replay
from pipeline.core.touchpoint import Touchpoint
from pipeline.dialects import Reader
from pipeline.sample import SampleRecord, generate
from pipeline.settings import Settings
from tests.kafka.eventually import eventually
from tests.kafka.fleet import Fleet, Record
from tests.published import Published

TOPICS = ("profiles", "identities", "profile-changes", "triggers", "products")
SAMPLE = list(generate(seed=7, shoppers=300, touchpoints=4_000))
Part = Sequence[SampleRecord]


@pytest.fixture
def fleet(settings: Settings, tmp_path: Path) -> Iterator[Fleet]:
    with Fleet(settings, tmp_path, ("pipeline", "worker")) as fleet:
        _keep_producers_times(settings)
        yield fleet


def _keep_producers_times(settings: Settings) -> None:
    """What the sample says of when it was received is believed only if the record's own time is not long before; and
    a record with an old time of its own must not be deleted for it."""
    changes = {"message.timestamp.type": "CreateTime", "retention.ms": "-1"}
    operation = AlterConfigOpType.SET
    entries = [ConfigEntry(name, value, incremental_operation=operation) for name, value in changes.items()]
    topic = ConfigResource(ResourceType.TOPIC, settings.topic("touchpoints"), incremental_configs=entries)
    admin = AdminClient(settings.librdkafka())
    for answer in admin.incremental_alter_configs([topic]).values():
        answer.result()


def send(fleet: Fleet, part: Part) -> None:
    producer = Producer({**fleet.settings.librdkafka(), "partitioner": "murmur2_random"})
    for one in part:
        topic = fleet.settings.topic("touchpoints")
        producer.produce(topic, one.value, one.key, headers=list(one.headers), timestamp=one.received // 1000)
    producer.flush()


def parts(count: int) -> list[Part]:
    size = -(-len(SAMPLE) // count)
    return [SAMPLE[first : first + size] for first in range(0, len(SAMPLE), size)]


@pytest.fixture(scope="module")
def replayed() -> dict[str, Any]:
    registry = Registry(load(""), PUBLIC_KEY)
    reader, published = Reader(registry), Published()
    replay, refused = Replay(registry, published.take), Counter[str]()
    for one in SAMPLE:
        for found in reader.read(one.value, one.received, list(one.headers)):
            if isinstance(found, Touchpoint):
                replay.touch(found)
            else:
                refused[found.code] += 1
    replay.finish()
    return said(published, refused)


def live(fleet: Fleet) -> dict[str, Any]:
    """What a consumer of committed records holds. Fails if revisions fall or a record is there twice."""
    published = Published()
    for topic in TOPICS:
        for record in fleet.records(topic):
            published.take(output(topic, record))
    letters = [record.headers for record in fleet.records("dead-letters")]
    places = [tuple(letter[f"__connect.errors.{part}"] for part in ("partition", "offset")) for letter in letters]
    codes = [letter["__connect.errors.exception.class.name"] or b"" for letter in letters]
    assert len(set(zip(places, codes, strict=True))) == len(letters), "a dead letter is there twice"
    return said(published, Counter(code.decode() for code in codes))


def output(topic: str, record: Record) -> Output:
    assert record.key is not None
    return Output(topic, record.key.decode(), record.value, (record.headers["ce_id"] or b"").decode(), 0)


def said(published: Published, refused: Counter[str]) -> dict[str, Any]:
    return {
        "persons": published.persons(),
        "profile ids": published.profile_ids(),
        "profiles": published.documents(),
        "triggers": published.latest_triggers(),
        "products": published.products,
        "dead letters": refused,
    }


def await_same(fleet: Fleet, replayed: dict[str, Any]) -> None:
    """Until all workers say that they are done; then what was said must be the same."""

    def done() -> bool:
        busy = [worker for worker in fleet.workers if worker.alive]
        return fleet.owners() == list(range(fleet.settings.shards)) and all(one.stats["idle"] for one in busy)

    def twice_done() -> bool:
        return done() and live(fleet) == replayed

    try:
        eventually(twice_done, 90)
    except AssertionError:
        found = live(fleet)
        for part, expected in replayed.items():
            assert found[part] == expected
        raise


def test_a_backlog_read_by_two_workers(fleet: Fleet, replayed: dict[str, Any]) -> None:
    send(fleet, SAMPLE)
    fleet.start(), fleet.start()
    await_same(fleet, replayed)
    assert [worker.stop() for worker in fleet.workers] == [0, 0]


def test_five_kills_under_load(fleet: Fleet, replayed: dict[str, Any]) -> None:
    fleet.start(), fleet.start()
    eventually(lambda: fleet.shared(2))
    for victim, part in enumerate(parts(5)):
        middle = len(part) // 2
        send(fleet, part[:middle])
        fleet.workers[victim].kill()
        send(fleet, part[middle:])
        fleet.start()
        eventually(lambda: fleet.shared(2))
    await_same(fleet, replayed)


def test_a_worker_joins_and_one_leaves_under_load(fleet: Fleet, replayed: dict[str, Any]) -> None:
    first, second, third = parts(3)
    leaver = fleet.start()
    fleet.start()
    send(fleet, first)
    eventually(lambda: fleet.shared(2))
    joiner = fleet.start()
    send(fleet, second)
    eventually(lambda: joiner.stats)
    send(fleet, third)
    assert leaver.stop() == 0
    eventually(lambda: fleet.shared(2))
    assert joiner.shards
    await_same(fleet, replayed)


def test_a_restart_in_the_middle(fleet: Fleet, replayed: dict[str, Any]) -> None:
    first, second = parts(2)
    send(fleet, first)
    worker = fleet.start()
    eventually(lambda: worker.stats.get("touchpoints", 0) > len(first) // 2)
    assert worker.stop() == 0
    send(fleet, second)
    fleet.start()
    await_same(fleet, replayed)
