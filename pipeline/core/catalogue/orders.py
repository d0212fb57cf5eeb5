"""Orders at home at one shard: what each contributes to SKUs, and what had been viewed before it.

An order's home knows what the order contributes, and tells SKUs the difference once per epoch: so no repeat, late
update or cancellation is counted wrong. Who viewed something is known at the home of each identifier that the order
names. Both are kept for as long as the time of a touchpoint may lie back.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from pipeline.core.catalogue.deal import Deal, difference
from pipeline.core.catalogue.product import ALL_ORDERS
from pipeline.core.identifiers import Registry
from pipeline.core.mail import Bought, Credit, Dealt, Mail, ViewedBefore
from pipeline.core.rows import Rows
from pipeline.core.touchpoint import Id

BOUGHT_MAX: Final = 20
"""Orders remembered for an identifier, to hear of what was viewed before them."""

Views = Callable[[Id], Iterable[tuple[str, int]]]
Spans = dict[str, tuple[int, int]]
"""Order -> its oldest and its newest time."""
_TIME = struct.Struct(">q")
_to_row = msgspec.msgpack.Encoder().encode
_spans_of = msgspec.msgpack.Decoder(Spans).decode
_deal_of = msgspec.msgpack.Decoder(Deal).decode


class Orders:
    """`post` as of a shard. `views_of`: what was viewed with an identifier at home here: (SKU, time)."""

    def __init__(self, registry: Registry, post: Callable[[Mail], None], views_of: Views, *, durable: bool) -> None:
        self._post, self._views_of = post, views_of
        self._zone, self._window = registry.policy.profile.timezone, registry.policy.profile.ropo_window
        self._kept = registry.policy.identity.clamp_past
        self.deals: Rows[Deal] = Rows(_deal_to_row, _deal_of_row, registry.key, durable=durable)
        self.buyers: Rows[Spans] = Rows(_spans_to_row, _spans_of_row, registry.key, durable=durable)
        self.changed: dict[Id, None] = {}
        """Orders of which SKUs are to be told."""
        self._count = 0
        self.handlers: dict[type, Callable[..., None]] = {
            Dealt: self._dealt,
            Bought: self._bought,
            ViewedBefore: self._viewed,
        }

    def _dealt(self, message: Dealt) -> None:
        deal = self._deal(message.to)
        if message.placed is not None:
            deal.place(message.placed)
        if message.updated is not None:
            deal.update(message.updated)
        if message.returned is not None:
            deal.take_back(*message.returned)
        deal.cancelled |= message.cancelled
        deal.newest = max(deal.newest, message.time)

    def _viewed(self, message: ViewedBefore) -> None:
        deal = self._deal(message.to)
        for sku, time in message.skus.items():
            deal.view(sku, time)

    def _deal(self, order: Id) -> Deal:
        """The row of an order, about to be changed."""
        deal = self.deals.get(order) or Deal()
        self.deals.put(order, deal)
        self.changed[order] = None
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
        oldest, newest = span[0] - self._window, span[1]
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

    def expire(self, now: int) -> None:
        """Drops what no touchpoint can be about any more."""
        for rows in (self.deals, self.buyers):
            rows.drop_cold(lambda row: _TIME.unpack_from(row)[0] < now - self._kept)

    def report(self) -> None:
        """Tells SKUs what changed since the last call."""
        told, self.changed = self.changed, {}
        for order in told:
            self._settle(order)
        if self._count:
            self._post(Credit(ALL_ORDERS, self._count))
            self._count = 0

    def _settle(self, order: Id) -> None:
        deal = self._deal(order)
        del self.changed[order]
        share = deal.share(self._zone)
        if share == deal.told:
            return
        self._count += bool(share.skus) - bool(deal.told.skus)
        for sku, part in difference(deal.told, share).items():
            sold = [(day, store, str(units)) for (day, store), units in part.sold.items()]
            self._post(Credit(Id(sku), part.orders, part.together, part.seen, part.bought, sold))
        deal.told = share


def _deal_to_row(deal: Deal) -> bytes:
    """A row begins with the newest time in it."""
    return _TIME.pack(deal.newest) + _to_row(deal)


def _deal_of_row(row: bytes) -> Deal:
    return _deal_of(memoryview(row)[_TIME.size :])


def _spans_to_row(spans: Spans) -> bytes:
    return _TIME.pack(max(newest for _, newest in spans.values())) + _to_row(spans)


def _spans_of_row(row: bytes) -> Spans:
    return _spans_of(memoryview(row)[_TIME.size :])
