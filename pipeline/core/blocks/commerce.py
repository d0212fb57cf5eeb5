"""commerce: what the person bought, net of returns and cancellations. Count, value and rates are of the policy's main
currency; other currencies stand apart. first_order_at and last_order_at are of all orders that were not cancelled.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.core.blocks.horizon import written
from pipeline.core.fragment import Fragment, Order
from pipeline.core.money import published, ratio, share, total
from pipeline.core.sales import Turnover, turnovers


def commerce(orders: Mapping[str, Order], fragments: Sequence[Fragment], currency: str) -> dict[str, Any] | None:
    """orders: of all fragments. None for who never placed an order."""
    sold = turnovers(fragments, orders, currency)
    if not sold and not any(order.placed is not None for order in orders.values()):
        return None
    main = {channel: sums for (of, channel), sums in sold.items() if of == currency}
    count, net = sum(sums.orders for sums in main.values()), total(sums.net for sums in main.values())
    block: dict[str, Any] = {"currency": currency, "ltv": published(net, currency), "order_count": count}
    if count:
        block["aov"] = share(net, count, currency)
    if sold:
        block["first_order_at"] = written(min(sums.first for sums in sold.values()))
        block["last_order_at"] = written(max(sums.last for sums in sold.values()))
    block["returns"] = _returns(main.values(), count, currency)
    block["by_channel"] = {channel: _sums([main[channel]], currency) for channel in sorted(main)}
    others = sorted({of for of, _ in sold if of != currency})
    if others:
        block["other_currencies"] = {
            other: _sums([sums for (of, _), sums in sold.items() if of == other], other) for other in others
        }
    return block


def _returns(main: Iterable[Turnover], orders: int, currency: str) -> dict[str, Any]:
    count = sum(sums.with_return for sums in main)
    value = published(total(sums.returned for sums in main), currency)
    return {"count": count, "value": value, "rate": ratio(count, orders) if count else 0.0}


def _sums(of: list[Turnover], currency: str) -> dict[str, Any]:
    return {"orders": sum(sums.orders for sums in of), "value": published(total(sums.net for sums in of), currency)}
