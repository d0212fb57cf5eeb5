"""What a touchpoint says to the catalogue, as messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import islice
from typing import Final

import xxhash

from pipeline.core.catalogue.deal import Back, State, Units
from pipeline.core.catalogue.facts import Price, Stock
from pipeline.core.facts.lines import sku_of
from pipeline.core.mail import Announce, Dealt
from pipeline.core.money import ZERO, plain, plus
from pipeline.core.touchpoint import Id, Item, OrderRef, Touchpoint

_NO_ORDER: Final = OrderRef()


def announced(tp: Touchpoint) -> Iterator[Announce]:
    """price.changed, stock.changed: a fact for each item."""
    store = (tp.data.store and tp.data.store.id) or ""
    for item in tp.data.items:
        sku = sku_of(item)
        if not sku:
            continue
        price, stock = item.price, item.stock
        if tp.type == "price.changed" and price is not None:
            fact = Price(tp.time, tp.id, tp.source, tp.received, plain(price), item.currency)
            yield Announce(Id(sku), fact, None, store)
        elif tp.type == "stock.changed" and stock is not None:
            yield Announce(Id(sku), None, Stock(tp.time, tp.id, tp.source, tp.received, plain(stock)), store)


def dealt(tp: Touchpoint, lines_max: int) -> Dealt | None:
    """What an order touchpoint says of its order, known by its event if it has no id; None: nothing that counts."""
    ref = tp.data.order or _NO_ORDER
    type = tp.type
    if type == "order.placed":
        return Dealt(Id(ref.id or f"~{tp.source}\n{tp.id}"), tp.time, placed=_state(tp, ref, lines_max))
    if not ref.id:
        return None
    order = Id(ref.id)
    if type == "order.updated":
        return Dealt(order, tp.time, updated=_state(tp, ref, lines_max))
    if type == "order.cancelled":
        return Dealt(order, tp.time, cancelled=True)
    if type == "order.returned":
        units = _units(tp.data.items, lines_max)
        back = Back(tp.received, tp.time, not units and ref.amount is None, units)
        return Dealt(order, tp.time, returned=(_known(tp), back))
    return None


def _state(tp: Touchpoint, ref: OrderRef, lines_max: int) -> State:
    store = ref.store or (tp.data.store and tp.data.store.id) or ""
    return State(tp.time, _known(tp), store, _units(tp.data.items, lines_max))


def _known(tp: Touchpoint) -> int:
    return xxhash.xxh3_64_intdigest(f"{tp.source}\n{tp.id}".encode())


def _units(items: Iterable[Item], lines_max: int) -> Units:
    units: dict[str, Decimal] = {}
    for item in islice((item for item in items if sku_of(item)), lines_max):
        sku = sku_of(item)
        assert sku is not None
        units[sku] = plus(units.get(sku, ZERO), item.quantity)
    return {sku: plain(quantity) for sku, quantity in units.items() if quantity > 0}
