"""The shards of a running system, or after files of touchpoints, to look at.

Nothing is claimed, committed or written. What a worker is reading at this moment may not be in yet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.core.explain.known import UnknownIdentifier
from pipeline.core.group import Group
from pipeline.core.identifiers import Registry, Unusable
from pipeline.core.replay import Replay
from pipeline.core.touchpoint import Id
from pipeline.replay import run_through

if TYPE_CHECKING:
    from pipeline.settings import Settings


def from_files(paths: Sequence[Path], registry: Registry, progress: Callable[[int], None] | None = None) -> Group:
    """The shards after all touchpoints of the files. What a reader refuses is passed over."""
    run = Replay(registry, lambda _: None, final=True)
    run_through(run, paths, registry, lambda *_: None, progress=progress)
    return run.group


def from_state(settings: Settings, registry: Registry) -> Group:
    """The shards as the state topic has them. Raises StateError if another hash key or policy made them."""
    from pipeline.kafka.look import state_rows

    group = Group(registry, "replay", durable=False, documents=False)
    for number, rows in enumerate(state_rows(settings, registry.shards)):
        group.add(number, rows.items())
    return group


def root_of(group: Group, name: Id) -> Id:
    root, beyond = group.home(name).index.climb(name)
    while beyond is not None:
        root, beyond = group.home(beyond).index.climb(beyond)
    return root


def known(group: Group, registry: Registry, text: str) -> Id:
    """The identifier that was meant by `type:value`. Raises UnknownIdentifier."""
    type, _, value = text.partition(":")
    try:
        meant = registry.identify(type, value).id
    except Unusable:
        meant = None
    for name in (meant, Id(text)):
        if name is not None and group.home(name).index.nodes.get(name) is not None:
            return name
    raise UnknownIdentifier(f"{text} was never seen (an identifier is written type:value)")
