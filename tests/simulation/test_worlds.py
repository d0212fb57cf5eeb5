"""Worlds with faults, each from a seed: `make simulate SEEDS=…` runs any number of them.

A failure prints its seed, the whole configuration, and the commands that replay and shrink it. There are 2,000 of them
in two files, so that two processes share them.
"""

from __future__ import annotations

import pytest

from tests.simulation.runner import failed

COUNT = 1_000
PART = 50
FOUND: tuple[int, ...] = (328, 443, 1379, 2193)
"""Seeds beyond COUNT, or of a special kind, that showed a bug once: they always run."""


@pytest.mark.parametrize("first", range(0, COUNT, PART))
def test_a_world_with_faults_comes_to_the_persons_of_the_oracle(first: int) -> None:
    failures = [failure for seed in range(first, first + PART) if (failure := failed(seed))]
    assert not failures, "\n\n".join(failures)


@pytest.mark.parametrize("seed", FOUND)
def test_a_world_that_showed_a_bug_shows_it_no_more(seed: int) -> None:
    failure = failed(seed)
    assert failure is None, failure
