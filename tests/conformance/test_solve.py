"""Every case of the kit through `solve` alone: fragments folded from the touchpoints, hubs counted here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import pytest

from pipeline.core.fold import fold
from pipeline.core.fragment import Fragment
from pipeline.core.identifiers import Registry
from pipeline.core.policy import load
from pipeline.core.solve import edges_of, hubs_of, solve
from pipeline.core.touchpoint import Id, Rejected, Touchpoint
from pipeline.dialects import Reader
from tests.conformance.kit import Case, cases, identifier_of, lines_of, policy_of, sorted_persons
from tests.oracle import answer

CASES = cases()


def test_the_kit_has_all_its_cases() -> None:
    assert len(CASES) == len({case["id"] for case in CASES}) == 135


def read(case: Case, registry: Registry) -> tuple[list[Touchpoint], list[str]]:
    """The touchpoints of a case and the ids of the refused ones."""
    read = [each for line in lines_of(case["touchpoints"]) for each in Reader(registry).read(line, None)]
    refused = {each.id for each in read if isinstance(each, Rejected) and each.code == "two_values_of_unique"}
    return [each for each in read if isinstance(each, Touchpoint)], sorted(filter(None, refused))


def fragments_of(touchpoints: Iterable[Touchpoint], registry: Registry) -> dict[Id, Fragment]:
    fragments: dict[Id, Fragment] = {}
    anchors: dict[Id, set[Id]] = defaultdict(set)
    for touchpoint in touchpoints:
        for id in touchpoint.ids:
            fragments.setdefault(id, Fragment(id))
            if touchpoint.type != "identity.unlinked":
                anchors[id] |= {touchpoint.ids[0]} - {id}
        fold(fragments[touchpoint.ids[0]], touchpoint, registry)
    for id, seen in anchors.items():
        if len(seen) > registry.policy.identity.degree_of(registry.type(id)):
            fragments[id].hub = 1
            for anchor in seen:
                fragments[anchor].shared[id] = 1
    return fragments


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_solve_gives_the_persons_of_the_kit_and_every_reason(case: Case) -> None:
    registry = Registry(load(policy_of(case)))
    touchpoints, refused = read(case, registry)
    fragments = fragments_of(touchpoints, registry)
    edges, forbidden = edges_of(fragments.values(), registry)
    solution = solve(list(fragments), edges, registry, forbidden)
    skipped = sorted((sorted(map(identifier_of, (s.a, s.b))), list(s.reasons)) for s in solution.skipped)
    assert sorted_persons(solution.persons) == case["expect"]["persons"]
    assert refused == sorted(set(case["expect"]["rejected"]))
    assert sorted(map(identifier_of, hubs_of(fragments.values()))) == case["expect"]["shared"]
    assert [pair for pair, _ in skipped] == case["expect"]["removed"]
    assert [reasons for _, reasons in skipped] == case["expect"]["reasons"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_the_oracle_agrees_with_the_kit(case: Case) -> None:
    registry = Registry(load(policy_of(case)))
    known = answer(read(case, registry)[0], registry)
    skipped = sorted((sorted(map(identifier_of, two)), list(reasons)) for two, reasons in known.skipped.items())
    assert sorted_persons(known.groups()) == case["expect"]["persons"]
    assert sorted(map(identifier_of, known.hubs)) == case["expect"]["shared"]
    assert [pair for pair, _ in skipped] == case["expect"]["removed"]
    assert [reasons for _, reasons in skipped] == case["expect"]["reasons"]
