"""What `make bench` says of the state's size holds: little memory beside the rows, and rows that compress well."""

from __future__ import annotations

from benchmarks.state import compressed, memory, take
from pipeline.core.identifiers import PUBLIC_KEY, Registry
from pipeline.core.policy import Policy
from pipeline.sample import generate

BESIDE_MAX = 400
"""Bytes of memory per row beyond the encoded row."""


def test_a_row_takes_little_memory_beside_its_bytes_and_less_on_the_topic() -> None:
    registry = Registry(Policy(), PUBLIC_KEY, 8)
    taken = take(registry, generate(1, 300, 4_000, cloudevents_only=True))
    assert taken.count > 3_000
    assert 0 < (memory(registry, taken) - taken.bytes) / taken.count <= BESIDE_MAX
    assert compressed(taken) < taken.bytes / 2
