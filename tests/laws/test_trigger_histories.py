"""The laws of triggers on random histories. `SEEDS=20000 pytest` of this file runs more of them, `SEEDS=17:18` one; a
failure names the seed, whose history `history(seed)` gives.
"""

from __future__ import annotations

import os

import pytest

from tests.laws.triggers import SEEDS, check, seeds

CHUNK = 250


def chunks() -> list[range]:
    wanted = seeds(os.environ.get("SEEDS") or SEEDS)
    return [wanted[start : start + CHUNK] for start in range(0, len(wanted), CHUNK)]


@pytest.mark.parametrize("part", chunks(), ids=str)
def test_no_history_breaks_a_law(part: range) -> None:
    for seed in part:
        try:
            check(seed)
        except Exception as error:
            raise AssertionError(f"seed {seed}") from error
