"""The rows of SKUs at home at one shard, and the documents published of them.

A document is published where it changed, at most once per `min_interval`. It changes without a fact of its own when a
day leaves the window: each SKU is looked at then, at a time of its own; and when orders of other SKUs move a lift: then
all are looked at in turn, LOOKED_AT a second. A clock of records may stand still for good: there all are looked at, and
all that waits goes out, as soon as an epoch brings nothing new. How many orders hold another SKU is known in `totals`;
while that is asked for, a document that was published stays as it is, for at most TOLD_AGAIN: a price must not wait for
a worker that is down. Then it goes out without that lift.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from decimal import Decimal
from enum import Enum
from typing import Final

import msgspec
import orjson
import xxhash

from pipeline.core import days
from pipeline.core.catalogue import product as products_of
from pipeline.core.catalogue.product import ALL_ORDERS, WINDOW, Product
from pipeline.core.catalogue.totals import TOLD_AGAIN, OrdersOf, Totals
from pipeline.core.effects import Output
from pipeline.core.identifiers import Registry
from pipeline.core.mail import Answer, Ask, Credit, Mail, Wished
from pipeline.core.rows import Rows
from pipeline.core.timers import Timers, earlier
from pipeline.core.times import DAY, MINUTE, SECOND
from pipeline.core.touchpoint import Id

LOOKED_AT: Final = 5
"""SKUs in a second."""
_WAKE = struct.Struct(">q")


class Pace(Enum):
    """steady: the clock goes on by itself, all are looked at in turn. busy, rest: it is one of records, which may stand
    still; they are looked at when it rests."""

    STEADY = 0
    BUSY = 1
    REST = 2


_json = orjson.dumps


class Products:
    """`post` and `count` as of a shard. news: orders of some SKU changed, or became known here, since
    this was asked."""

    def __init__(
        self, registry: Registry, post: Callable[[Mail], None], count: Callable[[str], None], *, durable: bool
    ) -> None:
        self._registry, self._post, self._count = registry, post, count
        self._zone = registry.policy.profile.timezone
        self.rows: Rows[Product] = Rows(_encode, _decode, lambda sku: sku.encode(), durable=durable)
        self.totals = Totals(registry, post, durable=durable)
        self.timers = Timers()
        self.news = False
        self._moved = True
        """Lifts may be others than when all were looked at, or something waits for a clock that may stand still."""
        self._left: list[Id] = []
        """SKUs that are still to be looked at in this turn."""
        self._turn = 0
        """When the next ones are; 0: nothing was published yet."""
        self._dirty: dict[Id, None] = {}
        self._asking: dict[str, int] = {}
        """SKUs whose documents wait for orders of others, and since when."""
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
        self.news |= message.orders != 0
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
        self.news |= self.totals.take(message)
        if message.asked:
            self.mark(self.product(message.to))

    # -- the end of an epoch -----------------------------------------------------------------------------------------

    def review_lifts(self) -> None:
        """Orders of some SKU changed, in whichever shard: all are to be looked at."""
        self.news, self._moved = False, True

    @property
    def changed(self) -> bool:
        """Whether something was learned of a product since they were published."""
        return bool(self._dirty)

    @property
    def next(self) -> int:
        """The next time at which there is something to do; 0: there is nothing."""
        return earlier(self.timers.next(), self._turn if self._moved or self._left else 0)

    def publish(
        self, now: int, out: Callable[[Output], None], orders_of: OrdersOf, pace: Pace, *, last: bool = False
    ) -> None:
        """Publishes the products that changed and are due. last: all of them are due now, and nobody is asked or told
        any more."""
        dirty, self._dirty = self._dirty, {}
        at_once = last or (pace is Pace.REST and self._moved)
        turn = self._names() if at_once else self._in_turn(now) if pace is Pace.STEADY else ()
        if at_once:
            self._moved = False
        self._turn = self._turn or now if pace is Pace.STEADY else now
        for sku in dict.fromkeys((*dirty, *self.timers.due(now), *turn)):
            product = self.product(sku)
            before = (product.due, product.wake, product.digest, product.turn)
            due = product.published + self._registry.policy.publish.min_interval
            if sku != ALL_ORDERS and now < due and not at_once:
                product.due = due
                self._moved |= pace is not Pace.STEADY
            else:
                self._look(product, now, out, orders_of, at_once=at_once, last=last)
            if (product.due, product.wake, product.digest, product.turn) != before:
                self.rows.put(sku, product)
            self.timers.arm(sku, product.next)

    def _in_turn(self, now: int) -> list[Id]:
        """Some of those to be looked at."""
        if now < self._turn or not (self._moved or self._left):
            return []
        if not self._left:
            self._left, self._moved = list(self._names()), False
        some, self._left = self._left[:LOOKED_AT], self._left[LOOKED_AT:]
        self._turn = now + SECOND
        return some

    def _look(
        self,
        product: Product,
        now: int,
        out: Callable[[Output], None],
        orders_of: OrdersOf,
        *,
        at_once: bool,
        last: bool,
    ) -> None:
        totals, wake, waits_until = self.totals, 0, 0
        if not last:
            wake = totals.tell(product, now, at_once=at_once)
            waits_until = self._waits_until(product, now, asked=totals.ask(product, orders_of))
        if product.sku != ALL_ORDERS and now >= waits_until:
            self._document(product, now, out, lambda sku: totals.known(sku, orders_of))
            wake = earlier(wake, self._wake(product))
        product.due, product.wake = 0, earlier(wake, waits_until if waits_until > now else 0)

    def _waits_until(self, product: Product, now: int, *, asked: bool) -> int:
        """Until when a published document waits for what was asked; 0: it does not."""
        if not asked:
            self._asking.pop(product.sku, None)
            return 0
        return self._asking.setdefault(product.sku, now) + TOLD_AGAIN if product.digest else 0

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

    def _wake(self, product: Product) -> int:
        """When a day leaves the window; 0: never. Each SKU has its own minute of a day."""
        leaving = products_of.oldest_day((product.wished, product.sold))
        if leaving is None:
            return 0
        own = xxhash.xxh3_64_intdigest(product.sku.encode()) % (DAY // MINUTE) * MINUTE
        return days.start(leaving + WINDOW, self._zone) + own

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
