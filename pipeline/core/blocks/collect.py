"""commerce.click_and_collect: orders that are fetched at a store: those not yet picked up, oldest first, and how many
were placed in 365 days. An order is one if it says so, or if it was made ready or picked up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pipeline.core.blocks.horizon import Horizon
from pipeline.core.blocks.rfm import YEAR
from pipeline.core.fragment import Order
from pipeline.core.sales import Bought, newest_of


def click_and_collect(sold: Iterable[Bought], horizon: Horizon) -> dict[str, Any] | None:
    collected = sorted((one for one in sold if _is_collected(one.order)), key=lambda one: (one.sale.time, one.id))
    still_open = [one for one in collected if one.order.picked_up is None]
    count = sum(horizon.within(one.sale.time, YEAR) for one in collected)
    if not (still_open or count):
        return None
    return {"open": [_open(one.id, one.order) for one in still_open], "count_365d": count}


def _is_collected(order: Order) -> bool:
    if order.ready is not None or order.picked_up is not None:
        return True
    assert order.placed is not None
    return (newest_of(order.placed, order.updated).fulfilment or order.placed.fulfilment) == "pickup"


def _open(id: str, order: Order) -> dict[str, Any]:
    """An order that came without an id has none to be asked for by."""
    assert order.placed is not None
    return {
        "order_id": None if id.startswith("~") else id,
        "store": newest_of(order.placed, order.updated).store or order.placed.store,
        "ready": order.ready is not None,
    }
