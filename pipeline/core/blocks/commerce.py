"""commerce: what the person bought, net of returns and cancellations. Count, value and rates are of the policy's main
currency; other currencies stand apart. first_order_at and last_order_at are of all orders that were not cancelled.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.core.blocks.collect import click_and_collect
from pipeline.core.blocks.horizon import Horizon, written
from pipeline.core.blocks.rfm import rfm
from pipeline.core.blocks.ropo import ropo
from pipeline.core.fragment import Fragment, Order
from pipeline.core.money import published, ratio, share, total
from pipeline.core.policy import Policy
from pipeline.core.sales import Bought, Turnover, Turnovers, turnovers


def commerce(
    orders: Mapping[str, Order], sold: Sequence[Bought], fragments: Sequence[Fragment], policy: Policy, horizon: Horizon
) -> dict[str, Any] | None:
    """orders: of all fragments; sold: those that were not cancelled. None for who never placed an order."""
    currency = policy.profile.currency
    sums = turnovers(fragments, sold, currency)
    if not sums and not any(order.placed is not None for order in orders.values()):
        return None
    block = _sold(sums, currency)
    if sums:
        block["rfm"] = rfm(sold, max(one.last for one in sums.values()), policy.profile, horizon)
        collected = click_and_collect(sold, horizon)
        if collected is not None:
            block["click_and_collect"] = collected
        block["ropo"] = ropo(sold, fragments, policy.profile.ropo_window, horizon)
    return block


def _sold(sums: Turnovers, currency: str) -> dict[str, Any]:
    main = {channel: of_channel for (of, channel), of_channel in sums.items() if of == currency}
    count, net = sum(one.orders for one in main.values()), total(one.net for one in main.values())
    block: dict[str, Any] = {"currency": currency, "ltv": published(net, currency), "order_count": count}
    if count:
        block["aov"] = share(net, count, currency)
    if sums:
        block["first_order_at"] = written(min(one.first for one in sums.values()))
        block["last_order_at"] = written(max(one.last for one in sums.values()))
    block["returns"] = _returns(main.values(), count, currency)
    block["by_channel"] = {channel: _sums([main[channel]], currency) for channel in sorted(main)}
    others = sorted({of for of, _ in sums if of != currency})
    if others:
        block["other_currencies"] = {
            other: _sums([one for (of, _), one in sums.items() if of == other], other) for other in others
        }
    return block


def _returns(main: Iterable[Turnover], orders: int, currency: str) -> dict[str, Any]:
    of = list(main)
    count = sum(sums.with_return for sums in of)
    value = published(total(sums.returned for sums in of), currency)
    return {"count": count, "value": value, "rate": ratio(count, orders) if count else 0.0}


def _sums(of: list[Turnover], currency: str) -> dict[str, Any]:
    return {"orders": sum(sums.orders for sums in of), "value": published(total(sums.net for sums in of), currency)}
