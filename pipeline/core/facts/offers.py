"""Offers: prices and stocks of the SKUs that a person holds in a cart or a store's basket, wished, or subscribed to.

The touchpoint makes the place, the SKU's home fills it. Of the SKUs the last ones are kept; of their facts the same as
at their home, so that it does not show which came first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pipeline.core.catalogue.facts import PRICES_MAX, STOCKS_MAX, Price, Stock, keep
from pipeline.core.facts.bounded import drop_oldest
from pipeline.core.facts.lines import line_of, skus_of
from pipeline.core.fragment import Fragment, Offered, Subscription
from pipeline.core.identifiers import Registry
from pipeline.core.touchpoint import Touchpoint

WANTED_MAX: Final = 200
_SUBSCRIPTIONS_MAX: Final = 8
"""Of one SKU."""


def want(fragment: Fragment, tp: Touchpoint, registry: Registry) -> None:
    """Makes a place for the facts of each SKU of a touchpoint."""
    offers, time = fragment.offers, tp.time
    for sku in skus_of(tp.data.items, registry.policy.bounds.lines_per_cart):
        known = offers.get(sku)
        if known is None:
            offers[sku] = Offered(time)
        elif time > known.wanted:
            known.wanted = time
    if len(offers) > WANTED_MAX:
        drop_oldest(fragment, "offers", offers, WANTED_MAX, lambda offered: offered.wanted)


def fold_subscription(fragment: Fragment, tp: Touchpoint, registry: Registry) -> None:
    """stock.subscribed: whether the SKU is known to the catalogue or not, it is kept; facts may come."""
    bounds = registry.policy.bounds
    for item in tp.data.items[: bounds.lines_per_cart]:
        line = line_of(item)
        if line is not None:
            known = fragment.subscriptions.setdefault(line.sku, [])
            _subscribe(known, Subscription(tp.time, tp.id, tp.source, tp.received, tp.channel, line))
    drop_oldest(fragment, "subscriptions", fragment.subscriptions, bounds.wishlist, lambda known: known[-1].time)
    want(fragment, tp, registry)


def _subscribe(known: list[Subscription], new: Subscription) -> None:
    """Known by event and source; of two that differ the one received first counts."""
    for one in known:
        if (one.event, one.source) == (new.event, new.source):
            if (one.received, one.time) <= (new.received, new.time):
                return
            known.remove(one)
            break
    known.append(new)
    known.sort(key=lambda one: (one.time, one.event, one.source))
    del known[:-_SUBSCRIPTIONS_MAX]


def take(fragment: Fragment, sku: str, prices: Sequence[Price], stocks: Sequence[Stock]) -> list[Price | Stock]:
    """Fills the place of an SKU, if it is still there. Returns the facts that are new."""
    offered = fragment.offers.get(sku)
    if offered is None:
        return []
    new: list[Price | Stock] = [price for price in prices if keep(offered.prices, price, PRICES_MAX)]
    new += [stock for stock in stocks if keep(offered.stocks, stock, STOCKS_MAX)]
    return new
