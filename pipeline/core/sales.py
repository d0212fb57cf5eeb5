"""Sales: the orders of a person over all its fragments, each with what came back of it.

An order is placed once (the oldest placement); an update, if newer, says what it is worth now. Worth: the total, else
the sum of the lines. A return finds its order by id, on whatever fragment either is. It is worth its amount, else the
price of the returned items, else the order's price of these items, else the whole order; never more than the order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

import msgspec

from pipeline.core import times
from pipeline.core.fragment import Fragment, Line, Mark, Older, Order, Placed, Return
from pipeline.core.money import ZERO, minus, plus, product, total


class Sale(NamedTuple):
    """An order that was placed and not cancelled. currency: None if nobody said. net = worth minus returned."""

    time: int
    channel: str
    currency: str | None
    net: Decimal
    returned: Decimal
    with_return: bool


class Turnover(msgspec.Struct, gc=False):
    """Sales of one currency and channel. first, last: times of orders."""

    orders: int = 0
    net: Decimal = ZERO
    with_return: int = 0
    returned: Decimal = ZERO
    first: int = times.LATEST
    last: int = times.EARLIEST

    def add(self, sale: Sale) -> None:
        self._add(1, sale.net, sale.with_return, sale.returned, sale.time, sale.time)

    def add_older(self, older: Older) -> None:
        net, returned = Decimal(older.net), Decimal(older.returned)
        self._add(older.orders, net, older.with_return, returned, older.first, older.last)

    def _add(self, orders: int, net: Decimal, with_return: int, returned: Decimal, first: int, last: int) -> None:
        self.orders += orders
        self.net = plus(self.net, net)
        if with_return:
            self.with_return += with_return
            self.returned = plus(self.returned, returned)
        self.first, self.last = min(self.first, first), max(self.last, last)


Turnovers = dict[tuple[str, str], Turnover]
"""By (currency, channel)."""


class Bought(NamedTuple):
    """A sale with its order. kept: the lines of which something did not come back."""

    id: str
    order: Order
    sale: Sale
    kept: list[Line]


def bought(fragments: Sequence[Fragment], orders: Mapping[str, Order]) -> list[Bought]:
    """The sales of a person that are known in detail. orders: of all fragments."""
    by_order: dict[str, list[Return]] = {}
    for one in returns_of(fragments):
        by_order.setdefault(one.order, []).append(one)
    found = []
    for id, order in orders.items():
        returns = by_order.get(id, ())
        sale = sale_of(order, returns)
        if sale is not None:
            found.append(Bought(id, order, sale, _kept(_lines(order), returns, sale)))
    return found


def last_order(fragments: Iterable[Fragment], sold: Iterable[Bought]) -> int | None:
    """Time of the newest order that was not cancelled; None: there is none."""
    times = [one.sale.time for one in sold]
    return max([*times, *(older.last for fragment in fragments for older in fragment.older.values())], default=None)


def turnovers(fragments: Sequence[Fragment], sold: Iterable[Bought], main_currency: str) -> Turnovers:
    """sold: what `bought` gives. main_currency: of orders that name none."""
    found: Turnovers = {}
    for one in sold:
        sale = one.sale
        found.setdefault((sale.currency or main_currency, sale.channel), Turnover()).add(sale)
    for fragment in fragments:
        for key, older in fragment.older.items():
            currency, _, channel = key.partition("\n")
            found.setdefault((currency or main_currency, channel), Turnover()).add_older(older)
    return found


def orders_of(fragments: Sequence[Fragment]) -> Mapping[str, Order]:
    """Orders by id, as all fragments together know them."""
    with_orders = [fragment.orders for fragment in fragments if fragment.orders]
    if len(with_orders) == 1:
        return with_orders[0]
    joined: dict[str, Order] = {}
    for orders in with_orders:
        for id, order in orders.items():
            known = joined.get(id)
            joined[id] = order if known is None else _join(known, order)
    return joined


def returns_of(fragments: Iterable[Fragment]) -> Iterable[Return]:
    """Each return once, though an event may be on several fragments: of two the one received first."""
    joined: dict[str, Return] = {}
    for fragment in fragments:
        for key, one in fragment.returns.items():
            known = joined.get(key)
            if known is None or (one.received, one.time) < (known.received, known.time):
                joined[key] = one
    return joined.values()


def _join(a: Order, b: Order) -> Order:
    return Order(
        min(filter(None, (a.placed, b.placed)), key=_order_of_state, default=None),
        max(filter(None, (a.updated, b.updated)), key=_order_of_state, default=None),
        _first(a.cancelled, b.cancelled),
        _first(a.ready, b.ready),
        _first(a.picked_up, b.picked_up),
    )


def _first(a: Mark | None, b: Mark | None) -> Mark | None:
    return min(filter(None, (a, b)), key=lambda mark: (mark.time, mark.event, mark.received), default=None)


def _order_of_state(state: Placed) -> tuple[int, str, str]:
    return state.time, state.event, state.source


def sale_of(order: Order, returns: Sequence[Return]) -> Sale | None:
    """None for an order that was not placed, or cancelled."""
    placed = order.placed
    if placed is None or order.cancelled is not None:
        return None
    state = newest_of(placed, order.updated)
    currency = state.currency or placed.currency
    worth = _worth(state)
    if worth is None:
        worth = _worth(placed) or ZERO
    if not returns:
        return Sale(placed.time, placed.channel, currency, worth, ZERO, False)
    returned = total(_returned(one, state.lines or placed.lines, currency, worth) for one in returns)
    returned = min(returned, worth)
    return Sale(placed.time, placed.channel, currency, minus(worth, returned), returned, True)


def newest_of(placed: Placed, updated: Placed | None) -> Placed:
    """What holds of an order: its update, if that is newer than the placement."""
    return placed if updated is None or _order_of_state(updated) < _order_of_state(placed) else updated


def _lines(order: Order) -> list[Line]:
    """What was ordered, as it was last said."""
    assert order.placed is not None
    return newest_of(order.placed, order.updated).lines or order.placed.lines


def _kept(lines: list[Line], returns: Sequence[Return], sale: Sale) -> list[Line]:
    """The lines less the returned pieces. A return that names no item takes nothing of them, unless all was paid back
    or it has no amount either: then everything came back."""
    if not returns:
        return lines
    if any(not one.lines and one.amount is None for one in returns) or (sale.returned and not sale.net):
        return []
    back: dict[str, Decimal] = {}
    for one in returns:
        for line in one.lines:
            back[line.sku] = plus(back.get(line.sku, ZERO), Decimal(line.quantity))
    kept = []
    for line in lines:
        taken = min(back.get(line.sku, ZERO), Decimal(line.quantity))
        back[line.sku] = minus(back.get(line.sku, ZERO), taken)
        if taken < Decimal(line.quantity):
            kept.append(line)
    return kept


def _worth(state: Placed) -> Decimal | None:
    """None where the state says nothing of it, as an update of the status alone."""
    if state.total is not None:
        return Decimal(state.total)
    return _value(state.lines, {}) if state.lines else None


def _value(lines: Iterable[Line], prices: Mapping[str, str]) -> Decimal:
    value = ZERO
    for line in lines:
        price = line.price or prices.get(line.sku)
        if price is not None:
            value = plus(value, product(line.quantity, price))
    return value


def _returned(one: Return, ordered: list[Line], currency: str | None, worth: Decimal) -> Decimal:
    """An amount or a price in another currency than the order's says nothing of the order's worth."""
    same = one.currency is None or currency is None or one.currency == currency
    if same and one.amount is not None:
        return Decimal(one.amount)
    if one.lines:
        prices = {line.sku: line.price for line in ordered if line.price is not None}
        if not same:
            lines = [Line(line.sku, line.quantity) for line in one.lines]
        else:
            lines = one.lines
        if all(line.price is not None or line.sku in prices for line in lines):
            return _value(lines, prices)
    return worth
