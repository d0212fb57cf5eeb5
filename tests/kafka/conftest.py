"""Brokers for the tests: `broker` is a real Apache Kafka, `embedded` librdkafka's mock.

`broker` is what SELVEDGE_TEST_BROKERS names, else one that is started here (see brokers.py), once for all processes of
the test run. Where none can be had its tests are skipped with one line, or fail if SELVEDGE_TEST_REQUIRE_KAFKA=1.
Tests share it and stay apart by `prefix`; what a test made under its prefix is deleted when it ends.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from functools import cache

import pytest
from confluent_kafka.admin import AdminClient

from pipeline.kafka.embedded import EmbeddedBroker
from pipeline.kafka.topics import apply
from pipeline.settings import Settings
from tests.kafka import brokers

SHARDS = 4
NEED_KAFKA = {"broker", "secured"}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips here, not in the fixture, because pytest then tells the reason once and not once a test."""
    if NEED_KAFKA.isdisjoint(getattr(item, "fixturenames", ())) and "real" not in _parameters(item):
        return
    reason = _bootstrap()[1]
    if reason and os.environ.get("SELVEDGE_TEST_REQUIRE_KAFKA") == "1":
        pytest.fail(f"SELVEDGE_TEST_REQUIRE_KAFKA=1, but: {reason}", pytrace=False)
    if reason:
        pytest.skip(f"no Kafka to test with: {reason}; SELVEDGE_TEST_BROKERS may name one")


@pytest.fixture(scope="session")
def broker() -> str:
    """Bootstrap address of a real Apache Kafka."""
    return _bootstrap()[0]


@pytest.fixture
def embedded() -> Iterator[str]:
    """Bootstrap address of an embedded broker of this test alone, with SHARDS partitions per keyed topic."""
    with EmbeddedBroker(SHARDS) as bootstrap:
        yield bootstrap


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> Iterator[str]:
    """A topic prefix that no other test has."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    yield name
    if "broker" in request.fixturenames:
        _delete_topics(request.getfixturevalue("broker"), name)


@pytest.fixture
def settings(broker: str, prefix: str) -> Settings:
    """Settings for the real broker, fit for one node and for short waits; no topics are made yet."""
    return Settings(
        brokers=broker,
        prefix=prefix,
        shards=SHARDS,
        replication=1,
        epoch_ms=100,
        session_timeout_ms=6_000,
        transaction_timeout_ms=15_000,
        clock="record",
    )


@pytest.fixture(params=["embedded", "real"])
def place(request: pytest.FixtureRequest) -> Settings:
    """Settings for the embedded broker and for a real one, topics made: what a test says holds for both."""
    if request.param == "embedded":
        return Settings(brokers=request.getfixturevalue("embedded"), shards=SHARDS, embedded=True)
    settings: Settings = request.getfixturevalue("settings")
    apply(settings)
    return settings


@cache
def _bootstrap() -> tuple[str, str]:
    """(address, ""), or ("", why there is none)."""
    given = os.environ.get("SELVEDGE_TEST_BROKERS")
    if given:
        return given, ""
    try:
        return brokers.shared(_session()), ""
    except brokers.Unavailable as reason:
        return "", str(reason)


def _parameters(item: pytest.Item) -> list[object]:
    return list(item.callspec.params.values()) if hasattr(item, "callspec") else []


def _session() -> int:
    """The main process of the test run; pytest-xdist's workers are its children."""
    return os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()


def _delete_topics(bootstrap: str, prefix: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    names = [name for name in admin.list_topics(timeout=10).topics if name.startswith(f"{prefix}.")]
    if names:
        for deletion in admin.delete_topics(names).values():
            deletion.exception(timeout=10)
