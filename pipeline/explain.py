"""`selvedge explain`: the evidence about identifiers, from the state topic or from files of touchpoints.

Only looks: nothing is claimed, committed or written. What a worker is reading at this moment may not be in yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.core.explain import Explanation, UnknownIdentifier
from pipeline.core.explain import explain as explained
from pipeline.core.fragment import Fragment
from pipeline.core.group import Group
from pipeline.core.identifiers import Registry, Unusable
from pipeline.core.touchpoint import Id, Touchpoint
from pipeline.dialects import Reader

if TYPE_CHECKING:
    from pipeline.settings import Settings


def from_files(paths: Sequence[Path], registry: Registry) -> Group:
    """The shards after all touchpoints of the files. What a reader refuses is passed over."""
    group = _group(registry)
    for number in range(registry.shards):
        group.add(number)
    clock = 0
    for touchpoint in _touchpoints(paths, Reader(registry)):
        clock = max(clock, touchpoint.received)
        group.touch(registry.home(touchpoint.ids[0]) if touchpoint.ids else 0, touchpoint)
    group.drain(clock, clock)
    return group


def from_state(settings: Settings, registry: Registry) -> Group:
    """The shards as the state topic has them. Raises StateError if another hash key or policy made them."""
    from pipeline.kafka.look import state_rows

    group = _group(registry)
    for number, rows in enumerate(state_rows(settings, registry.shards)):
        group.add(number, rows.items())
    return group


def explain(group: Group, registry: Registry, one: str, other: str | None = None) -> Explanation:
    """Explains identifiers given as `type:value`, or by their canonical text. Raises UnknownIdentifier."""
    names = [known(group, registry, text) for text in (one, other) if text is not None]
    fragments = {fragment.id: fragment for name in names for fragment in cluster(group, name)}
    return explained(fragments.values(), registry, *names)


def cluster(group: Group, name: Id) -> Iterator[Fragment]:
    """The fragments that may belong together with an identifier."""
    root = root_of(group, name)
    shard = group.home(root)
    for member in shard.roots.clusters[root]:
        fragment = shard.fragment(member)
        if fragment is not None:
            yield fragment


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


def _group(registry: Registry) -> Group:
    return Group(registry, "replay", durable=False, documents=False)


def _touchpoints(paths: Iterable[Path], reader: Reader) -> Iterator[Touchpoint]:
    for path in paths:
        clock = 0
        with path.open("rb") as lines:
            for line in lines:
                for read in reader.read(line.rstrip(b"\r\n"), None, fallback=clock):
                    if isinstance(read, Touchpoint):
                        clock = read.received
                        yield read
