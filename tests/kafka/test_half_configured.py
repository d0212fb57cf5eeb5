"""Brokers that answer and cannot be worked with: a worker ends with a status of its own and says what to mend."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping

import pytest

from pipeline.kafka import topics
from pipeline.settings import Settings
from tests.kafka import brokers
from tests.kafka.fleet import ROOT

FOR_THREE = {"transaction.max.timeout.ms": "20000", "offsets.topic.replication.factor": "3"}


def half(settings: Mapping[str, str]) -> Iterator[Settings]:
    with brokers.start(settings=settings) as broker:
        wanted = Settings(brokers=broker.bootstrap, prefix="half", shards=2, replication=1)
        topics.apply(wanted)
        yield wanted


@pytest.fixture(scope="module")
def without_a_group(broker: str) -> Iterator[Settings]:
    yield from half(FOR_THREE)


def said(settings: Settings) -> str:
    command = [sys.executable, "-m", "tests.kafka.impatient"]
    environment = {**os.environ, **settings.environment()}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 78 and "Traceback" not in done.stderr, done.stderr
    return done.stderr


def test_a_time_out_that_the_brokers_do_not_allow_is_named(without_a_group: Settings) -> None:
    assert "SELVEDGE_TRANSACTION_TIMEOUT_MS is above the brokers' transaction.max.timeout.ms" in said(without_a_group)


def test_brokers_without_a_place_for_groups_are_named(without_a_group: Settings) -> None:
    line = said(dataclasses.replace(without_a_group, transaction_timeout_ms=15_000))
    assert "no coordinator" in line and "offsets.topic.replication.factor" in line


def test_brokers_without_a_place_for_transactions_are_named(broker: str) -> None:
    for settings in half({"transaction.state.log.replication.factor": "3", "transaction.state.log.min.isr": "2"}):
        assert "transaction.state.log.replication.factor" in said(settings)


def test_a_session_that_the_brokers_do_not_allow_is_named(settings: Settings) -> None:
    topics.apply(settings)
    line = said(dataclasses.replace(settings, session_timeout_ms=1_800_000, skip=frozenset()))
    assert "group.max.session.timeout.ms" in line


def test_a_record_to_pass_over_that_is_of_no_shard_is_named(settings: Settings) -> None:
    topics.apply(settings)
    line = said(dataclasses.replace(settings, skip=frozenset({("touchpoints", 4, 17)})))
    assert "SELVEDGE_SKIP: touchpoints:4:17 is of no shard: there are 4, from 0 on" in line
