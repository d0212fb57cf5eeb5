"""Selvedge as a program for `tests.conformance.run`; an example of how to put another engine behind it.

Runs come in and answers go out, one JSON object a line. Touchpoints become files, `replay` reads them, and what it
writes says who is one person.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.core.identifiers import Registry
from pipeline.core.policy import load
from pipeline.replay import replay
from tests.conformance.kit import Case, lines_of, policy_of

Row = dict[str, object]


def answer(run: Case, folder: Path, shards: int = 1) -> Case:
    """Replays a run in `folder`: its persons, hubs and refused touchpoints."""
    history = folder / "touchpoints.jsonl"
    history.write_bytes(b"".join(line + b"\n" for line in lines_of(run["touchpoints"])))
    replay([history], Registry(load(policy_of(run)), shards=shards), folder)
    return outcome(folder)


def outcome(folder: Path) -> Case:
    """What the outputs of a replay say, in the form of the kit."""
    identities = list(_rows(folder / "identities.jsonl"))
    persons: dict[object, list[object]] = {}
    for row in identities:
        persons.setdefault(row["profile_id"], []).append([row["type"], row["value"]])
    return {
        "persons": list(persons.values()),
        "shared": [[row["type"], row["value"]] for row in identities if row["shared"]],
        "rejected": [
            row["id"] for row in _rows(folder / "dead-letters.jsonl") if row["reason"] == "two_values_of_unique"
        ],
    }


def _rows(path: Path) -> Iterable[Row]:
    with path.open("rb") as lines:
        yield from map(json.loads, lines)


if __name__ == "__main__":
    with TemporaryDirectory() as scratch:
        for line in sys.stdin:
            print(json.dumps(answer(json.loads(line), Path(scratch))), flush=True)
