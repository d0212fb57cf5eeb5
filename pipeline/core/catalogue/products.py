"""The rows of SKUs at home at one shard, and the documents published of them.

A document is published where it changed, at most once per `min_interval`. It changes without a fact of its own when a
day leaves the window, and when orders of other SKUs move a lift: so each SKU is looked at once a day, at a time of its
own. How many orders hold another SKU is known in `totals`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from decimal import Decimal

import msgspec
import orjson
import xxhash

from pipeline.core import days
from pipeline.core.catalogue import product as products_of
from pipeline.core.catalogue.product import ALL_ORDERS, WINDOW, Product
from pipeline.core.catalogue.totals import OrdersOf, Totals
from pipeline.core.effects import Output
from pipeline.core.identifiers import Registry
from pipeline.core.mail import Answer, Ask, Credit, Mail, Wished
from pipeline.core.rows import Rows
from pipeline.core.timers import Timers, earlier
from pipeline.core.times import DAY, MINUTE
from pipeline.core.touchpoint import Id

_WAKE = struct.Struct(">q")
_json = orjson.dumps


class Products:
    """`post` and `count` as of a shard."""

    def __init__(
        self, registry: Registry, post: Callable[[Mail], None], count: Callable[[str], None], *, durable: bool
    ) -> None:
        self._registry, self._post, self._count = registry, post, count
        self._zone = registry.policy.profile.timezone
        self.rows: Rows[Product] = Rows(_encode, _decode, lambda sku: sku.encode(), durable=durable)
        self.totals = Totals(registry, post, durable=durable)
        self.timers = Timers()
        self._dirty: dict[Id, None] = {}
        self.handlers: dict[type, Callable[..., None]] = {
            Credit: self._credit,
            Wished: self._wished,
            Ask: self._ask,
            Answer: self._answer,
        }

    def orders(self, sku: str) -> int:
        """Orders that hold an SKU at home here."""
        product = self.rows.get(Id(sku))
        return 0 if product is None else product.orders

    def product(self, sku: Id) -> Product:
        """The row of an SKU; a new one is not stored before it is marked."""
        return self.rows.get(sku) or Product(sku)

    def mark(self, product: Product) -> None:
        """Something was learned of it."""
        self.rows.put(Id(product.sku), product)
        self._dirty[Id(product.sku)] = None

    # -- what SKUs are told ------------------------------------------------------------------------------------------

    def _credit(self, message: Credit) -> None:
        product = self.product(message.to)
        product.orders += message.orders
        product.seen += message.seen
        for sku, by in message.together.items():
            product.together.add(sku, by)
        for sku, by in message.bought.items():
            product.bought.add(sku, by)
        for day, store, units in message.sold:
            products_of.count(product.sold, day, store, Decimal(units))
        self.mark(product)

    def _wished(self, message: Wished) -> None:
        product = self.product(message.to)
        products_of.count(product.wished, message.day, message.store, Decimal(message.by))
        self.mark(product)

    def _ask(self, message: Ask) -> None:
        product = self.product(message.to)
        self.totals.listen(product, message.sku)
        self.rows.put(message.to, product)

    def _answer(self, message: Answer) -> None:
        self.totals.take(message)
        if message.asked:
            self.mark(self.product(message.to))

    # -- the end of an epoch -----------------------------------------------------------------------------------------

    def publish(self, now: int, out: Callable[[Output], None], orders_of: OrdersOf, *, last: bool = False) -> None:
        """Publishes the products that changed and are due. last: all of them are due now, and nobody is asked or told
        any more."""
        dirty, self._dirty = self._dirty, {}
        for sku in dict.fromkeys((*dirty, *self.timers.due(now), *(self._names() if last else ()))):
            product = self.product(sku)
            due = product.published + self._registry.policy.publish.min_interval
            if sku != ALL_ORDERS and now < due and not last:
                product.due = due
            else:
                self._look(product, now, out, orders_of, last=last)
            self.rows.put(sku, product)
            self.timers.arm(sku, product.next)

    def _look(
        self, product: Product, now: int, out: Callable[[Output], None], orders_of: OrdersOf, *, last: bool
    ) -> None:
        totals, wake = self.totals, 0
        if not last:
            wake = totals.tell(product, now)
            totals.ask(product, orders_of)
        if product.sku != ALL_ORDERS:
            self._document(product, now, out, lambda sku: totals.known(sku, orders_of))
            wake = earlier(wake, self._wake(product, now))
        product.due, product.wake = 0, wake

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
        if digest != product.digest:
            product.digest, product.published = digest, now
            product.revision += 1
            self._count("products")
            out(Output("products", product.sku, value, f"{product.sku}:{product.revision}", now))

    def _wake(self, product: Product, now: int) -> int:
        """When a day leaves the window or lifts are looked at again; 0: never. Each SKU has its own minute of a day."""
        own = xxhash.xxh3_64_intdigest(product.sku.encode()) % (DAY // MINUTE) * MINUTE
        leaving = products_of.oldest_day((product.wished, product.sold))
        rolls = looks = 0
        if leaving is not None:
            rolls = days.start(leaving + WINDOW, self._zone) + own
        if product.together.counts or product.bought.counts:
            looks = now - (now - own) % DAY + DAY
        return earlier(rolls, looks)

    def _names(self) -> Iterator[Id]:
        return (Id(key.decode()) for key in self.rows.list_keys())

    def load(self, key: bytes, row: bytes) -> None:
        (wake,) = _WAKE.unpack_from(row)
        self.timers.arm(Id(key.decode()), wake)
        self.rows.load(key, row)


def heir(row: bytes) -> bytes | None:
    """A product's row in a fresh state: only what was published of it is known; None: nothing was."""
    old = _decode(row)
    return _encode(Product(old.sku, digest=old.digest, revision=old.revision)) if old.revision else None


_product_to_row = msgspec.msgpack.Encoder().encode
_product_of_row = msgspec.msgpack.Decoder(Product).decode


def _encode(product: Product) -> bytes:
    """A product's row begins with the time at which it is due."""
    return _WAKE.pack(product.next) + _product_to_row(product)


def _decode(row: bytes) -> Product:
    return _product_of_row(memoryview(row)[_WAKE.size :])
