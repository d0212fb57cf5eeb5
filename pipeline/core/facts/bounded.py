"""Bounds: of every collection the newest are kept, and what is dropped is counted, so that nothing grows for ever."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pipeline.core.fragment import Fragment

T = TypeVar("T")


def drop_oldest(fragment: Fragment, name: str, rows: dict[str, T], limit: int, age: Callable[[T], Any]) -> None:
    """Drops the oldest of `rows`, tie: the smallest key, until there are `limit`. Counts them under `name`."""
    while len(rows) > limit:
        del rows[min(rows, key=lambda key: (age(rows[key]), key))]
        count_dropped(fragment, name)


def count_dropped(fragment: Fragment, name: str, by: int = 1) -> None:
    fragment.dropped[name] = fragment.dropped.get(name, 0) + by
