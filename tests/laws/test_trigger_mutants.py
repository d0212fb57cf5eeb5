"""Mutants of the rules of triggers: a law that nothing can break says nothing."""

from __future__ import annotations

import pytest

from tests.laws.trigger_mutants import MUTANTS
from tests.laws.triggers import check
from tests.simulation.mutants import Mutant, planted


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mistake_in_the_rules_breaks_a_law(mutant: Mutant) -> None:
    check(mutant.seed)
    with planted(mutant), pytest.raises(Exception):  # noqa: B017
        check(mutant.seed)
