"""Orders and returns. Of an order the oldest placement, the newest update and the oldest mark of each kind are kept.

Returns are a set by event, apart from the orders: a return may be anchored at another identifier than its order. An
order without an id is known by its event; a mark without an order id says nothing.
"""

from __future__ import annotations

from typing import Final

from pipeline.core.facts.bounded import count_dropped, drop_oldest
from pipeline.core.facts.lines import lines_of
from pipeline.core.fragment import Fragment, Line, Mark, Older, Order, Placed, Return
from pipeline.core.identifiers import Registry
from pipeline.core.money import ZERO, plain, plus, product
from pipeline.core.sales import Turnover, sale_of
from pipeline.core.touchpoint import CartRef, OrderRef, Touchpoint

_MARKS: Final = {
    "order.cancelled": "cancelled",
    "order.ready_for_pickup": "ready",
    "order.picked_up": "picked_up",
}
_EARLIER_MAX: Final = 4
_NO_ORDER: Final = OrderRef()
_NO_CART: Final = CartRef()


def fold_placed(fragment: Fragment, tp: Touchpoint, registry: Registry) -> None:
    ref = tp.data.order
    order = _order(fragment, (ref and ref.id) or f"~{tp.source}\n{tp.id}")
    made = _placed(fragment, tp, registry)
    if order.placed is None:
        order.placed = made
    else:
        _keep(order, [order.placed, *order.earlier, made])
    _bound(fragment, registry)


def _keep(order: Order, placements: list[Placed]) -> None:
    """Of the placements, oldest first, those that nothing older was received before."""
    kept: list[Placed] = []
    for one in sorted(placements, key=lambda one: (one.time, one.event, one.source, one.received)):
        if not kept or one.received < kept[-1].received:
            kept.append(one)
    order.placed, order.earlier = kept[0], kept[1:][-_EARLIER_MAX:]


def fold_updated(fragment: Fragment, tp: Touchpoint, registry: Registry) -> None:
    ref = tp.data.order
    if ref is None or not ref.id:
        return
    order, made = _order(fragment, ref.id), _placed(fragment, tp, registry)
    known = order.updated
    if known is None or (made.time, made.event, made.source) > (known.time, known.event, known.source):
        order.updated = made
    _bound(fragment, registry)


def fold_mark(fragment: Fragment, tp: Touchpoint, registry: Registry) -> None:
    """Cancelled, ready for pick-up or picked up."""
    ref = tp.data.order
    if ref is None or not ref.id:
        return
    order, name = _order(fragment, ref.id), _MARKS[tp.type]
    known: Mark | None = getattr(order, name)
    if known is None or (tp.time, tp.id, tp.received) < (known.time, known.event, known.received):
        setattr(order, name, Mark(tp.time, tp.id, tp.received))
    _bound(fragment, registry)


def fold_return(fragment: Fragment, tp: Touchpoint, registry: Registry) -> None:
    ref = tp.data.order
    if ref is None or not ref.id:
        return
    bounds = registry.policy.bounds
    key = f"{tp.source}\n{tp.id}"
    known = fragment.returns.get(key)
    if known is not None and (known.received, known.time) <= (tp.received, tp.time):
        return
    fragment.returns[key] = Return(
        tp.time,
        tp.received,
        tp.channel,
        ref.id,
        lines_of(fragment, tp.data.items, bounds.lines_per_cart),
        None if ref.amount is None else plain(ref.amount),
        ref.currency or _currency_of_items(tp),
    )
    drop_oldest(fragment, "returns", fragment.returns, bounds.orders, lambda known: known.time)


def _order(fragment: Fragment, id: str) -> Order:
    order = fragment.orders.get(id)
    if order is None:
        order = fragment.orders[id] = Order()
    return order


def _placed(fragment: Fragment, tp: Touchpoint, registry: Registry) -> Placed:
    data = tp.data
    ref, cart, store = data.order or _NO_ORDER, data.cart or _NO_CART, data.store
    lines_max = registry.policy.bounds.lines_per_cart
    lines = lines_of(fragment, data.items, lines_max)
    total = None if ref.total is None else plain(ref.total)
    if total is None and len(data.items) > lines_max:
        total = _sum(lines_of(fragment, data.items, len(data.items)))
    return Placed(
        tp.time,
        tp.id,
        tp.source,
        tp.received,
        tp.channel,
        lines,
        total,
        ref.currency or cart.currency or _currency_of_items(tp),
        ref.store or (store.id if store is not None else None),
        ref.fulfilment,
        ref.status,
        cart.id,
        cart.checkout_id,
    )


def _sum(lines: list[Line]) -> str:
    """The value of all lines of an order of which only some are kept."""
    total = ZERO
    for line in lines:
        if line.price is not None:
            total = plus(total, product(line.quantity, line.price))
    return plain(total)


def _currency_of_items(tp: Touchpoint) -> str | None:
    return next((item.currency for item in tp.data.items if item.currency), None)


def _bound(fragment: Fragment, registry: Registry) -> None:
    while len(fragment.orders) > registry.policy.bounds.orders:
        drop_oldest_order(fragment)


def drop_oldest_order(fragment: Fragment) -> None:
    """Leaves the sums of an order that is not kept. What is told of it later is lost."""
    orders = fragment.orders
    id = min(orders, key=lambda id: (_age(orders[id]), id))
    order = orders.pop(id)
    count_dropped(fragment, "orders")
    sale = sale_of(order, [one for one in fragment.returns.values() if one.order == id])
    if sale is None:
        return
    key = f"{sale.currency or ''}\n{sale.channel}"
    sums = Turnover()
    sums.add(sale)
    if key in fragment.older:
        sums.add_older(fragment.older[key])
    net, returned = plain(sums.net), plain(sums.returned)
    fragment.older[key] = Older(sums.orders, net, sums.with_return, returned, sums.first, sums.last)


def _age(order: Order) -> int:
    """Time of placement, else of what is known of the order."""
    facts = (order.placed, order.cancelled, order.ready, order.picked_up, order.updated)
    return next((fact.time for fact in facts if fact is not None), 0)
