"""commerce: what the person bought, net of returns and cancellations. Count, value and rates are of the policy's main
currency; other currencies stand apart. first_order_at and last_order_at are of all orders that were not cancelled.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from pipeline.core.blocks.horizon import written
from pipeline.core.blocks.sales import Sale, orders_of, returns_of, sales
from pipeline.core.fragment import Fragment
from pipeline.core.money import ZERO, plus, published, ratio, share


def commerce(fragments: Sequence[Fragment], currency: str) -> dict[str, Any] | None:
    orders = orders_of(fragments)
    if not any(order.placed is not None for order in orders.values()):
        return None
    all_sales = sales(orders, returns_of(fragments), currency)
    main = [sale for sale in all_sales if sale.currency == currency]
    net = _sum(sale.net for sale in main)
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
    count = sum(sale.has_return for sale in main)
    value = published(_sum(sale.returned for sale in main), currency)
    return {"count": count, "value": value, "rate": ratio(count, len(main)) if main else 0.0}


def _grouped(all_sales: list[Sale], by: str) -> dict[str, Any]:
    groups: dict[str, list[Sale]] = {}
    for sale in all_sales:
        groups.setdefault(getattr(sale, by), []).append(sale)
    return {
        name: {
            "orders": len(group),
            "value": published(_sum(sale.net for sale in group), group[0].currency),
        }
        for name, group in sorted(groups.items())
    }


def _sum(amounts: Any) -> Decimal:
    total = ZERO
    for amount in amounts:
        total = plus(total, amount)
    return total
