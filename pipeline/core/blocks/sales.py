"""Sales: the orders of a person over all its fragments, each with what came back of it.

An order is placed once (the oldest placement); an update, if newer, says what it is worth now. Worth: the total, else
the sum of the lines. A return finds its order by id, on whatever fragment either is. It is worth its amount, else the
price of the returned items, else the order's price of these items, else the whole order; never more than the order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from pipeline.core.fragment import Fragment, Line, Mark, Order, Placed, Return
from pipeline.core.money import ZERO, minus, plus, product, total


class Sale(NamedTuple):
    """An order that was placed and not cancelled. net = worth minus returned."""

    time: int
    id: str
    channel: str
    currency: str
    net: Decimal
    returned: Decimal
    """0 where nothing came back that has a value."""
    has_return: bool


def sales(orders: Mapping[str, Order], returns: Iterable[Return], main_currency: str) -> list[Sale]:
    """Sales by (time, id)."""
    by_order: dict[str, list[Return]] = {}
    for one in returns:
        by_order.setdefault(one.order, []).append(one)
    return sorted(
        _sale(id, order.placed, order.updated, by_order.get(id, ()), main_currency)
        for id, order in orders.items()
        if order.placed is not None and order.cancelled is None
    )


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


def _sale(id: str, placed: Placed, updated: Placed | None, returns: Sequence[Return], main_currency: str) -> Sale:
    state = placed if updated is None or _order_of_state(updated) < _order_of_state(placed) else updated
    currency = state.currency or placed.currency or main_currency
    worth = _worth(state)
    if worth is None:
        worth = _worth(placed) or ZERO
    if not returns:
        return Sale(placed.time, id, placed.channel, currency, worth, ZERO, False)
    returned = total(_returned(one, state.lines or placed.lines, currency, worth) for one in returns)
    returned = min(returned, worth)
    return Sale(placed.time, id, placed.channel, currency, minus(worth, returned), returned, True)


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


def _returned(one: Return, ordered: list[Line], currency: str, worth: Decimal) -> Decimal:
    """An amount or a price in another currency than the order's says nothing of the order's worth."""
    same = one.currency is None or one.currency == currency
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
