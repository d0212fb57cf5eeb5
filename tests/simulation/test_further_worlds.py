"""The second half of the worlds of `test_worlds`."""

from __future__ import annotations

import pytest

from tests.simulation.runner import failed
from tests.simulation.test_worlds import COUNT, PART


@pytest.mark.parametrize("first", range(COUNT, 2 * COUNT, PART))
def test_a_world_with_faults_comes_to_the_persons_of_the_oracle(first: int) -> None:
    failures = [failure for seed in range(first, first + PART) if (failure := failed(seed))]
    assert not failures, "\n\n".join(failures)
