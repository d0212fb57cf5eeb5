"""Worlds with faults against the oracle. `SEEDS=2000 pytest tests/simulation` runs more of them, `SEEDS=17:18` one.

A failure prints the configuration, which holds the seed; `python -m tests.simulation.shrink SEED` finds the shortest
list of touchpoints that shows it.
"""

from __future__ import annotations

import os

import pytest

from tests.simulation.checks import check
from tests.simulation.world import Config, World

DEFAULT = "500"
FOUND = (7, 14, 53, 268, 44, 239, 378, 712, 906, 1123, 1235, 1291, 1492, 1720)
"""Seeds that showed a bug once."""


def seeds() -> list[int]:
    first, _, last = os.environ.get("SEEDS", DEFAULT).rpartition(":")
    return sorted({*range(int(first or 0), int(last)), *FOUND})


@pytest.mark.parametrize("seed", seeds())
def test_a_world_comes_to_the_persons_of_the_oracle(seed: int) -> None:
    config = Config.of(seed)
    print(config)
    check(World(config))
