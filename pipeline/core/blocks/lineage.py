"""lineage: what the document was made from."""

from __future__ import annotations

from typing import Any

from pipeline.core.blocks.history import History
from pipeline.core.policy import Policy


def lineage(history: History, policy: Policy) -> dict[str, Any]:
    block: dict[str, Any] = {
        "touchpoints": history.count,
        "sources": {source: history.sources[source] for source in sorted(history.sources)},
    }
    if history.newest is not None:
        block["last_event"] = history.newest[1]
    block["policy"] = policy.digest
    return block
