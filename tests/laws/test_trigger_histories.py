"""The laws of triggers on random histories. `SEEDS=20000 pytest` of this file runs more of them, `SEEDS=17:18` one; a
failure names the seed, whose history `history(seed)` gives.
"""

from __future__ import annotations

import os

import pytest

from tests.laws.triggers import check

DEFAULT = "5000"
CHUNK = 250


def chunks() -> list[range]:
    first, _, last = os.environ.get("SEEDS", DEFAULT).rpartition(":")
    seeds = range(int(first or 0), int(last))
    return [seeds[start : start + CHUNK] for start in range(0, len(seeds), CHUNK)]


@pytest.mark.parametrize("seeds", chunks(), ids=str)
def test_no_history_breaks_a_law(seeds: range) -> None:
    for seed in seeds:
        try:
            check(seed)
        except Exception as error:
            raise AssertionError(f"seed {seed}") from error
