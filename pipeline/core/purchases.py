"""Orders of a person as carts see them: when, what, and by which cart or checkout.

An order may be known by several fragments (the shop's pixel and its server); it counts once, at its oldest time. An
order that was cancelled or returned later was placed all the same, so its cart stays closed.
"""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.core.episode import Purchase
from pipeline.core.fragment import Fragment


def purchases(fragments: Iterable[Fragment], as_of: int | None) -> list[Purchase]:
    """By (time, order id). as_of: only what was received up to then; None: all."""
    found: dict[str, Purchase] = {}
    for fragment in fragments:
        for id, order in fragment.orders.items():
            placed = order.placed
            if placed is None or (as_of is not None and placed.received > as_of):
                continue
            purchase = found.get(id)
            if purchase is None:
                purchase = found[id] = Purchase(id, placed.time, set(), set(), [])
            purchase.time = min(purchase.time, placed.time)
            purchase.skus.update(line.sku for line in placed.lines)
            purchase.names.update(name for name in (placed.cart, placed.checkout) if name)
            purchase.facts.append((placed.received, fragment.id))
    return sorted(found.values(), key=lambda purchase: (purchase.time, purchase.id))
