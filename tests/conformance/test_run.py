"""The kit tells engines apart: the right one passes, and each way of being wrong is found and named."""

from __future__ import annotations

import sys

import pytest

from tests.conformance import run
from tests.conformance.kit import Case, cases

NAIVE = """
import json, sys
for line in sys.stdin:
    groups = []
    for touchpoint in json.loads(line)["touchpoints"]:
        ids = touchpoint["identifiers"]
        met = [group for group in groups if any(id in group for id in ids)]
        groups = [group for group in groups if group not in met]
        one = []
        for id in ids + [id for group in met for id in group]:
            if id not in one:
                one.append(id)
        if one:
            groups.append(one)
    print(json.dumps({"persons": groups}), flush=True)
"""


def test_selvedge_passes_as_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--orders", "0", sys.executable, "-m", "tests.conformance.selvedge"]) == 0
    assert capsys.readouterr().out == "135 of 135 cases as expected\n"


def test_an_engine_without_rules_fails_where_rules_matter(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--orders", "0", sys.executable, "-c", NAIVE]) == 1
    *told, last = capsys.readouterr().out.splitlines()
    right = int(last.split()[0])
    assert 20 < right < 115
    assert len({line.split(",")[0] for line in told}) == 135 - right


@pytest.mark.parametrize("member", run.COMPARED)
def test_each_member_that_is_answered_is_compared(member: str) -> None:
    def engine(asked: Case) -> Case:
        found = next(case for case in cases() if case["policy"] == asked["policy"] and case["expect"][member])
        return {**found["expect"], member: []}

    case = next(case for case in cases() if case["expect"][member])
    found = run.differences(engine, 0, [case])
    assert {one.member for one in found} == {member}


def test_a_program_that_ends_is_told() -> None:
    with pytest.raises(SystemExit, match="ended with 3"):
        run.main([sys.executable, "-c", "raise SystemExit(3)"])
