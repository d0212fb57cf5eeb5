"""wishlist: what is wished, the oldest wish first. lists: those shared with a store, the last changed last."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from pipeline.core.blocks.horizon import written
from pipeline.core.facts.wishes import law
from pipeline.core.fragment import Fragment, Line, SharedList, Wish
from pipeline.core.money import ZERO, number, plus, published
from pipeline.core.policy import Policy
from pipeline.core.wishes import wishes_of


def wishlist(fragments: Iterable[Fragment], policy: Policy) -> list[dict[str, Any]] | None:
    """The newest `bounds.wishlist`."""
    wishes = wishes_of(fragments, None)[-policy.bounds.wishlist :]
    return [_wish(wish, policy.profile.currency) for wish in wishes] or None


def _wish(wish: Wish, main_currency: str) -> dict[str, Any]:
    line = wish.line
    assert line is not None
    currency = line.currency or main_currency
    price = None if line.price is None else published(Decimal(line.price), currency)
    return {
        "sku": wish.sku,
        "name": line.name,
        "added_at": written(wish.time),
        "price": price,
        "currency": None if price is None else currency,
    }


def lists(fragments: Iterable[Fragment], policy: Policy) -> list[dict[str, Any]] | None:
    """The newest `bounds.lists`."""
    newest: dict[str, SharedList] = {}
    for fragment in fragments:
        for id, shared in fragment.lists.items():
            if id not in newest or law(shared) > law(newest[id]):
                newest[id] = shared
    ids = sorted(newest, key=lambda id: (newest[id].time, id))[-policy.bounds.lists :]
    return [_list(id, newest[id]) for id in ids] or None


def _list(id: str, shared: SharedList) -> dict[str, Any]:
    return {
        "list_id": id,
        "items": [{"sku": sku, "quantity": number(quantity)} for sku, quantity in _quantities(shared.lines)],
        "updated_at": written(shared.time),
        "store": shared.store,
    }


def _quantities(lines: Iterable[Line]) -> list[tuple[str, Decimal]]:
    """The same SKU on several lines counts together."""
    found: dict[str, Decimal] = {}
    for line in lines:
        found[line.sku] = plus(found.get(line.sku, ZERO), Decimal(line.quantity))
    return [(sku, quantity) for sku, quantity in found.items() if quantity > 0]
