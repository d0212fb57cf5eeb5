"""Every case of the kit through the function that `selvedge replay` calls and through the command: who is one person
does not depend on the order of arrival, on repetition or on the number of shards."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline.cli import selvedge
from tests.conformance.kit import Case, cases, write
from tests.conformance.run import compared, differences
from tests.conformance.selvedge import answer, outcome

RANDOM_ORDERS = 20
CASES = cases()


@pytest.mark.parametrize("shards", [1, 3, 8])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_the_outcome_is_that_of_the_kit_in_every_order(case: Case, shards: int, tmp_path: Path) -> None:
    engine = partial(answer, folder=tmp_path, shards=shards)
    assert list(differences(engine, RANDOM_ORDERS, [case])) == []


def test_the_command_gives_the_outcome_of_the_kit_for_every_case(tmp_path: Path) -> None:
    write(tmp_path)

    def engine(run: Case) -> Case:
        name, out = run["id"], tmp_path / run["id"]
        files = ["--policy", str(tmp_path / f"{name}.toml"), "--output", str(out), str(tmp_path / f"{name}.jsonl")]
        ended = CliRunner().invoke(selvedge, ["replay", *files], catch_exceptions=False)
        assert ended.exit_code == 0, ended.output
        return outcome(out)

    assert [one for case in CASES for one in compared(case, "as given", engine(case))] == []
