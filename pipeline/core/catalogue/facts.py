"""Prices and stocks: facts about an SKU without a person.

A fact is known by (source, event id) for as long as it is kept; of two that differ the one received first counts. The
newest by (time, event, source) are kept, at an SKU's home and in every fragment that it was offered to, so that both
see the same whichever came first.
"""

from __future__ import annotations

from bisect import insort
from typing import Final, TypeVar

import msgspec

PRICES_MAX: Final = 16
STOCKS_MAX: Final = 32


class Price(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """amount: decimal text. currency: None if nobody said."""

    time: int
    event: str
    source: str
    received: int
    amount: str
    currency: str | None = None


class Stock(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """count: decimal text."""

    time: int
    event: str
    source: str
    received: int
    count: str


F = TypeVar("F", Price, Stock)


def keep(facts: list[F], fact: F, most: int) -> bool:
    """Puts a fact into its place among the newest `most`; False if that changes nothing."""
    for known in facts:
        if known.event == fact.event and known.source == fact.source:
            if (known.received, known.time) <= (fact.received, fact.time):
                return False
            facts.remove(known)
            break
    if len(facts) >= most and place(fact) < place(facts[0]):
        return False
    insort(facts, fact, key=place)
    if len(facts) > most:
        del facts[0]
    return True


def place(fact: Price | Stock) -> tuple[int, str, str]:
    return fact.time, fact.event, fact.source
