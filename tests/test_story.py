"""The story of a trigger, from a history and from what a replay left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pipeline.cli import selvedge
from tests.core.shopper import clock


def touchpoint(number: int, minute: float, who: str, type: str, late: float = 0, **data: Any) -> str:
    identifiers = [dict(zip(("type", "value"), one.split(":", 1), strict=True)) for one in who.split()]
    event = {"specversion": "1.0", "id": f"evt-{number}", "source": "web/shop", "type": type, "time": clock(minute)}
    return json.dumps({**event, "recordedtime": clock(minute + late), "data": {"identifiers": identifiers, **data}})


ITEM = {"sku": "SKU-1", "price": "89.90", "currency": "EUR"}
HISTORY = [
    touchpoint(1, 0, "email:jane@example.com", "cart.item_added", cart={"id": "cart-1"}, items=[ITEM]),
    touchpoint(2, 20, "email:jane@example.com", "page.viewed"),
    touchpoint(3, 40, "loyalty:L-7", "order.placed", order={"id": "o-1"}, items=[ITEM]),
    touchpoint(4, 300, "loyalty:L-7 email:jane@example.com", "identity.observed"),
]
POLICY = "[triggers]\nrequire_consent = false\n"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("story")
    (directory / "history.jsonl").write_text("\n".join(HISTORY) + "\n")
    (directory / "policy.toml").write_text(POLICY)
    run(directory, "replay", "--output", str(directory / "out"), str(directory / "history.jsonl"))
    return directory


def run(directory: Path, *arguments: str, status: int = 0) -> str:
    found = CliRunner().invoke(selvedge, arguments, env={"SELVEDGE_POLICY": str(directory / "policy.toml")})
    assert found.exit_code == status, found.output
    return found.output


def trigger(directory: Path) -> str:
    first = (directory / "out" / "triggers.jsonl").read_text().splitlines()[0]
    return str(json.loads(first)["trigger_id"])


def test_the_story_of_a_trigger_says_what_it_was_about_and_what_withdrew_it(directory: Path) -> None:
    history = str(directory / "history.jsonl")
    lines = run(directory, "explain", "--trigger", trigger(directory), "--input", history).splitlines()
    assert lines[0] == f"trigger {trigger(directory)}: cart, step 1, cart cart-1"
    assert lines[3:] == [
        "what it tells of",
        f"  {clock(0)}  added to the cart: 1 × SKU-1 (evt-1, web/shop)",
        "",
        "when it was due",
        f"  {clock(20)}  anchor: evt-2",
        f"  {clock(80)}  deadline, 1h later",
        "",
        "what became of it",
        f"  {clock(82)}  fired, by email, until {clock(82 + 24 * 60)}",
        f"  {clock(300)}  first seen together: loyalty, email (evt-4, web/shop)",
        f"  {clock(300)}  retracted: bought before it fired by who turned out to be the same person (identity_merge)",
        f"  {clock(40)}  the episode ended: converted by order o-1",
    ]


def test_a_replays_directory_tells_what_was_said(directory: Path) -> None:
    lines = run(directory, "explain", "--trigger", trigger(directory), "--input", str(directory / "out")).splitlines()
    assert f"  {clock(80)}  deadline, 1h later" in lines
    assert lines[-1].startswith(f"  {clock(300)}  retracted: bought before it fired by")


def test_a_trigger_that_nobody_knows_is_an_error_in_one_line(directory: Path) -> None:
    history = str(directory / "history.jsonl")
    assert "no trigger t-9 was published" in run(directory, "explain", "--trigger", "t-9", "--input", history, status=1)


def test_an_identifier_and_a_trigger_are_not_explained_at_once(directory: Path) -> None:
    run(directory, "explain", "--trigger", "t-9", "cookie:c-1", status=2)
    run(directory, "explain", status=2)
