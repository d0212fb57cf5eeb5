"""The checks can fail: a mistake planted in the protocol is noticed by a world. `make mutants` prints the table."""

from __future__ import annotations

from itertools import chain

import pytest

from tests.simulation.mutants import MUTANTS, Mutant
from tests.simulation.runner import killed

PATIENCE = 60
"""Worlds change with the code: where the known seed is none any more, one of so many others must be."""
KNOWN = [mutant for mutant in MUTANTS if mutant.seed is not None]


@pytest.mark.parametrize("mutant", KNOWN, ids=lambda mutant: mutant.name)
def test_a_mutant_is_killed(mutant: Mutant) -> None:
    assert mutant.seed is not None
    _, seed, _ = killed(mutant, chain([mutant.seed], range(PATIENCE)))
    assert seed is not None, "it survives"
