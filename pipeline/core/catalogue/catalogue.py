"""The catalogue of one shard: SKUs and orders at home here, by messages.

Prices and stocks go to whoever watches the SKU, once per epoch. An order's home knows what the order contributes, and
tells SKUs the difference once per epoch; so no repeat, late update or cancellation is counted wrong. A product's
document is published where it changed, at most once per `min_interval`. When a day leaves the window it changes by time
alone: each SKU looks again at a time of its own on that day.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import Any, Final

import msgspec
import orjson
import xxhash

from pipeline.core import days
from pipeline.core.catalogue import product as products_of
from pipeline.core.catalogue.deal import Deal, difference
from pipeline.core.catalogue.facts import PRICES_MAX, STOCKS_MAX, Price, Stock, keep
from pipeline.core.catalogue.product import ALL_ORDERS, WINDOW, Product
from pipeline.core.effects import Output
from pipeline.core.identifiers import Registry
from pipeline.core.mail import (
    Announce,
    Answer,
    Ask,
    Bought,
    Credit,
    Dealt,
    Mail,
    Offer,
    Unwatch,
    ViewedBefore,
    Watch,
    Wished,
)
from pipeline.core.rows import Rows
from pipeline.core.timers import Timers, earlier
from pipeline.core.times import DAY
from pipeline.core.touchpoint import Id

WATCHERS: Final = 256
"""Anchors in one row of watchers."""
CHUNKS_MAX: Final = 200
"""Rows of watchers of one SKU; the oldest goes first."""
BOUGHT_MAX: Final = 20
"""Orders remembered for an identifier, to hear of what was viewed before them."""
ASKED_AGAIN: Final = DAY
LOOKED_AGAIN: Final = 7 * DAY
"""Lifts depend on orders of other SKUs, too: they are looked at again so often, for as long as something happens."""

Views = Callable[[Id], Iterable[tuple[str, int]]]
OrdersOf = Callable[[str], int | None]
"""How many orders hold an SKU, or there are (ALL_ORDERS); None: its home is in another process."""
_WAKE = struct.Struct(">q")
_json = orjson.dumps


class Catalogue:
    """`post` and `count` as of a shard. `views_of`: what was viewed with an identifier at home here: (SKU, time)."""

    def __init__(
        self,
        registry: Registry,
        post: Callable[[Mail], None],
        count: Callable[[str], None],
        views_of: Views,
        *,
        durable: bool,
    ) -> None:
        self._registry, self._post, self._count, self._views_of = registry, post, count, views_of
        self._zone = registry.policy.profile.timezone
        encode = msgspec.msgpack.Encoder().encode
        self.products: Rows[Product] = Rows(_encode, _decode, _key, durable=durable)
        self.watchers: Rows[list[Id]] = Rows(encode, msgspec.msgpack.Decoder(list[Id]).decode, _key, durable=durable)
        self.deals: Rows[Deal] = Rows(encode, msgspec.msgpack.Decoder(Deal).decode, registry.key, durable=durable)
        self.buyers: Rows[dict[str, tuple[int, int]]] = Rows(
            encode, msgspec.msgpack.Decoder(dict[str, tuple[int, int]]).decode, registry.key, durable=durable
        )
        self.timers = Timers()
        self._dirty: dict[Id, None] = {}
        self._prices: dict[Id, list[Price]] = {}
        self._stocks: dict[Id, list[Stock]] = {}
        self._deals: dict[Id, None] = {}
        self._orders = 0
        self.handlers: dict[type, Callable[..., None]] = {
            Announce: self._announce,
            Watch: self._watch,
            Unwatch: self._unwatch,
            Dealt: self._dealt,
            Bought: self._bought,
            ViewedBefore: self._viewed,
            Credit: self._credit,
            Wished: self._wished,
            Ask: self._ask,
            Answer: self._answer,
        }

    def orders(self, sku: str) -> int:
        """Orders that hold an SKU at home here."""
        product = self.products.get(Id(sku))
        return 0 if product is None else product.orders

    # -- prices and stocks -------------------------------------------------------------------------------------------

    def _announce(self, message: Announce) -> None:
        product = self._product(message.to)
        changed = False
        if message.price is not None and keep(product.prices, message.price, PRICES_MAX):
            self._prices.setdefault(message.to, []).append(message.price)
            changed = True
        if message.stock is not None:
            changed = products_of.newest_stock(product.stocks, message.store, message.stock)
            if not message.store and keep(product.stock, message.stock, STOCKS_MAX):
                self._stocks.setdefault(message.to, []).append(message.stock)
                changed = True
        if changed:
            self._mark(product)

    def _watch(self, message: Watch) -> None:
        sku = message.to
        product = self._product(sku)
        first, end = product.chunks
        newest = Id(f"{sku}\n{end - 1}")
        anchors = self.watchers.get(newest) if end > first else None
        if anchors is None or len(anchors) >= WATCHERS:
            newest, anchors = Id(f"{sku}\n{end}"), []
            product.chunks = (first, end + 1)
            self.products.put(sku, product)
            self._bound_watchers(product)
        if message.anchor not in anchors:
            anchors.append(message.anchor)
            self.watchers.put(newest, anchors)
        if product.prices or product.stock:
            self._post(Offer(message.anchor, sku, list(product.prices), list(product.stock)))

    def _unwatch(self, message: Unwatch) -> None:
        for number in range(*self._product(message.to).chunks):
            name = Id(f"{message.to}\n{number}")
            anchors = self.watchers.get(name) or []
            if message.anchor in anchors:
                anchors.remove(message.anchor)
                self.watchers.put(name, anchors)

    def _bound_watchers(self, product: Product) -> None:
        first, end = product.chunks
        if end - first > CHUNKS_MAX:
            self.watchers.drop(Id(f"{product.sku}\n{first}"))
            product.chunks = (first + 1, end)
            self._count("watchers_dropped")

    def watching(self, product: Product) -> dict[Id, None]:
        """The anchors that watch an SKU, oldest first."""
        rows = (self.watchers.get(Id(f"{product.sku}\n{number}")) for number in range(*product.chunks))
        return {anchor: None for row in rows if row is not None for anchor in row}

    # -- orders ------------------------------------------------------------------------------------------------------

    def _dealt(self, message: Dealt) -> None:
        deal = self._deal(message.to)
        if message.placed is not None:
            deal.place(message.placed)
        if message.updated is not None:
            deal.update(message.updated)
        if message.returned is not None:
            deal.take_back(*message.returned)
        deal.cancelled |= message.cancelled

    def _viewed(self, message: ViewedBefore) -> None:
        deal = self._deal(message.to)
        for sku, time in message.skus.items():
            deal.view(sku, time)

    def _deal(self, order: Id) -> Deal:
        """The row of an order, about to be changed."""
        deal = self.deals.get(order) or Deal()
        self.deals.put(order, deal)
        self._deals[order] = None
        return deal

    def _bought(self, message: Bought) -> None:
        orders = self.buyers.get(message.to) or {}
        first, last = orders.get(message.order, (message.time, message.time))
        orders[message.order] = span = min(first, message.time), max(last, message.time)
        if len(orders) > BOUGHT_MAX:
            del orders[min(orders, key=lambda one: (orders[one][1], one))]
        self.buyers.put(message.to, orders)
        self._tell(message.order, span, self._views_of(message.to))

    def viewed(self, anchor: Id, skus: Iterable[str], time: int) -> None:
        """SKUs were viewed with an identifier at home here: an order placed afterwards may have come before."""
        orders = self.buyers.get(anchor)
        if orders is not None:
            views = [(sku, time) for sku in skus]
            for order, span in orders.items():
                self._tell(order, span, views)

    def _tell(self, order: str, span: tuple[int, int], views: Iterable[tuple[str, int]]) -> None:
        """Tells an order what was viewed up to its time and not too long before."""
        oldest, newest = span[0] - self._registry.policy.profile.ropo_window, span[1]
        found: dict[str, int] = {}
        for sku, time in views:
            if oldest <= time <= newest:
                found[sku] = max(time, found.get(sku, 0))
        if found:
            self._post(ViewedBefore(Id(order), found))

    def forget(self, name: Id) -> None:
        """What is known of an identifier."""
        if self.buyers.get(name) is not None:
            self.buyers.drop(name)

    # -- what SKUs are told ------------------------------------------------------------------------------------------

    def _credit(self, message: Credit) -> None:
        product = self._product(message.to)
        product.orders += message.orders
        product.seen += message.seen
        for sku, by in message.together.items():
            product.together.add(sku, by)
        for sku, by in message.bought.items():
            product.bought.add(sku, by)
        for day, store, units in message.sold:
            products_of.count(product.sold, day, store, Decimal(units))
        self._mark(product)

    def _wished(self, message: Wished) -> None:
        product = self._product(message.to)
        products_of.count(product.wished, message.day, message.store, Decimal(message.by))
        self._mark(product)

    def _ask(self, message: Ask) -> None:
        self._post(Answer(Id(message.sku), message.to, self.orders(message.to)))

    def _answer(self, message: Answer) -> None:
        product = self._product(message.to)
        if product.told.get(message.sku) != message.orders:
            product.told[message.sku] = message.orders
            self._mark(product)

    def _product(self, sku: Id) -> Product:
        return self.products.get(sku) or Product(sku)

    def _mark(self, product: Product) -> None:
        self.products.put(Id(product.sku), product)
        self._dirty[Id(product.sku)] = None

    # -- the end of an epoch -----------------------------------------------------------------------------------------

    def report(self) -> None:
        """Tells watchers and SKUs what changed since the last call."""
        told, self._deals = self._deals, {}
        for order in told:
            self._settle_deal(order)
        if self._orders:
            self._post(Credit(ALL_ORDERS, self._orders))
            self._orders = 0
        prices, self._prices = self._prices, {}
        stocks, self._stocks = self._stocks, {}
        for sku in prices | stocks:
            for anchor in self.watching(self._product(sku)):
                self._post(Offer(anchor, sku, prices.get(sku, []), stocks.get(sku, [])))

    def _settle_deal(self, order: Id) -> None:
        deal = self._deal(order)
        del self._deals[order]
        share = deal.share(self._zone)
        if share == deal.told:
            return
        self._orders += bool(share.skus) - bool(deal.told.skus)
        for sku, part in difference(deal.told, share).items():
            sold = [(day, store, str(units)) for (day, store), units in part.sold.items()]
            self._post(Credit(Id(sku), part.orders, part.together, part.seen, part.bought, sold))
        deal.told = share

    def publish(self, now: int, out: Callable[[Output], None], orders_of: OrdersOf, *, last: bool = False) -> None:
        """Publishes the products that changed and are due. last: all of them are due now."""
        dirty, self._dirty = self._dirty, {}
        for sku in dirty:
            self._product(sku).changed = now
        looked_at = dict.fromkeys((*dirty, *self.timers.due(now), *(self._names() if last else ())))
        looked_at.pop(ALL_ORDERS, None)
        for sku in looked_at:
            product = self._product(sku)
            due = product.published + self._registry.policy.publish.min_interval
            if now < due and not last:
                product.due = due
            else:
                if not last:
                    self._ask_others(product, now, orders_of)
                self._document(product, now, out, orders_of)
            self.products.put(sku, product)
            self.timers.arm(sku, product.next)

    def review(self, now: int) -> None:
        """Every product is looked at again."""
        for sku in self._names():
            self.timers.arm(sku, now)

    def _document(self, product: Product, now: int, out: Callable[[Output], None], orders_of: OrdersOf) -> None:
        oldest = days.day(now, self._zone) - WINDOW + 1
        for counted in (product.wished, product.sold):
            products_of.forget_before(counted, oldest)
            for _ in range(products_of.bound(counted)):
                self._count("product_days_dropped")
        made = products_of.document(product, orders_of, self._registry.policy.profile.currency, oldest)
        value = None if made is None else _json(made)
        digest = 0 if value is None else xxhash.xxh3_64_intdigest(value)
        product.due, product.wake = 0, self._wake(product, now)
        if digest != product.digest:
            product.digest, product.published = digest, now
            product.revision += 1
            self._count("products")
            out(Output("products", product.sku, value, f"{product.sku}:{product.revision}", now))

    def _ask_others(self, product: Product, now: int, orders_of: OrdersOf) -> None:
        """Asks the homes in other processes how many orders hold the SKUs that the document names, where that is not
        known or was asked too long ago."""
        told = product.told
        elsewhere = [name for name in sorted(products_of.partners(product)) if orders_of(name) is None]
        old = now - product.asked >= ASKED_AGAIN
        for name in elsewhere:
            if old or name not in told:
                self._post(Ask(Id(name), product.sku))
        if elsewhere:
            product.asked = now if old else product.asked
            product.told = {name: told[name] for name in elsewhere if name in told}

    def _wake(self, product: Product, now: int) -> int:
        """When a day leaves the window or lifts are looked at again; 0: never. Each SKU has its own time of day."""
        leaving = products_of.oldest_day((product.wished, product.sold))
        rolls = looks = 0
        if leaving is not None:
            rolls = days.start(leaving + WINDOW, self._zone) + xxhash.xxh3_64_intdigest(product.sku.encode()) % DAY
        if (product.together.counts or product.bought.counts) and now < product.changed + WINDOW * DAY:
            looks = now + LOOKED_AGAIN
        return earlier(rolls, looks)

    def _names(self) -> Iterator[Id]:
        return (Id(key.decode()) for key in self.products.list_keys())

    # -- rows --------------------------------------------------------------------------------------------------------

    def kinds(self) -> tuple[tuple[bytes, Rows[Any]], ...]:
        return ((b"P", self.products), (b"W", self.watchers), (b"B", self.deals), (b"V", self.buyers))

    def load_product(self, key: bytes, row: bytes) -> None:
        (wake,) = _WAKE.unpack_from(row)
        self.timers.arm(Id(key.decode()), wake)
        self.products.load(key, row)


def heir(row: bytes) -> bytes | None:
    """A product's row in a fresh state: only what was published of it is known; None: nothing was."""
    old = _decode(row)
    return _encode(Product(old.sku, digest=old.digest, revision=old.revision)) if old.revision else None


def _key(name: Id) -> bytes:
    return name.encode()


_product_to_row = msgspec.msgpack.Encoder().encode
_product_of_row = msgspec.msgpack.Decoder(Product).decode


def _encode(product: Product) -> bytes:
    """A product's row begins with the time at which it is due."""
    return _WAKE.pack(product.next) + _product_to_row(product)


def _decode(row: bytes) -> Product:
    return _product_of_row(memoryview(row)[_WAKE.size :])
