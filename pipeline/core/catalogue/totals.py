"""How many orders hold other SKUs: what one shard knows of SKUs at home elsewhere, and tells of its own.

The home of an SKU is asked once; from then on it tells the shards that asked whenever the number changed, at most once
per TOLD_AGAIN. So whoever asked for whatever SKU of a shard, each number is told to it once. An SKU at home in this
process needs neither; what was told of it stays true, as its home goes on telling.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from pipeline.core.catalogue.product import Product, partners
from pipeline.core.identifiers import Registry
from pipeline.core.mail import Answer, Ask, Mail
from pipeline.core.rows import Rows
from pipeline.core.times import MINUTE
from pipeline.core.touchpoint import Id

TOLD_AGAIN: Final = MINUTE

OrdersOf = Callable[[str], int | None]
"""How many orders hold an SKU, or there are (ALL_ORDERS); None: its home is in another process."""


class Total(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """Orders that hold an SKU, as told. turn: the larger one is newer."""

    turn: int
    orders: int


class Totals:
    """`post` as of a shard."""

    def __init__(self, registry: Registry, post: Callable[[Mail], None], *, durable: bool) -> None:
        self._home, self._post = registry.home, post
        encode, decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(Total).decode
        self.rows: Rows[Total] = Rows(encode, decode, lambda sku: sku.encode(), durable=durable)

    def known(self, sku: str, orders_of: OrdersOf) -> int | None:
        """How many orders hold an SKU; None: that is asked for."""
        here = orders_of(sku)
        if here is not None:
            return here
        total = self.rows.get(Id(sku))
        return None if total is None else total.orders

    # -- of other SKUs -----------------------------------------------------------------------------------------------

    def ask(self, product: Product, orders_of: OrdersOf) -> bool:
        """Asks for those that the document of a product needs and are not known; whether there are any."""
        unknown = [sku for sku in sorted(partners(product)) if self.known(sku, orders_of) is None]
        for sku in unknown:
            self._post(Ask(Id(sku), product.sku))
        return bool(unknown)

    def take(self, message: Answer) -> bool:
        """What a home told, unless something newer is known; whether it says anything new."""
        sku, total = Id(message.sku), self.rows.get(Id(message.sku))
        if total is not None and message.turn <= total.turn:
            return False
        self.rows.put(sku, Total(message.turn, message.orders))
        return total is None or message.orders != total.orders

    # -- of an SKU at home here --------------------------------------------------------------------------------------

    def listen(self, product: Product, asks: str) -> None:
        """Answers, and remembers one SKU of each shard that asked."""
        shard = self._home(Id(asks))
        listener = next((one for one in product.told if self._home(Id(one)) == shard), asks)
        self._say(product, listener, asks, asked=True)

    def tell(self, product: Product, now: int, *, at_once: bool) -> int:
        """Tells who listens, if it is time; when it will be, 0: there is nothing to tell."""
        news = [listener for listener, told in product.told.items() if told != product.orders]
        if news and now < product.said + TOLD_AGAIN and not at_once:
            return product.said + TOLD_AGAIN
        for listener in news:
            self._say(product, listener, listener, asked=False)
            product.said = now
        return 0

    def _say(self, product: Product, listener: str, to: str, *, asked: bool) -> None:
        product.turn += 1
        product.told[listener] = product.orders
        self._post(Answer(Id(to), product.sku, product.orders, product.turn, asked))
