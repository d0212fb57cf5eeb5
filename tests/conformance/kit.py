"""The conformance kit as Selvedge reads it: each case as a policy in TOML and as CloudEvents, one JSON line each.

`python -m tests.conformance.kit OUT` writes both for every case.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Case = dict[str, Any]
Pair = list[str]
"""Namespace and value, as the kit writes identifiers."""

FOLDER = Path(__file__).parent


def cases() -> list[Case]:
    return [case for path in sorted(FOLDER.glob("*.json")) for case in json.loads(path.read_text(encoding="utf-8"))]


def policy_of(case: Case) -> str:
    """The policy of a case. Values are compared as they are, and every identifier is published readably."""
    policy = case["policy"]
    keys = {
        "order": policy["order"],
        "unique": policy.get("unique", []),
        "limits": policy.get("limits", {}),
        "hub_degree": policy.get("hub_degree", 50),
        "person_max": policy.get("person_max", 1000),
        "forbidden": policy.get("forbidden", []),
        "blocked": policy.get("blocked", []),
        "blocked_patterns": {"*": policy.get("blocked_patterns", [])},
        "blocked_defaults": False,
        "normalise": False,
    }
    lines = [f"{key} = {_toml(value)}" for key, value in keys.items()]
    return "\n".join(["[identity]", *lines, "[publish]", "identifiers = {}", ""])


def lines_of(touchpoints: Iterable[Case]) -> list[bytes]:
    return [json.dumps(_event(touchpoint), ensure_ascii=False).encode() for touchpoint in touchpoints]


def text_of(identifier: Pair) -> str:
    return ":".join(identifier)


def identifier_of(text: str) -> Pair:
    return text.split(":", 1)


def sorted_persons(persons: Iterable[Iterable[str]]) -> list[list[Pair]]:
    """Canonical texts, grouped, in the form and order of the kit."""
    return sorted(sorted(identifier_of(text) for text in person) for person in persons)


def _event(touchpoint: Case) -> Case:
    identifiers = [{"type": type, "value": value} for type, value in touchpoint["identifiers"]]
    return {
        "specversion": "1.0",
        "id": touchpoint["id"],
        "source": "web/kit",
        "type": "page.viewed",
        "time": touchpoint["time"],
        "data": {"identifiers": identifiers},
    }


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_toml(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def write(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for case in cases():
        (folder / f"{case['id']}.toml").write_text(policy_of(case), encoding="utf-8")
        (folder / f"{case['id']}.jsonl").write_bytes(b"".join(line + b"\n" for line in lines_of(case["touchpoints"])))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
