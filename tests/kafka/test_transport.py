"""The transport as Faust finds it, what it refuses, and batches that aiokafka cannot read."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any, cast

import faust.transport
import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from faust.types import TP

from pipeline.kafka.blocks import Block
from pipeline.kafka.failstop import STATUS, Stop
from pipeline.kafka.owner import Owner
from pipeline.kafka.records import _Batches
from pipeline.kafka.spans import Spans
from pipeline.kafka.stats import Stats
from pipeline.kafka.transport import Transport
from pipeline.settings import Settings


def owner() -> Owner:
    """Without anything that connects."""
    nothing = cast(Any, SimpleNamespace(leases={}, touchpoints=None, mail=None))
    return Owner(Settings(), nothing, nothing, nothing, nothing, Stats(), nothing, Spans())


def partitions(**topics: list[int]) -> frozenset[TP]:
    return frozenset(TP(f"selvedge.{topic}", number) for topic, numbers in topics.items() for number in numbers)


def test_faust_finds_the_transport_by_its_scheme() -> None:
    assert faust.transport.by_url("blocks://localhost:9092") is Transport


def test_an_assignment_of_whole_shards_is_taken() -> None:
    assert owner()._whole(partitions(touchpoints=[0, 2], mail=[2, 0])) == [0, 2]


@pytest.mark.parametrize("topics", [{"touchpoints": [0, 1], "mail": [0]}, {"mail": [0]}])
def test_an_assignment_that_splits_a_shard_is_refused(topics: dict[str, list[int]]) -> None:
    with pytest.raises(Stop, match="splits shards"):
        owner()._whole(partitions(**topics))


def test_a_block_without_a_lease_is_dropped() -> None:
    asyncio.run(owner().read(Block("selvedge.touchpoints", 0, 1, 0, 5, [object()])))


def batch(count: int) -> bytes:
    builder = DefaultRecordBatchBuilder(2, 0, False, -1, -1, 0, 1 << 20)
    for offset in range(count):
        headers = [("name", b"x"), ("none", None)]
        assert builder.append(offset, 1_000 + offset, b"k", b"value-%d" % offset, headers)
    return bytes(builder.build())


def read(data: bytes) -> list[tuple[Any, ...]]:
    batches = _Batches(data)
    found = []
    while batches.has_next():
        one = batches.next_batch()
        found += [(r.offset, r.timestamp, r.key, r.value, [tuple(h) for h in r.headers]) for r in one]
    return found


def test_batches_are_read_as_they_are() -> None:
    expected = [(n, 1_000 + n, b"k", b"value-%d" % n, [("name", b"x"), ("none", None)]) for n in range(3)]
    assert read(batch(3)) == expected


def test_a_header_name_that_is_no_text_is_replaced_and_nothing_else_differs() -> None:
    whole = batch(3)
    broken = whole.replace(b"name", b"n\xffme", 1)
    expected = read(whole)
    expected[0] = (*expected[0][:4], [("n\ufffdme", b"x"), ("none", None)])
    assert read(broken) == expected


def test_a_fatal_error_ends_the_process_with_one_line_and_its_own_status() -> None:
    code = "from pipeline.kafka.failstop import fail_stop\ntry: {}['jane']\nexcept KeyError as e: fail_stop(e)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ))
    assert done.returncode == STATUS
    assert "worker stopped: KeyError at" in done.stderr and done.stderr.count("\n") == 1 and "jane" not in done.stderr
