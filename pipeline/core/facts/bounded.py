"""Bounds: of every collection the newest are kept, and what is dropped is counted, so that nothing grows for ever."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from pipeline.core.fragment import Fragment

T = TypeVar("T")


class Fact(Protocol):
    """What happened at a time, known by its event."""

    @property
    def time(self) -> int: ...
    @property
    def event(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def received(self) -> int: ...


F = TypeVar("F", bound=Fact)


def place(fact: Fact) -> tuple[int, str, str]:
    """The order of facts."""
    return fact.time, fact.event, fact.source


def insert(facts: list[F], fact: F) -> bool:
    """Puts a fact into its place; False if it is there. Of two with the same event the one received first stays."""
    if not facts or fact.time > facts[-1].time:
        facts.append(fact)
        return True
    where = bisect_left(facts, place(fact), key=place)
    if where == len(facts) or place(facts[where]) != place(fact):
        facts.insert(where, fact)
        return True
    if fact.received < facts[where].received:
        facts[where] = fact
    return False


def drop_oldest(fragment: Fragment, name: str, rows: dict[str, T], limit: int, age: Callable[[T], Any]) -> None:
    """Drops the oldest of `rows`, tie: the smallest key, until there are `limit`. Counts them under `name`."""
    while len(rows) > limit:
        del rows[min(rows, key=lambda key: (age(rows[key]), key))]
        count_dropped(fragment, name)


def count_dropped(fragment: Fragment, name: str, by: int = 1) -> None:
    fragment.dropped[name] = fragment.dropped.get(name, 0) + by
