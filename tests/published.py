"""What a consumer of the output topics holds: the last record of each key of the compacted topics, every record of the
others. Taking a record checks what consumers rely on at every moment.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from pipeline.core.effects import Output
from pipeline.core.times import parse
from pipeline.core.touchpoint import Id

Document = dict[str, Any]
NOT_COMPARED = ("revision", "as_of", "updated_at", "triggers")
"""Members in which equal profiles may differ."""


class Published:
    def __init__(self, outputs: Iterable[Output] = ()) -> None:
        self.profiles: dict[str, Document] = {}
        self.revisions: dict[str, int] = {}
        """Of every profile there ever was."""
        self.identities: dict[Id, Document] = {}
        self.products: dict[str, Document] = {}
        self.changes: list[Document] = []
        self.triggers: list[Document] = []
        self._events: set[tuple[str, str]] = set()
        for output in outputs:
            self.take(output)

    def take(self, output: Output) -> None:
        value = None if output.value is None else msgspec.json.decode(output.value)
        if output.topic == "profiles":
            self._profile(output.key, value)
        elif output.topic == "identities":
            if value is None:
                del self.identities[Id(output.key)]
            else:
                self.identities[Id(output.key)] = value
        elif output.topic == "products":
            self._once(output)
            self._product(output.key, value)
        elif output.topic == "profile-changes":
            self._once(output)
            self.changes.append(value)
        elif output.topic == "triggers":
            self._once(output)
            self.triggers.append(value)
        else:
            raise AssertionError(f"no such topic: {output.topic}")

    def _profile(self, key: str, value: Document | None) -> None:
        if value is None:
            del self.profiles[key]
            return
        assert value["profile_id"] == key
        assert value["revision"] > self.revisions.get(key, 0), f"the revision of {key} does not rise"
        self.profiles[key] = value
        self.revisions[key] = value["revision"]

    def _product(self, key: str, value: Document | None) -> None:
        assert self.products.get(key) != value, f"{key} is published without a change"
        if value is None:
            del self.products[key]
        else:
            assert value["sku"] == key
            self.products[key] = value

    def _once(self, output: Output) -> None:
        event = (output.topic, output.event)
        assert event not in self._events, f"{event} is published twice"
        self._events.add(event)

    def persons(self) -> set[frozenset[Id]]:
        ids: dict[str, set[Id]] = {}
        for id, row in self.identities.items():
            ids.setdefault(row["profile_id"], set()).add(id)
        return set(map(frozenset, ids.values()))

    def profile_ids(self) -> dict[Id, str]:
        return {id: row["profile_id"] for id, row in self.identities.items()}

    def since(self) -> dict[Id, int]:
        return {id: parse(row["since"]) for id, row in self.identities.items() if row["since"]}

    def shared(self) -> set[Id]:
        return {id for id, row in self.identities.items() if row["shared"]}

    def documents(self) -> dict[str, Document]:
        """The active profiles, without what may differ between equal ones."""
        return {
            key: {name: value for name, value in document.items() if name not in NOT_COMPARED}
            for key, document in self.profiles.items()
            if document["status"] == "active"
        }

    def broken_redirects(self) -> list[Document]:
        """Redirects that do not lead to an active profile in one hop."""
        active = self.documents().keys()
        merged = [document for document in self.profiles.values() if document["status"] == "merged"]
        return [document for document in merged if document["merged_into"] not in active]

    def latest_triggers(self) -> dict[str, tuple[Any, ...]]:
        """Per trigger what equal triggers agree in: family, step, deadline, latest status and reason."""
        latest = {record["trigger_id"]: record for record in self.triggers}
        compared = ("family", "step", "deadline_at", "status", "reason")
        return {id: tuple(record[name] for name in compared) for id, record in latest.items()}
