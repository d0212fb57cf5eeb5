"""lineage: what the document was made from, and how much bounds dropped of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pipeline.core.blocks.history import History
from pipeline.core.fragment import Fragment
from pipeline.core.policy import Policy


def lineage(history: History, fragments: Iterable[Fragment], policy: Policy) -> dict[str, Any]:
    block: dict[str, Any] = {
        "touchpoints": history.count,
        "sources": {source: history.sources[source] for source in sorted(history.sources)},
    }
    if history.newest is not None:
        block["last_event"] = history.newest[1]
    block["policy"] = policy.digest
    dropped = _dropped(fragments)
    if dropped:
        block["dropped"] = dropped
    return block


def _dropped(fragments: Iterable[Fragment]) -> dict[str, int]:
    """Bound -> how much it dropped."""
    found: dict[str, int] = {}
    for fragment in fragments:
        for name, count in fragment.dropped.items():
            found[name] = found.get(name, 0) + count
    return {name: found[name] for name in sorted(found)}
