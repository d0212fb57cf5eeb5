"""`selvedge explain --trigger`: the story of a trigger from a history, from a replay's directory, or from the running
system. Only looks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from pipeline import explain
from pipeline.core.effects import Output
from pipeline.core.explain.known import Known
from pipeline.core.fragment import Fragment
from pipeline.core.grouping import PersonIds, grouping
from pipeline.core.identifiers import Registry
from pipeline.core.person import Person
from pipeline.core.replay import Replay
from pipeline.core.triggers.story import anchor_of, story
from pipeline.replay import run_through

if TYPE_CHECKING:
    from pipeline.settings import Settings

Record = dict[str, Any]


class UnknownTrigger(LookupError):
    """Nothing was published under that id, as far as one can see here."""


def from_files(
    trigger: str, paths: Sequence[Path], registry: Registry, progress: Callable[[int], None] | None = None
) -> list[str]:
    """The story after all touchpoints of the files. Raises UnknownTrigger."""
    records: list[Record] = []

    def take(output: Output) -> None:
        if output.topic == "triggers" and output.value is not None and output.event.startswith(trigger):
            records.append(msgspec.json.decode(output.value))

    run = Replay(registry, take, final=True)
    run_through(run, paths, registry, lambda *_: None, progress=progress)
    return _story(trigger, records, Known(run.group.fragments(), registry))


def from_directory(trigger: str, directory: Path, secret: bytes) -> list[str]:
    """The story as a replay left it: its records, without the facts. Raises UnknownTrigger and CannotExplain."""
    file = directory / "triggers.jsonl"
    if not file.exists():
        raise explain.CannotExplain(f"{directory} has no triggers.jsonl")
    records = [msgspec.json.decode(line) for line in file.read_bytes().splitlines() if trigger.encode() in line]
    return _story(trigger, records, explain.from_directory(directory, secret))


def from_state(trigger: str, settings: Settings, registry: Registry) -> list[str]:
    """The story from the topics `triggers` and `state`. Raises UnknownTrigger."""
    from pipeline.kafka.look import since

    values = [record.value for record in since(settings, "triggers", {}) if trigger.encode() in (record.value or b"")]
    records = [msgspec.json.decode(value) for value in values if value is not None]
    return _story(trigger, records, explain.from_state(settings, registry))


def _story(trigger: str, records: Sequence[Record], known: Known) -> list[str]:
    newest = {record["revision"]: record for record in records if record["trigger_id"] == trigger}
    if not newest:
        raise UnknownTrigger(f"no trigger {trigger} was published")
    told = [newest[revision] for revision in sorted(newest)]
    if "cart" not in told[-1]:
        return [f"trigger {trigger}: its person was erased"]
    anchor = anchor_of(known.fragments.values(), told[-1])
    if anchor is None:
        return list(story(told, None, known.registry))
    around = {fragment.id: fragment for fragment in known.around(anchor)}
    group = grouping(sorted(around), around.get, known.registry).group_of[anchor]
    return list(story(told, _person(group, around, known.registry), known.registry))


def _person(group: PersonIds, around: dict[Any, Fragment], registry: Registry) -> Person:
    fragments = [around[name] for name in group.anchors if name in around]
    return Person(group.ids, fragments, registry.profile_id(group.owner), group.shared)
