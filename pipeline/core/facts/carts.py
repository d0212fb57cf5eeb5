"""Changes of carts and store baskets. A fragment keeps changes, not lines: a person's cart is folded from all of them.

Key of a cart: the shop's cart id, else the checkout id, else implicit: one per source and cookie, else device, else
session, else strongest identifier. A change is known by (source, event id) for as long as it is kept; of two that
differ the one received first counts.
"""

from __future__ import annotations

from bisect import insort
from typing import Final

from pipeline.core.facts.bounded import count_dropped, drop_oldest
from pipeline.core.facts.devices import kind_of_device
from pipeline.core.facts.lines import lines_of
from pipeline.core.fragment import Cart, Change, Fragment
from pipeline.core.identifiers import Registry
from pipeline.core.money import plain
from pipeline.core.touchpoint import CartRef, Id, Touchpoint

_KINDS: Final = {
    "cart.item_added": "add",
    "cart.item_removed": "remove",
    "cart.snapshot": "set",
    "checkout.started": "checkout",
    "checkout.step": "checkout",
    "store.item_scanned": "add",
    "store.basket_saved": "set",
}
_STAGES: Final = {
    "checkout.started": "checkout",
    "checkout.step": "checkout",
    "store.item_scanned": "store_basket",
    "store.basket_saved": "store_basket",
}
_NO_CART: Final = CartRef()


def fold_cart(fragment: Fragment, tp: Touchpoint, registry: Registry) -> None:
    _fold(fragment, fragment.carts, tp, registry)


def fold_basket(fragment: Fragment, tp: Touchpoint, registry: Registry) -> None:
    """store.item_scanned, store.basket_saved: what is carried through a store."""
    _fold(fragment, fragment.baskets, tp, registry)


def _fold(fragment: Fragment, carts: dict[str, Cart], tp: Touchpoint, registry: Registry) -> None:
    bounds = registry.policy.bounds
    change = _change(fragment, tp, registry)
    if change is None:
        return
    cart = _cart(carts, tp, registry)
    if not _insert(cart.changes, change):
        return
    if len(cart.changes) > bounds.changes_per_cart:
        del cart.changes[0]
        count_dropped(fragment, "changes_per_cart")
    if len(carts) > bounds.carts:
        drop_oldest(fragment, "carts", carts, bounds.carts, _newest_change)


def _change(fragment: Fragment, tp: Touchpoint, registry: Registry) -> Change | None:
    """The change; None where items were named but none that can be known again, or a delta has none."""
    data = tp.data
    items, store = data.items, data.store
    kind, stage = _KINDS[tp.type], _STAGES.get(tp.type, "cart")
    lines = lines_of(fragment, items, registry.policy.bounds.lines_per_cart) if items else []
    if lines and stage == "checkout":
        kind = "set"
    elif not lines and (kind in ("add", "remove") or (items and kind == "set")):
        return None
    ref = data.cart or _NO_CART
    value = ref.value
    return Change(
        tp.time,
        tp.id,
        tp.source,
        tp.received,
        kind,
        tp.channel,
        lines,
        stage,
        ref.checkout_id,
        ref.recovery_url,
        ref.currency,
        None if value is None else plain(value),
        kind_of_device(data.device),
        transient_of(tp, registry) if ref.id or ref.checkout_id else None,
        None if store is None else store.id,
    )


def _cart(carts: dict[str, Cart], tp: Touchpoint, registry: Registry) -> Cart:
    ref = tp.data.cart
    cart_id = (ref.id or ref.checkout_id) if ref is not None else None
    transient = None if cart_id else transient_of(tp, registry)
    key = cart_id or f"~{tp.source}\n{transient}"
    cart = carts.get(key)
    if cart is None:
        cart = carts[key] = Cart(cart_id, transient, tp.source, [])
    elif cart_id and tp.source < cart.source:
        cart.source = tp.source
    return cart


def transient_of(tp: Touchpoint, registry: Registry) -> Id:
    """What an implicit cart of this touchpoint hangs on."""
    type_of = registry.type
    types = [type_of(id) for id in tp.ids]
    for wanted in ("cookie", "device"):
        if wanted in types:
            return tp.ids[types.index(wanted)]
    return Id(f"session:{tp.data.session}") if tp.data.session else tp.ids[0]


def _insert(changes: list[Change], change: Change) -> bool:
    """Puts the change into its place by (time, event, source); False if it is there."""
    event, source = change.event, change.source
    for known in changes:
        if known.event == event and known.source == source:
            if _first_received(known) <= _first_received(change):
                return False
            changes.remove(known)
            break
    if changes and change.time <= changes[-1].time:
        insort(changes, change, key=_place)
    else:
        changes.append(change)
    return True


def _place(change: Change) -> tuple[int, str, str]:
    return change.time, change.event, change.source


def _first_received(change: Change) -> tuple[int, int]:
    return change.received, change.time


def _newest_change(cart: Cart) -> int:
    return cart.changes[-1].time
