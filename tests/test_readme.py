"""The README: its snippets run, its settings and commands are those that there are."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer

from pipeline.kafka.embedded import EmbeddedBroker
from pipeline.settings import KAFKA_NAMES, VISIBLE

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
PRODUCING, CONSUMING = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def run(snippet: str, bootstrap: str) -> subprocess.Popen[str]:
    code = snippet.replace("localhost:9092", bootstrap)
    return subprocess.Popen([sys.executable, "-u", "-c", code], stdout=subprocess.PIPE, text=True)


@pytest.fixture
def bootstrap() -> Iterator[str]:
    with EmbeddedBroker(2) as address:
        yield address


def test_the_producer_of_the_readme_produces_a_touchpoint(bootstrap: str) -> None:
    assert run(PRODUCING, bootstrap).wait(30) == 0
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "g", "auto.offset.reset": "earliest"})
    consumer.subscribe(["selvedge.touchpoints"])
    message = consumer.poll(30)
    consumer.close()
    assert message is not None
    assert message.key() == b"customer:C-1"


def test_the_consumer_of_the_readme_prints_a_profile(bootstrap: str) -> None:
    producer = Producer({"bootstrap.servers": bootstrap})
    producer.produce("selvedge.profiles", '{"status":"active"}', key="p-1")
    producer.flush()
    process = run(CONSUMING, bootstrap)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "p-1 active\n"
    finally:
        process.kill()
        process.wait()


def test_every_setting_is_in_the_readme_and_no_other() -> None:
    told = set(re.findall(r"`SELVEDGE_([A-Z_]+)`", README)) - {"TEST_BROKERS"}
    real = {name.upper() for name in VISIBLE}
    assert told - {name.upper().replace(".", "_") for name in KAFKA_NAMES} == real


def test_every_command_of_the_readme_exists() -> None:
    commands = set(re.findall(r"^    selvedge (\w+)", README, re.MULTILINE))
    assert len(commands) > 6
    for command in commands:
        done = subprocess.run([sys.executable, "-m", "pipeline", command, "--help"], capture_output=True)
        assert done.returncode == 0, command
