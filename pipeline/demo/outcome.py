"""What a consumer of the output topics knows, and where two consumers differ.

Equal are: the persons (identities rows), the profiles (active documents without NOT_COMPARED), the triggers (latest
status, reason, family, step and deadline of each), the products, the dead letters by reason. Histories of
records may differ.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

Document = dict[str, Any]
NOT_COMPARED = ("revision", "as_of", "updated_at", "triggers", "key")
TRIGGER = ("status", "reason", "family", "step", "deadline_at")
TOPICS = ("profiles", "identities", "profile-changes", "triggers", "products", "dead-letters")
REASON = "__connect.errors.exception.class.name"
EXAMPLES_MAX = 3


class Outcome:
    """The latest record of each key, and how often what happened."""

    def __init__(self) -> None:
        self.profiles: dict[str, Document] = {}
        self.identities: dict[str, Document] = {}
        self.triggers: dict[str, Document] = {}
        self.products: dict[str, Document] = {}
        self.dead_letters: Counter[str] = Counter()
        self.changes: Counter[str] = Counter()
        """by kind: created, updated, merged, …"""
        self.told: Counter[str] = Counter()
        """trigger records by status"""
        self.fired: Counter[str] = Counter()
        """triggers fired by family"""
        self.redirects = 0

    @property
    def persons(self) -> int:
        return len(self.profiles) - self.redirects

    def profile(self, id: str) -> Document | None:
        """The active profile of an identifier, by its canonical text."""
        row = self.identities.get(id)
        document = None if row is None else self.profiles.get(row["profile_id"])
        return document if document is not None and document["status"] == "active" else None

    def take(self, topic: str, key: str, document: Document | None) -> None:
        """A record of an output topic; None: a tombstone. A dead letter is `{"reason": …}`."""
        if topic == "profiles":
            self._profile(key, document)
        elif topic == "identities":
            _put(self.identities, key, document)
        elif topic == "products":
            _put(self.products, key, document)
        elif document is None:
            return
        elif topic == "profile-changes":
            self.changes[document["kind"]] += 1
        elif topic == "triggers":
            self._trigger(document)
        elif topic == "dead-letters":
            self.dead_letters[document["reason"]] += 1

    def _profile(self, key: str, document: Document | None) -> None:
        before = self.profiles.get(key)
        self.redirects += _is_redirect(document) - _is_redirect(before)
        _put(self.profiles, key, document)

    def _trigger(self, record: Document) -> None:
        self.told[record["status"]] += 1
        if record["status"] == "fired":
            self.fired[record["family"]] += 1
        before = self.triggers.get(record["trigger_id"])
        if before is None or record["revision"] > before["revision"]:
            self.triggers[record["trigger_id"]] = record


def of_replay(directory: Path) -> Outcome:
    """What `selvedge replay` wrote to a directory as JSON lines."""
    outcome = Outcome()
    for topic in TOPICS:
        with (directory / f"{topic}.jsonl").open("rb") as lines:
            for line in lines:
                document = msgspec.json.decode(line)
                outcome.take(topic, document.get("key", ""), document)
    return outcome


def differences(one: Outcome, other: Outcome) -> dict[str, list[str]]:
    """Of each thing that is compared: lines that say how the two differ; none where they are equal."""
    return {
        "persons": _differing(one.identities, other.identities, ("key",)),
        "profiles": _differing(_active(one), _active(other), NOT_COMPARED),
        "triggers": _differing(_statements(one), _statements(other), ()),
        "products": _differing(one.products, other.products, ("key",)),
        "dead letters": _differing(_counted(one.dead_letters), _counted(other.dead_letters), ()),
    }


def _differing(one: Mapping[str, Document], other: Mapping[str, Document], leave_out: Iterable[str]) -> list[str]:
    lines = []
    for key in sorted({*one, *other}):
        left, right = one.get(key), other.get(key)
        if left is None or right is None:
            lines.append(f"{key}: only {'live' if right is None else 'replayed'}: {left or right}")
        else:
            names = sorted({*left, *right}.difference(leave_out))
            lines += [
                f"{key}: {name}: live {left.get(name)}, replayed {right.get(name)}"
                for name in names
                if left.get(name) != right.get(name)
            ]
    return lines


def _active(outcome: Outcome) -> dict[str, Document]:
    return {key: document for key, document in outcome.profiles.items() if document["status"] == "active"}


def _statements(outcome: Outcome) -> dict[str, Document]:
    return {key: {name: record[name] for name in TRIGGER} for key, record in outcome.triggers.items()}


def _counted(counts: Mapping[str, int]) -> dict[str, Document]:
    return {name: {"count": count} for name, count in counts.items()}


def _put(rows: dict[str, Document], key: str, document: Document | None) -> None:
    if document is None:
        rows.pop(key, None)
    else:
        rows[key] = document


def _is_redirect(document: Document | None) -> bool:
    return document is not None and document["status"] == "merged"
