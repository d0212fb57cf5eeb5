"""Bags of mail, each from a seed: `make simulate SEEDS=…` runs any number of them, too."""

from __future__ import annotations

import pytest

from tests.simulation.runner import failed_bag

COUNT = 200
PART = 50
FOUND = (1485,)
"""Seeds beyond COUNT that showed a bug once."""


@pytest.mark.parametrize("first", range(0, COUNT, PART))
def test_mail_in_any_order_comes_to_the_persons_of_the_oracle(first: int) -> None:
    failures = [failure for seed in range(first, first + PART) if (failure := failed_bag(seed))]
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize("seed", FOUND)
def test_a_bag_that_showed_a_bug_shows_it_no_more(seed: int) -> None:
    failure = failed_bag(seed)
    assert failure is None, failure
