"""Who watches an SKU at home at one shard: anchors whose fragments hold it. They are told of prices and stocks.

Anchors stand in rows of WATCHERS, so that a new one costs no more than that. Beyond CHUNKS_MAX rows of an SKU those
that came first hear of it no more; that is counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from pipeline.core.catalogue import product as products_of
from pipeline.core.catalogue.facts import PRICES_MAX, STOCKS_MAX, Price, Stock, keep
from pipeline.core.catalogue.product import Product
from pipeline.core.catalogue.products import Products
from pipeline.core.identifiers import Registry, is_mask
from pipeline.core.mail import Announce, Mail, Offer, Unwatch, Watch
from pipeline.core.rows import Rows
from pipeline.core.touchpoint import Id

WATCHERS: Final = 256
"""Anchors in one row."""
CHUNKS_MAX: Final = 200


class Watching:
    """`post` and `count` as of a shard."""

    def __init__(
        self,
        registry: Registry,
        products: Products,
        post: Callable[[Mail], None],
        count: Callable[[str], None],
        *,
        durable: bool,
    ) -> None:
        self._registry, self._products, self._post, self._count = registry, products, post, count
        encode, decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(list[Id]).decode
        self.watchers: Rows[list[Id]] = Rows(encode, decode, lambda name: name.encode(), durable=durable)
        self.changed: dict[Id, tuple[list[Price], list[Stock]]] = {}
        """What watchers of an SKU are to be told."""
        self.handlers: dict[type, Callable[..., None]] = {
            Announce: self._announce,
            Watch: self._watch,
            Unwatch: self._unwatch,
        }

    def _announce(self, message: Announce) -> None:
        product = self._products.product(message.to)
        changed = False
        if message.price is not None and keep(product.prices, message.price, PRICES_MAX):
            self._told(message.to)[0].append(message.price)
            changed = True
        if message.stock is not None:
            changed = products_of.newest_stock(product.stocks, message.store, message.stock)
            if not message.store and keep(product.stock, message.stock, STOCKS_MAX):
                self._told(message.to)[1].append(message.stock)
                changed = True
        if changed:
            self._products.mark(product)

    def _told(self, sku: Id) -> tuple[list[Price], list[Stock]]:
        return self.changed.setdefault(sku, ([], []))

    def _watch(self, message: Watch) -> None:
        sku = message.to
        product = self._products.product(sku)
        first, end = product.chunks
        newest = Id(f"{sku}\n{end - 1}")
        anchors = self.watchers.get(newest) if end > first else None
        if anchors is None or len(anchors) >= WATCHERS:
            newest, anchors = Id(f"{sku}\n{end}"), []
            product.chunks = (first, end + 1)
            self._products.rows.put(sku, product)
            self._bound_watchers(product)
        if message.anchor not in anchors:
            anchors.append(message.anchor)
            self.watchers.put(newest, anchors)
        if product.prices or product.stock:
            self._post(Offer(message.anchor, sku, list(product.prices), list(product.stock)))

    def _unwatch(self, message: Unwatch) -> None:
        gone, masked = message.anchor, self._registry.masked
        for number in range(*self._products.product(message.to).chunks):
            name = Id(f"{message.to}\n{number}")
            anchors = self.watchers.get(name) or []
            left = [one for one in anchors if (masked(one) if is_mask(gone) else one) != gone]
            if len(left) < len(anchors):
                self.watchers.put(name, left)

    def _bound_watchers(self, product: Product) -> None:
        first, end = product.chunks
        if end - first > CHUNKS_MAX:
            self.watchers.drop(Id(f"{product.sku}\n{first}"))
            product.chunks = (first + 1, end)
            self._count("watchers_dropped")

    def _anchors(self, product: Product) -> dict[Id, None]:
        """The anchors that watch an SKU, oldest first."""
        rows = (self.watchers.get(Id(f"{product.sku}\n{number}")) for number in range(*product.chunks))
        return {anchor: None for row in rows if row is not None for anchor in row}

    def report(self) -> None:
        """Tells watchers what changed since the last call."""
        changed, self.changed = self.changed, {}
        for sku, (prices, stocks) in changed.items():
            for anchor in self._anchors(self._products.product(sku)):
                self._post(Offer(anchor, sku, prices, stocks))
