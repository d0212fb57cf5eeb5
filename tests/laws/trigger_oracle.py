"""The oracle of triggers: what became of everything one person could be told of, from all touchpoints at once, in the
plainest way. It shares no code with the core.

It knows carts with an id, store baskets with an id, the wish list and browsing; one price, one currency. What a life
says of itself: the states it was in, when it ended, and at which times it was due.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from pipeline.core.policy_sections import Triggers
from pipeline.core.touchpoint import Touchpoint

CARTS = ("cart.item_added", "cart.item_removed", "cart.snapshot", "checkout.started")
BASKETS = ("store.item_scanned", "store.basket_saved")
WISHES = ("wishlist.item_added", "wishlist.item_removed")
VIEW = "product.viewed"
ACTIVITY = (*CARTS, *BASKETS, *WISHES, VIEW, "page.viewed", "order.placed", "identity.observed", "message.clicked")

State = tuple[dict[str, int], str]
"""Quantity per SKU, family."""


@dataclass
class Life:
    """One episode. changes: (time, event, state after it). events: ids of all that belong to it. ended_at: None while
    it is open; ordered_at: time of the order that ended it. due: its deadlines, ascending."""

    kind: str
    key: str
    changes: list[tuple[int, str, State]] = field(default_factory=list)
    events: set[str] = field(default_factory=set)
    end: str | None = None
    ended_at: int | None = None
    ordered_at: int | None = None
    due: list[int] = field(default_factory=list)

    def state(self, time: int) -> State | None:
        """None where it was not open."""
        if self.ended_at is not None and self.ended_at <= time:
            return None
        known = [state for when, _, state in self.changes if when <= time]
        return known[-1] if known else None

    def close(self, end: str, time: int, ordered_at: int | None = None) -> None:
        self.end, self.ended_at, self.ordered_at = end, time, ordered_at


def lives(touchpoints: Iterable[Touchpoint], policy: Triggers) -> list[Life]:
    known = sorted(touchpoints, key=lambda tp: (tp.time, tp.type == "order.placed", tp.id))
    found = []
    for types in (CARTS, BASKETS):
        keys = sorted({tp.data.cart.id for tp in known if tp.type in types and tp.data.cart and tp.data.cart.id})
        for key in keys:
            for life in _carts(key, types, known, policy):
                life.due = _quiet(life, known, policy) if types is CARTS else _unmoved(life, policy)
                found.append(life)
    found += _wishes(known, policy)
    found += _sessions(known, policy)
    return [life for life in found if life.kind in policy.enabled or life.kind == "cart"]


# -- carts and baskets -----------------------------------------------------------------------------------------------


def _carts(key: str, types: Sequence[str], known: Sequence[Touchpoint], policy: Triggers) -> list[Life]:
    found: list[Life] = []
    lines: dict[str, int] = {}
    kind, stage, opened = "cart" if types is CARTS else "store_basket", "", False

    def close(end: str, time: int, ordered_at: int | None = None) -> None:
        nonlocal opened
        if opened:
            found[-1].close(end, time, ordered_at)
        opened = False

    def of(tp: Touchpoint) -> bool:
        return tp.type in types and tp.data.cart is not None and tp.data.cart.id == key

    checkouts = {tp.data.cart.checkout_id: tp.time for tp in reversed(known) if of(tp) and tp.data.cart}
    checkouts.pop(None, None)

    def named(order: Touchpoint) -> bool:
        ref = order.data.cart
        assert ref is not None
        latest = order.time + policy.skew
        return ref.id == key or checkouts.get(ref.checkout_id, latest + 1) <= latest

    for tp in known:
        if tp.type == "order.placed" and lines:
            left = {sku: quantity for sku, quantity in lines.items() if sku not in _skus(tp)}
            if named(tp) or not left:
                lines = {}
                close("converted", tp.time, tp.time)
            elif left != lines:
                lines = left
                close("converted_partial", tp.time, tp.time)
            elif policy.any_order == "cancel":
                close("cancelled_by_order", tp.time, tp.time)
        if not of(tp):
            continue
        after = _changed(lines, tp)
        new_stage = "checkout" if tp.type == "checkout.started" else kind
        rises = bool(after) and new_stage == "checkout" and (stage if lines else "") != "checkout"
        if after != lines or rises:
            if after and not opened:
                found.append(Life(kind, key))
                opened, stage = True, new_stage
            elif new_stage == "checkout":
                stage = "checkout"
            lines = after
            if opened and lines:
                found[-1].changes.append((tp.time, tp.id, (dict(lines), stage)))
        if found:
            found[-1].events.add(tp.id)
        if not lines:
            close("emptied", tp.time)
        for order in known:
            near = order.type == "order.placed" and tp.time - policy.skew <= order.time < tp.time
            if near and lines and (named(order) or _skus(order) >= lines.keys()):
                lines = {}
                close("converted", tp.time, order.time)
    return found


def _skus(tp: Touchpoint) -> set[str]:
    return {item.sku or "" for item in tp.data.items}


def _changed(lines: dict[str, int], tp: Touchpoint) -> dict[str, int]:
    items = [(item.sku or "", int(item.quantity)) for item in tp.data.items]
    whole = tp.type in ("cart.snapshot", "store.basket_saved") or (tp.type == "checkout.started" and items)
    after = {} if whole else dict(lines)
    sign = -1 if tp.type == "cart.item_removed" else 1
    for sku, quantity in items:
        if sign > 0 or sku in after:
            after[sku] = after.get(sku, 0) + sign * quantity
    return {sku: quantity for sku, quantity in after.items() if quantity > 0}


def _quiet(life: Life, known: Iterable[Touchpoint], policy: Triggers) -> list[int]:
    """All times at which the cart has been left alone for its delay."""
    moments = sorted({tp.time for tp in known if tp.type in ACTIVITY})

    def deadline(place: int) -> int:
        anchor, _, (_, stage) = life.changes[place]
        delay = policy.checkout_delay if stage == "checkout" else policy.cart_delay
        for moment in moments:
            if anchor < moment < anchor + delay:
                anchor = moment
        return anchor + delay

    return _standing(life, deadline)


def _unmoved(life: Life, policy: Triggers) -> list[int]:
    return _standing(life, lambda place: life.changes[place][0] + policy.store_basket_delay)


def _standing(life: Life, deadline: Callable[[int], int]) -> list[int]:
    """The deadlines of the changes that were the last ones up to theirs."""
    found = []
    for place in range(len(life.changes)):
        due = deadline(place)
        newer = any(time <= due for time, _, _ in life.changes[place + 1 :])
        if not newer and life.state(due) is not None:
            found.append(due)
    return found


# -- wish list -------------------------------------------------------------------------------------------------------


def _wishes(known: Iterable[Touchpoint], policy: Triggers) -> list[Life]:
    found: list[Life] = []
    wished: dict[str, int] = {}
    for tp in known:
        if found and found[-1].end is None and tp.time >= found[-1].changes[-1][0] + policy.episode_expiry:
            found[-1].close("expired", found[-1].changes[-1][0] + policy.episode_expiry)
        is_open = bool(found) and found[-1].end is None
        if tp.type == "order.placed":
            left = {sku: 1 for sku in wished if sku not in _skus(tp)}
            bought, wished = left != wished, left
            if not (bought and is_open):
                continue
            if not left:
                found[-1].close("converted", tp.time, tp.time)
            elif tp.time > found[-1].changes[0][0] + policy.wishlist_delay:
                found[-1].close("converted_partial", tp.time, tp.time)
            else:
                found[-1].changes.append((tp.time, found[-1].changes[-1][1], (dict(wished), "wishlist")))
        elif tp.type in WISHES:
            if tp.type == "wishlist.item_added":
                wished = wished | dict.fromkeys(_skus(tp), 1)
                if not is_open:
                    found.append(Life("wishlist", "wishlist"))
            else:
                wished = {sku: 1 for sku in wished if sku not in _skus(tp)}
            if found:
                found[-1].events.add(tp.id)
            if found and found[-1].end is None:
                if wished:
                    found[-1].changes.append((tp.time, tp.id, (dict(wished), "wishlist")))
                else:
                    found[-1].close("emptied", tp.time)
    for life in found:
        deadline = life.changes[0][0] + policy.wishlist_delay
        life.due = [deadline] if life.state(deadline) is not None else []
    return found


# -- browsing --------------------------------------------------------------------------------------------------------


def _sessions(known: Sequence[Touchpoint], policy: Triggers) -> list[Life]:
    orders = [tp.time for tp in known if tp.type == "order.placed"]
    sessions: list[list[Touchpoint]] = []
    for tp in known:
        if tp.type in ACTIVITY:
            if not sessions or tp.time - sessions[-1][-1].time >= policy.session_idle:
                sessions.append([])
            sessions[-1].append(tp)
    found = []
    for session in sessions:
        views = [tp for tp in session if tp.type == VIEW]
        if len(views) < policy.browse_views:
            continue
        life = Life("browse", "browse", events={tp.id for tp in views})
        seen: dict[str, int] = {}
        for count, view in enumerate(views, 1):
            seen = seen | dict.fromkeys(_skus(view), 1)
            if count >= policy.browse_views:
                life.changes.append((view.time, view.id, (seen, "browse")))
        deadline = session[-1].time + policy.session_idle + policy.browse_delay
        ordered = [time for time in orders if time > deadline - policy.browse_order_block]
        if ordered:
            life.close("ordered", max(ordered[0], life.changes[0][0]), ordered[0])
        life.due = [deadline] if life.state(deadline) is not None else []
        found.append(life)
    return found
