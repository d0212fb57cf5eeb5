"""A deal: what is known of one order at the order's home, whoever placed it and however often it was said.

Laws as for the orders of a fragment: the oldest placement, the newest update, returns by event. A cancelled order
counts nowhere. Bought is what the newest state with lines names; what was returned is not sold, but was bought.
What it contributes to the rows of SKUs is remembered, so that a change is told as a difference. Neither the order's id
nor who placed it is kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

import msgspec

from pipeline.core.days import day
from pipeline.core.money import ZERO, minus, plain, plus

SKUS_MAX: Final = 50
"""SKUs of an order that are counted as bought together: the first ones."""
VIEWED_MAX: Final = 20
"""SKUs viewed before an order: the last ones."""
RETURNS_MAX: Final = 50

Units = dict[str, str]
"""SKU -> quantity, decimal text."""


class State(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """A placement or an update. known: a digest of its source and event id. store: empty if none was named."""

    time: int
    known: int
    store: str
    units: Units

    @property
    def place(self) -> tuple[int, int]:
        return self.time, self.known


class Back(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """A return. whole: it names neither items nor an amount, so all of it came back."""

    received: int
    time: int
    whole: bool
    units: Units


class Share(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """What an order contributes. viewed: SKUs viewed before it."""

    skus: tuple[str, ...] = ()
    viewed: tuple[str, ...] = ()
    day: int = 0
    store: str = ""
    sold: Units = {}


NOTHING: Final = Share()


class Deal(msgspec.Struct, array_like=True, gc=False):
    """returns: by a digest of source and event id. viewed: SKU -> newest time it was viewed before the order. told:
    what the SKUs were told. newest: time of what was said of it."""

    placed: State | None = None
    updated: State | None = None
    cancelled: bool = False
    returns: dict[int, Back] = {}
    viewed: dict[str, int] = {}
    told: Share = NOTHING
    newest: int = 0

    def place(self, state: State) -> None:
        if self.placed is None or state.place < self.placed.place:
            self.placed = state

    def update(self, state: State) -> None:
        if self.updated is None or state.place > self.updated.place:
            self.updated = state

    def take_back(self, key: int, back: Back) -> None:
        known = self.returns.get(key)
        if known is None or (back.received, back.time) < (known.received, known.time):
            self.returns[key] = back
            if len(self.returns) > RETURNS_MAX:
                del self.returns[min(self.returns, key=lambda one: (self.returns[one].time, one))]

    def view(self, sku: str, time: int) -> None:
        if time > self.viewed.get(sku, 0):
            self.viewed[sku] = time
            if len(self.viewed) > VIEWED_MAX:
                del self.viewed[min(self.viewed, key=lambda one: (self.viewed[one], one))]

    def share(self, zone: str) -> Share:
        """What it contributes by what is known now. zone: of the days."""
        placed, updated = self.placed, self.updated
        if placed is None or self.cancelled:
            return NOTHING
        state = placed if updated is None or updated.place < placed.place else updated
        units = state.units or placed.units
        skus = tuple(units)[:SKUS_MAX]
        viewed = tuple(sorted(sku for sku in self.viewed if any(other != sku for other in skus)))
        store = state.store or placed.store
        return Share(skus, viewed, day(placed.time, zone), store, self._sold(units))

    def _sold(self, units: Units) -> Units:
        if any(back.whole for back in self.returns.values()):
            return {}
        left = {sku: Decimal(quantity) for sku, quantity in units.items()}
        for back in self.returns.values():
            for sku, quantity in back.units.items():
                if sku in left:
                    left[sku] = max(ZERO, minus(left[sku], Decimal(quantity)))
        return {sku: plain(quantity.normalize()) for sku, quantity in left.items() if quantity}


class Part(msgspec.Struct):
    """What orders contribute to one SKU, or how that changed. sold: (day, store) -> units."""

    orders: int = 0
    together: dict[str, int] = {}
    seen: int = 0
    bought: dict[str, int] = {}
    sold: dict[tuple[int, str], Decimal] = {}

    def __bool__(self) -> bool:
        return bool(self.orders or self.together or self.seen or self.bought or self.sold)


def difference(before: Share, after: Share) -> dict[str, Part]:
    """What changes for each SKU, where anything does."""
    parts: dict[str, Part] = {}
    _contribute(parts, after, 1)
    _contribute(parts, before, -1)
    for part in parts.values():
        part.together = {sku: by for sku, by in part.together.items() if by}
        part.bought = {sku: by for sku, by in part.bought.items() if by}
        part.sold = {where: by for where, by in part.sold.items() if by}
    return {sku: part for sku, part in parts.items() if part}


def _contribute(parts: dict[str, Part], share: Share, by: int) -> None:
    for sku in share.skus:
        part = parts.setdefault(sku, Part())
        part.orders += by
        _add(part.together, (other for other in share.skus if other != sku), by)
    for sku in share.viewed:
        part = parts.setdefault(sku, Part())
        part.seen += by
        _add(part.bought, (other for other in share.skus if other != sku), by)
    for sku, quantity in share.sold.items():
        part, where = parts.setdefault(sku, Part()), (share.day, share.store)
        part.sold[where] = plus(part.sold.get(where, ZERO), Decimal(quantity) * by)


def _add(counts: dict[str, int], skus: Iterable[str], by: int) -> None:
    for sku in skus:
        counts[sku] = counts.get(sku, 0) + by
