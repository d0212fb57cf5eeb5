"""The checks can fail: a mistake planted in the protocol is noticed. `make mutants` prints the table."""

from __future__ import annotations

from itertools import chain

import pytest

from tests.simulation.mutants import MUTANTS, Mutant
from tests.simulation.runner import killed

PATIENCE = 60
"""Worlds change with the code: where the known seed is none any more, one of so many others must be."""


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_is_killed(mutant: Mutant) -> None:
    known = [seed for seed in (mutant.seed, mutant.bag) if seed is not None]
    assert killed(mutant, chain(known, range(PATIENCE))).by, "it survives"
