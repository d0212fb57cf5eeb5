"""Every case of the kit through the function that replay calls: the persons that consumers see do not depend on the
order of arrival, on repetition or on the number of shards."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from pipeline.core.identifiers import Registry
from pipeline.core.policy import load
from pipeline.core.replay import replay
from pipeline.core.touchpoint import Touchpoint
from tests.conformance.kit import Case, cases, identifier_of, policy_of, sorted_persons
from tests.conformance.test_solve import read
from tests.published import Published

RANDOM_ORDERS = 3


def orders(touchpoints: list[Touchpoint], seed: str) -> Iterator[tuple[str, list[Touchpoint]]]:
    yield "as given", touchpoints
    yield "reversed", touchpoints[::-1]
    yield "each twice", [tp for tp in touchpoints for _ in range(2)]
    for number in range(RANDOM_ORDERS):
        name = f"{seed} {number}"
        twice = touchpoints * (1 + number % 2)
        yield f"Random({name!r})", Random(name).sample(twice, len(twice))


@pytest.mark.parametrize("shards", [1, 3, 8])
@pytest.mark.parametrize("case", cases(), ids=lambda case: case["id"])
def test_persons_are_those_of_the_kit_in_every_order(case: Case, shards: int) -> None:
    registry = Registry(load(policy_of(case)), shards=shards)
    touchpoints, _ = read(case, registry)
    for name, arrived in orders(touchpoints, case["id"]):
        published = Published(replay(arrived, registry))
        assert sorted_persons(published.persons()) == case["expect"]["persons"], name
        assert sorted(map(identifier_of, published.shared())) == case["expect"]["shared"], name
        assert not published.broken_redirects(), name
