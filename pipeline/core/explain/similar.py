"""Which known identifiers somebody may have meant: those that have most pieces of three letters in common."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nlargest
from itertools import islice
from typing import Final

LOOKED_AT: Final = 200_000
TOLD: Final = 3
ALIKE: Final = 0.4


def similar(text: str, labels: Iterable[str]) -> list[str]:
    """Up to three labels, the likest first."""
    wanted, value = _pieces(text), text.partition(":")[2] or text
    rated = ((_likeness(wanted, value, label), label) for label in islice(labels, LOOKED_AT))
    return [label for likeness, label in nlargest(TOLD, rated) if likeness >= ALIKE]


def _likeness(wanted: set[str], value: str, label: str) -> float:
    """1: the same value, perhaps of another type."""
    if label.partition(":")[2].casefold() == value.casefold():
        return 1.0
    pieces = _pieces(label)
    return len(wanted & pieces) / len(wanted | pieces)


def _pieces(text: str) -> set[str]:
    padded = f"^{text.casefold()}$"
    return {padded[place : place + 3] for place in range(len(padded) - 2)} or {padded}
