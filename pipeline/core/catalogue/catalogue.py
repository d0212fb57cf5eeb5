"""The catalogue of one shard: SKUs and orders at home here, by messages. See products, watching and orders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipeline.core.catalogue.orders import Orders, Views
from pipeline.core.catalogue.products import Products
from pipeline.core.catalogue.watching import Watching
from pipeline.core.identifiers import Registry
from pipeline.core.mail import Mail
from pipeline.core.rows import Rows


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
        self.products = Products(registry, post, count, durable=durable)
        self.orders = Orders(registry, post, views_of, durable=durable)
        self._watching = Watching(registry, self.products, post, count, durable=durable)
        self.handlers = self.products.handlers | self.orders.handlers | self._watching.handlers

    def report(self) -> None:
        """Tells watchers and SKUs what changed since the last call."""
        if self.orders.changed:
            self.orders.report()
        if self._watching.changed:
            self._watching.report()

    def kinds(self) -> tuple[tuple[bytes, Rows[Any]], ...]:
        return (
            (b"P", self.products.rows),
            (b"W", self._watching.watchers),
            (b"B", self.orders.deals),
            (b"V", self.orders.buyers),
            (b"T", self.products.totals.rows),
        )
