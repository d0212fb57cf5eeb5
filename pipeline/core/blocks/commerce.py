"""commerce: what the person bought, net of returns and cancellations. Count, value and rates are of the policy's main
currency; other currencies stand apart. first_order_at and last_order_at are of all orders that were not cancelled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.core.blocks.horizon import written
from pipeline.core.blocks.sales import Sale, returns_of, sales
from pipeline.core.fragment import Fragment, Order
from pipeline.core.money import ZERO, published, ratio, share, total


def commerce(orders: Mapping[str, Order], fragments: Sequence[Fragment], currency: str) -> dict[str, Any] | None:
    """orders: of all fragments."""
    if not any(order.placed is not None for order in orders.values()):
        return None
    all_sales = sales(orders, returns_of(fragments), currency)
    main = [sale for sale in all_sales if sale.currency == currency]
    net = total(sale.net for sale in main)
    block: dict[str, Any] = {"currency": currency, "ltv": published(net, currency), "order_count": len(main)}
    if main:
        block["aov"] = share(net, len(main), currency)
    if all_sales:
        block["first_order_at"] = written(all_sales[0].time)
        block["last_order_at"] = written(all_sales[-1].time)
    block["returns"] = _returns(main, currency)
    block["by_channel"] = _grouped(main, "channel")
    if len(main) < len(all_sales):
        block["other_currencies"] = _grouped([sale for sale in all_sales if sale.currency != currency], "currency")
    return block


def _returns(main: list[Sale], currency: str) -> dict[str, Any]:
    with_return = [sale for sale in main if sale.has_return]
    if not with_return:
        return {"count": 0, "value": published(ZERO, currency), "rate": 0.0}
    value = published(total(sale.returned for sale in with_return), currency)
    return {"count": len(with_return), "value": value, "rate": ratio(len(with_return), len(main))}


def _grouped(all_sales: list[Sale], by: str) -> dict[str, Any]:
    groups: dict[str, list[Sale]] = {}
    for sale in all_sales:
        groups.setdefault(getattr(sale, by), []).append(sale)
    return {
        name: {"orders": len(group), "value": published(total(sale.net for sale in group), group[0].currency)}
        for name, group in sorted(groups.items())
    }
