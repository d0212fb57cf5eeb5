"""Orders of a person as carts see them: when, what, and by which cart or checkout.

An order may be known by several fragments (the shop's pixel and its server); it counts once, at its oldest time. An
order that was cancelled or returned later was placed all the same, so its cart stays closed.
"""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.core.episode import Purchase
from pipeline.core.fragment import Fragment, Order, Placed


def purchases(fragments: Iterable[Fragment], as_of: int | None) -> list[Purchase]:
    """By (time, order id). as_of: only what was received up to then; None: all."""
    found: dict[str, Purchase] = {}
    for fragment in fragments:
        for id, order in fragment.orders.items():
            placed = _known(order, as_of)
            if placed is None:
                continue
            purchase = found.get(id)
            if purchase is None:
                purchase = found[id] = Purchase(id, placed.time, set(), set(), [])
            purchase.time = min(purchase.time, placed.time)
            purchase.skus.update(line.sku for line in placed.lines)
            purchase.names.update(name for name in (placed.cart, placed.checkout) if name)
            purchase.facts.append((placed.received, fragment.id))
    return sorted(found.values(), key=lambda purchase: (purchase.time, purchase.id))


def _known(order: Order, as_of: int | None) -> Placed | None:
    if as_of is None:
        return order.placed
    return next((one for one in (order.placed, *order.earlier) if one is not None and one.received <= as_of), None)
