"""Known: what was received of one person up to a time, as families of triggers ask for it. Each answer is made once."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import cached_property

from pipeline.core.cart import episodes
from pipeline.core.catalogue.facts import Price, Stock, place
from pipeline.core.episode import Episode, Purchase
from pipeline.core.fragment import Fragment
from pipeline.core.policy import Policy
from pipeline.core.purchases import purchases
from pipeline.core.quiet import Activities


class Known:
    """as_of: only facts received up to then count; None: all."""

    def __init__(self, fragments: Sequence[Fragment], as_of: int | None, policy: Policy) -> None:
        self.fragments, self.as_of, self.policy = fragments, as_of, policy

    def has(self, received: int) -> bool:
        """Whether a fact that was received then is known."""
        return self.as_of is None or received <= self.as_of

    @cached_property
    def orders(self) -> list[Purchase]:
        """By (time, order id)."""
        return purchases(self.fragments, self.as_of)

    @cached_property
    def carts(self) -> list[Episode]:
        """By cart key, then time."""
        return episodes(self.fragments, self.as_of, self.policy, self.orders, self.activities)

    @cached_property
    def offered(self) -> list[str]:
        """The SKUs of which a price or a stock is known."""
        return sorted(self.prices.keys() | self.stocks.keys())

    @cached_property
    def prices(self) -> dict[str, list[Price]]:
        """By SKU, in the order of (time, event, source)."""
        found: dict[str, dict[tuple[str, str], Price]] = {}
        for fragment in self.fragments:
            for sku, offered in fragment.offers.items():
                for price in offered.prices:
                    if self.has(price.received):
                        found.setdefault(sku, {})[price.event, price.source] = price
        return {sku: sorted(prices.values(), key=place) for sku, prices in found.items()}

    @cached_property
    def stocks(self) -> dict[str, list[Stock]]:
        """As prices."""
        found: dict[str, dict[tuple[str, str], Stock]] = {}
        for fragment in self.fragments:
            for sku, offered in fragment.offers.items():
                for stock in offered.stocks:
                    if self.has(stock.received):
                        found.setdefault(sku, {})[stock.event, stock.source] = stock
        return {sku: sorted(stocks.values(), key=place) for sku, stocks in found.items()}

    def stock_at(self, sku: str, time: int) -> Decimal | None:
        """Stock of an SKU as of a time; None: not known."""
        counts = [stock.count for stock in self.stocks.get(sku, ()) if stock.time <= time]
        return Decimal(counts[-1]) if counts else None

    @cached_property
    def activities(self) -> Activities:
        return Activities(self.fragments, self.as_of)
