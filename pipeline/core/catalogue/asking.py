"""What the fragments of a shard ask of the catalogue and tell it, by what was just folded into them.

An SKU that is new to a fragment is watched; an order goes to its home, and to each identifier that it was placed with,
for what was viewed before; of a wish the SKU is told the difference to what it was told before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from pipeline.core.catalogue.catalogue import Catalogue
from pipeline.core.catalogue.said import dealt
from pipeline.core.days import day
from pipeline.core.events import BASKET, CART, ORDER, VIEW
from pipeline.core.facts.lines import skus_of
from pipeline.core.fragment import Fragment
from pipeline.core.identifiers import Registry
from pipeline.core.mail import Bought, Mail, Unwatch, Watch, Wished
from pipeline.core.touchpoint import Id, Touchpoint

_COUNTED_MAX: Final = 400
"""Wishes of a fragment that are remembered as counted; the oldest have left the window when they go."""


Act = Callable[[Fragment, Touchpoint], None]


class Asking:
    """`acts`: what to do after a touchpoint of a type was folded. `asked` counts the SKUs asked for."""

    def __init__(self, registry: Registry, post: Callable[[Mail], None], catalogue: Catalogue) -> None:
        self._registry, self._post, self._catalogue = registry, post, catalogue
        self._zone, self._lines_max = registry.policy.profile.timezone, registry.policy.bounds.lines_per_cart
        self.asked = 0
        watched = (CART - {"cart.item_removed"}) | BASKET | {"stock.subscribed"}
        self.acts: dict[str, Act] = {
            **dict.fromkeys(watched, self._watch),
            **dict.fromkeys(ORDER, self._order),
            "wishlist.item_added": self._wish,
            "wishlist.item_removed": self._wish,
            VIEW: self._view,
        }

    def _watch(self, fragment: Fragment, tp: Touchpoint) -> None:
        for sku in skus_of(tp.data.items, self._lines_max):
            offered = fragment.offers.get(sku)
            if offered is not None and not offered.asked:
                offered.asked = True
                self.asked += 1
                self._post(Watch(Id(sku), fragment.id))

    def _wish(self, fragment: Fragment, tp: Touchpoint) -> None:
        self._watch(fragment, tp)
        counted = fragment.counted
        for sku in skus_of(tp.data.items, self._lines_max):
            wish, before = fragment.wishes.get(sku), counted.get(sku)
            after = None
            if wish is not None and wish.line is not None:
                after = day(wish.time, self._zone), wish.store or ""
            if before == after:
                continue
            if before is not None:
                self._post(Wished(Id(sku), *before, -1))
                del counted[sku]
            if after is not None:
                self._post(Wished(Id(sku), *after, 1))
                counted[sku] = after
        while len(counted) > _COUNTED_MAX:
            del counted[min(counted, key=lambda sku: (counted[sku], sku))]

    def forget(self, fragment: Fragment, called: Id) -> None:
        """Takes back what was asked and told for a fragment, which is about to be emptied. called: its anchor, or the
        mask of one that is not to be named any more."""
        for sku in fragment.offers:
            self._post(Unwatch(Id(sku), called))
        for sku, counted in fragment.counted.items():
            self._post(Wished(Id(sku), *counted, -1))

    def _order(self, _: Fragment, tp: Touchpoint) -> None:
        message = dealt(tp, self._lines_max)
        if message is None:
            return
        self._post(message)
        if message.placed is not None:
            for name in tp.ids:
                self._post(Bought(name, message.to, tp.time))

    def _view(self, fragment: Fragment, tp: Touchpoint) -> None:
        self._catalogue.orders.viewed(fragment.id, skus_of(tp.data.items, self._lines_max), tp.time)


def views_of(fragment: Fragment | None) -> Iterator[tuple[str, int]]:
    """The SKUs viewed, with times."""
    for view in fragment.views if fragment is not None else ():
        for line in view.lines:
            yield line.sku, view.time
