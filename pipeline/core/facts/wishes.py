"""Wish list and shared lists. On the wish list each SKU is a register: its newest change says whether it is wished, and
at what price. What leaves the registers stays for a while, so that one can tell what was known at a time. Of a shared
list the newest snapshot is kept.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from pipeline.core.facts.bounded import count_dropped, drop_oldest, place
from pipeline.core.facts.lines import lines_of
from pipeline.core.fragment import Fragment, SharedList, Wish
from pipeline.core.identifiers import Registry
from pipeline.core.touchpoint import Touchpoint

_REPLACED_MAX: Final = 50


def fold_wish(fragment: Fragment, tp: Touchpoint, registry: Registry) -> None:
    """wishlist.item_added, wishlist.item_removed. Of an SKU named twice the last counts."""
    limit = registry.policy.bounds.wishlist
    added = tp.type == "wishlist.item_added"
    store = None if tp.data.store is None else tp.data.store.id
    lines = {line.sku: line for line in lines_of(fragment, tp.data.items, limit, "wishlist")}
    for sku, line in lines.items():
        _wish(fragment, Wish(tp.time, tp.id, tp.source, tp.received, sku, line if added else None, store))
    while len(fragment.wishes) > limit:
        sku = min(fragment.wishes, key=lambda sku: law(fragment.wishes[sku]))
        _replaced(fragment.wished, fragment.wishes.pop(sku))
        count_dropped(fragment, "wishlist")


def _wish(fragment: Fragment, wish: Wish) -> None:
    known = fragment.wishes.setdefault(wish.sku, wish)
    older, newer = sorted((known, wish), key=law)
    fragment.wishes[wish.sku] = newer
    if place(older) != place(newer):
        _replaced(fragment.wished, older)


def _replaced(wished: list[Wish], wish: Wish) -> None:
    where = bisect_left(wished, _place(wish), key=_place)
    if where < len(wished) and _place(wished[where]) == _place(wish):
        if wish.received < wished[where].received:
            wished[where] = wish
        return
    wished.insert(where, wish)
    if len(wished) > _REPLACED_MAX:
        del wished[0]


def _place(wish: Wish) -> tuple[int, str, str, str]:
    return *place(wish), wish.sku


def fold_list(fragment: Fragment, tp: Touchpoint, registry: Registry) -> None:
    """list.shared"""
    ref, store, bounds = tp.data.shared_list, tp.data.store, registry.policy.bounds
    if ref is None or not ref.id:
        return
    known = fragment.lists.get(ref.id)
    lines = lines_of(fragment, tp.data.items, bounds.lines_per_cart)
    made = SharedList(tp.time, tp.id, tp.source, tp.received, lines, ref.name, None if store is None else store.id)
    if known is None or law(made) > law(known):
        fragment.lists[ref.id] = made
        drop_oldest(fragment, "lists", fragment.lists, bounds.lists, lambda kept: kept.time)


def law(fact: Wish | SharedList) -> tuple[int, str, str, int]:
    """The greatest holds; of one event that came twice the one received first."""
    return *place(fact), -fact.received
