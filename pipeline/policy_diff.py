"""`selvedge policy diff`: a history replayed under two policies, and what comes out differently. Writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from pipeline.core.effects import Output
from pipeline.core.identifiers import Registry
from pipeline.core.policy import Policy
from pipeline.core.policy_changes import changes
from pipeline.core.policy_diff import Difference, Outcome, compare
from pipeline.core.replay import Replay
from pipeline.core.touchpoint import Id
from pipeline.replay import run_through

Progress = Callable[[int], None] | None

_decode = msgspec.json.Decoder().decode


def diff(
    old: Policy, new: Policy, secret: bytes, paths: Sequence[Path], *, until: int, samples: int, progress: Progress
) -> Difference:
    """until: as of `replay`. samples: how many of each kind are told. progress: is called with the bytes read so far,
    every file twice. Raises OSError where a file cannot be read."""
    size = sum(path.stat().st_size for path in paths)
    before, touchpoints = _outcome(Registry(old, secret), paths, until, progress)
    after, _ = _outcome(Registry(new, secret), paths, until, progress and (lambda read: progress(size + read)))
    return compare(before, after, changes(old, new), touchpoints, samples)


def _outcome(registry: Registry, paths: Sequence[Path], until: int, progress: Progress) -> tuple[Outcome, int]:
    """What the files came to, and how many touchpoints there were."""
    triggers = {}

    def take(output: Output) -> None:
        if output.topic == "triggers" and output.value is not None:
            record = _decode(output.value)
            triggers[record["trigger_id"]] = record

    run = Replay(registry, take, final=True)
    run_through(run, paths, registry, lambda *_: None, until=until, progress=progress)
    persons: dict[str, frozenset[Id]] = {}
    shared: set[Id] = set()
    for group in run.group.persons():
        persons[registry.profile_id(group.owner)] = frozenset(group.ids)
        if group.shared:
            shared.update(group.ids)
    readable = registry.policy.publish.identifiers
    labels = {
        id: f"{registry.type(id)}:{value}"
        for fragment in run.group.fragments()
        for id, value in fragment.plain.items()
        if readable.get(registry.type(id), "raw") == "raw"
    }
    prefix = "dead_letters."
    refused = {what.removeprefix(prefix): n for what, n in run.counts.items() if what.startswith(prefix)}
    return Outcome(persons, shared, triggers, labels, refused), run.counts.get("touchpoints", 0)
