"""Sizes that somebody said to have, by category; known by event, the newest are kept."""

from __future__ import annotations

from typing import Final

from pipeline.core.facts.bounded import drop_oldest
from pipeline.core.fragment import Fragment, Sizes
from pipeline.core.identifiers import Registry
from pipeline.core.touchpoint import Touchpoint

_KEPT: Final = 50
_PAIRS_MAX: Final = 8


def fold_sizes(fragment: Fragment, tp: Touchpoint, registry: Registry) -> None:
    """size.recorded"""
    pairs = [(item.category, item.size) for item in tp.data.items[:_PAIRS_MAX] if item.category and item.size]
    key = f"{tp.source}\n{tp.id}"
    known = fragment.sizes.get(key)
    if not pairs or (known is not None and known.received <= tp.received):
        return
    fragment.sizes[key] = Sizes(tp.time, tp.received, pairs)
    drop_oldest(fragment, "sizes", fragment.sizes, _KEPT, lambda sizes: sizes.time)
