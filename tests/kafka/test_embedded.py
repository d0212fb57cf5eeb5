"""The embedded broker does what the demo relies on, for other processes too."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import replace

from aiokafka import AIOKafkaConsumer
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from pipeline.kafka.embedded import EmbeddedBroker
from pipeline.kafka.topics import REDUCED, TABLE, check
from pipeline.settings import Settings
from tests.kafka.conftest import SHARDS

TOUCHPOINTS = "selvedge.touchpoints"


def settings_of(bootstrap: str) -> Settings:
    return Settings(brokers=bootstrap, shards=SHARDS, embedded=True)


def send(bootstrap: str, topic: str, values: list[bytes], **more: object) -> Producer:
    producer = Producer({"bootstrap.servers": bootstrap, "compression.type": "zstd", **more})
    for index, value in enumerate(values):
        producer.produce(topic, value, partition=index % SHARDS)
    assert producer.flush(10) == 0
    return producer


def received(bootstrap: str, topic: str, count: int) -> list[bytes]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "test", "auto.offset.reset": "earliest"})
    consumer.assign([TopicPartition(topic, index, 0) for index in range(SHARDS)])
    values = [message.value() for message in consumer.consume(count, timeout=10)]
    consumer.close()
    return values  # type: ignore[return-value]


def test_every_topic_of_the_table_is_there_with_its_partitions(embedded: str) -> None:
    assert check(settings_of(embedded)) == SHARDS
    topics = Producer({"bootstrap.servers": embedded}).list_topics(timeout=10).topics
    assert {name.removeprefix("selvedge."): len(topic.partitions) for name, topic in topics.items()} == {
        topic.name: topic.partitions(SHARDS) for topic in TABLE
    }


def test_it_listens_on_this_machine_only(embedded: str) -> None:
    assert embedded.startswith("127.0.0.1:")


def test_another_process_writes_to_it(embedded: str) -> None:
    program = (
        "import sys; from confluent_kafka import Producer; p = Producer({'bootstrap.servers': sys.argv[1]}); "
        "p.produce(sys.argv[2], b'from afar', partition=0); sys.exit(p.flush(10))"
    )
    subprocess.run([sys.executable, "-c", program, embedded, TOUCHPOINTS], check=True, timeout=30)
    assert received(embedded, TOUCHPOINTS, 1) == [b"from afar"]


def test_a_transaction_is_committed_and_read_by_aiokafka(embedded: str) -> None:
    producer = Producer({"bootstrap.servers": embedded, "transactional.id": "one", "compression.type": "zstd"})
    producer.init_transactions(10)
    for epoch in range(3):
        producer.begin_transaction()
        producer.produce(TOUCHPOINTS, json.dumps(epoch).encode(), partition=0)
        producer.commit_transaction(10)

    async def read() -> list[bytes | None]:
        consumer = AIOKafkaConsumer(
            TOUCHPOINTS,
            bootstrap_servers=embedded,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            check_crcs=False,
            group_id="reader",
        )
        await consumer.start()
        try:
            return [(await asyncio.wait_for(consumer.getone(), 20)).value for _ in range(3)]
        finally:
            await consumer.stop()

    assert asyncio.run(read()) == [b"0", b"1", b"2"]


def test_what_the_demo_sends_is_kept_whole_and_an_overflow_is_told() -> None:
    broker = EmbeddedBroker(SHARDS)
    with broker as bootstrap:
        record = b'{"specversion":"1.0","id":"%06d"' + b'"padding"' * 80 + b"}"
        send(bootstrap, TOUCHPOINTS, [record % index for index in range(20_000)])
        assert broker.overflow() == []
        producer = Producer({"bootstrap.servers": bootstrap, "compression.type": "none"})
        for _ in range(8):
            producer.produce(TOUCHPOINTS, b"x" * 900_000, partition=2)
            producer.flush(10)
        assert broker.overflow() == [f"{TOUCHPOINTS}[2]"]


def test_it_makes_the_reduced_topics_of_a_policy_too() -> None:
    analytics = replace(REDUCED, name="profiles.analytics")
    with EmbeddedBroker(3, topics=[*TABLE, analytics]) as bootstrap:
        topics = AdminClient({"bootstrap.servers": bootstrap}).list_topics(timeout=10).topics
        assert len(topics["selvedge.profiles.analytics"].partitions) == 3


def test_two_brokers_in_one_process_are_apart() -> None:
    with EmbeddedBroker(1) as one, EmbeddedBroker(2) as two:
        assert check(settings_of(one)) == 1
        assert check(settings_of(two)) == 2
