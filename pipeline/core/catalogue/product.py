"""A product: the row of an SKU at its home, and the document that is published of it.

Counts are sums of what orders and wishes contributed, each taken back when it no longer holds, so that no order of
arrival shows. Sales and wishes are counted by day and store; the last WINDOW days of the policy's zone count, today
included. lift = share of the orders that hold the other SKU among those considered, by its share among all orders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from pipeline.core.catalogue.facts import Price, Stock, place
from pipeline.core.catalogue.top import Top
from pipeline.core.money import ZERO, number, plain, plus, published, total
from pipeline.core.timers import earlier
from pipeline.core.touchpoint import Id

WINDOW: Final = 90
ALL_ORDERS: Final = Id("\n all orders")
"""Not an SKU: under this name orders are counted, at the home of this text."""
LISTED: Final = 50
"""Entries of a published list."""
STORES_MAX: Final = 1_000
CELLS_MAX: Final = 8_192
"""Days and stores with a count that are kept."""

Days = dict[int, dict[str, str]]
"""Day number -> store, empty where none was named -> count, decimal text."""


class Product(msgspec.Struct, array_like=True, gc=False):
    """orders: that hold this SKU. together: other SKUs of these orders. seen: orders before which it was viewed.
    bought: SKUs of these. stocks: newest fact by store; stock: facts without a store. chunks: numbers of the first row
    of watchers and the one after the last. told: SKUs that stand for the shards that asked for `orders`, with what they
    were told, last all together at `said`. digest: of the document published; 0: there is none. published: when it was;
    due: when the next may go out; 0: none waits. turn: rises each time that `orders` is told. wake: when it is looked
    at by time alone; 0: never."""

    sku: str
    orders: int = 0
    together: Top = msgspec.field(default_factory=Top)
    seen: int = 0
    bought: Top = msgspec.field(default_factory=Top)
    wished: Days = {}
    sold: Days = {}
    prices: list[Price] = []
    stock: list[Stock] = []
    stocks: dict[str, Stock] = {}
    chunks: tuple[int, int] = (0, 0)
    told: dict[str, int] = {}
    said: int = 0
    digest: int = 0
    revision: int = 0
    published: int = 0
    due: int = 0
    turn: int = 0
    wake: int = 0

    @property
    def next(self) -> int:
        """The next time at which it is looked at; 0: never."""
        return earlier(self.due, self.wake)


def count(days: Days, day: int, store: str, by: Decimal) -> None:
    """Adds to a day's count of a store; nothing is left of what comes to 0."""
    stores = days.setdefault(day, {})
    sum = plus(Decimal(stores.get(store, "0")), by)
    if sum:
        stores[store] = plain(sum.normalize())
    else:
        stores.pop(store, None)
        if not stores:
            del days[day]


def forget_before(days: Days, oldest: int) -> None:
    for day in [day for day in days if day < oldest]:
        del days[day]


def bound(days: Days) -> int:
    """Drops the oldest days until no more than CELLS_MAX counts are left; how many counts it dropped."""
    before = cells = sum(map(len, days.values()))
    for day in sorted(days):
        if cells <= CELLS_MAX:
            break
        cells -= len(days.pop(day))
    return before - cells


def price_now(prices: Iterable[Price], currency: str) -> Price | None:
    """The newest in this currency or in none, else the newest."""
    kept = list(prices)
    return next((one for one in reversed(kept) if one.currency in (None, currency)), kept[-1] if kept else None)


def document(
    product: Product, orders_of: Callable[[str], int | None], currency: str, oldest: int
) -> dict[str, Any] | None:
    """The record, ready for JSON; None if nothing is known of the SKU. orders_of: orders with an SKU, or
    ALL_ORDERS; None: not known yet. oldest: the first day that counts."""
    wished, sold = _by_store(product.wished, oldest), _by_store(product.sold, oldest)
    price = price_now(product.prices, currency)
    if not (product.orders > 0 or product.seen > 0 or wished or sold or price or product.stocks):
        return None
    found: dict[str, Any] = {
        "sku": product.sku,
        "bought_together": _listed(product.together, product.orders, orders_of),
        "viewed_then_bought": _listed(product.bought, product.seen, orders_of),
        "wished_90d": number(total(wished.values())),
        "by_store": {
            store: {"wished_90d": number(wished.get(store, ZERO)), "sold_90d": number(sold.get(store, ZERO))}
            for store in sorted((wished.keys() | sold.keys()) - {""})
        },
    }
    if price is not None:
        found["price"] = published(Decimal(price.amount), price.currency or currency)
        if price.currency not in (None, currency):
            found["currency"] = price.currency
    if product.stocks:
        found["stock"] = {store: number(Decimal(product.stocks[store].count)) for store in sorted(product.stocks)}
    return found


def partners(product: Product) -> set[str]:
    """The SKUs that the document names, and ALL_ORDERS."""
    names = {sku for top in (product.together, product.bought) for sku, _ in top.most(LISTED)}
    return names | {ALL_ORDERS} if names else names


def newest_stock(stocks: dict[str, Stock], store: str, fact: Stock) -> bool:
    """Keeps the newest fact of each store; False if that changes nothing."""
    known = stocks.get(store)
    if known is not None and place(fact) <= place(known):
        return False
    stocks[store] = fact
    if len(stocks) > STORES_MAX:
        del stocks[min(stocks, key=lambda one: (stocks[one].time, one))]
    return True


def _by_store(days: Days, oldest: int) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = {}
    for day, stores in days.items():
        if day >= oldest:
            for store, text in stores.items():
                sums[store] = plus(sums.get(store, ZERO), Decimal(text))
    return {store: sum for store, sum in sums.items() if sum > 0}


def _listed(top: Top, among: int, orders_of: Callable[[str], int | None]) -> list[dict[str, Any]]:
    every = orders_of(ALL_ORDERS) if top.counts else 0
    return [
        {"sku": sku, "orders": orders, "lift": _lift(orders, among, orders_of(sku), every)}
        for sku, orders in top.most(LISTED)
    ]


def _lift(orders: int, among: int, of_other: int | None, every: int | None) -> float | None:
    if not (of_other and every and among):
        return None
    return round(orders * every / (among * of_other), 4)


def oldest_day(days: Iterable[Mapping[int, Any]]) -> int | None:
    return min((day for one in days for day in one), default=None)
