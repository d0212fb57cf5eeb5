"""The oracle of carts: what became of each cart of one person, from all touchpoints at once, in the plainest way.

It shares no code with the core. Only carts with an id: it knows nothing of implicit carts and of carts named by a
checkout. Prices, which no rule but a change of contents depends on, are the same everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from pipeline.core.policy_sections import Triggers
from pipeline.core.touchpoint import Touchpoint

CART_TYPES = ("cart.item_added", "cart.item_removed", "cart.snapshot", "checkout.started")
ACTIVITY = (*CART_TYPES, "page.viewed", "order.placed", "identity.observed", "message.clicked")

State = tuple[dict[str, int], str]
"""Quantity per SKU, stage."""


@dataclass
class Life:
    """One episode. changes: (time, event, state after it)."""

    cart: str
    changes: list[tuple[int, str, State]] = field(default_factory=list)
    events: set[str] = field(default_factory=set)
    end: str | None = None
    ended_at: int | None = None
    ordered_at: int | None = None

    def state(self, time: int) -> State | None:
        if self.ended_at is not None and self.ended_at <= time:
            return None
        known = [state for when, _, state in self.changes if when <= time]
        return known[-1] if known else None


def lives(touchpoints: Iterable[Touchpoint], policy: Triggers) -> list[Life]:
    known = sorted(touchpoints, key=lambda tp: (tp.time, tp.type == "order.placed", tp.id))
    carts = sorted({tp.data.cart.id for tp in known if tp.type in CART_TYPES and tp.data.cart and tp.data.cart.id})
    return [life for cart in carts for life in _lives(cart, known, policy)]


def _lives(cart: str, known: list[Touchpoint], policy: Triggers) -> list[Life]:
    found: list[Life] = []
    lines: dict[str, int] = {}
    stage, opened = "", False

    def close(end: str, time: int, ordered_at: int | None = None) -> None:
        nonlocal opened
        if opened:
            found[-1].end, found[-1].ended_at, found[-1].ordered_at = end, time, ordered_at
        opened = False

    checkouts = {tp.data.cart.checkout_id: tp.time for tp in reversed(known) if _of(tp, cart) and tp.data.cart}
    checkouts.pop(None, None)

    def named(order: Touchpoint) -> bool:
        ref = order.data.cart
        assert ref is not None
        return (
            ref.id == cart or checkouts.get(ref.checkout_id, order.time + policy.skew + 1) <= order.time + policy.skew
        )

    for tp in known:
        if tp.type == "order.placed" and lines:
            bought = {item.sku for item in tp.data.items}
            left = {sku: quantity for sku, quantity in lines.items() if sku not in bought}
            if named(tp) or not left:
                lines = {}
                close("converted", tp.time, tp.time)
            elif left != lines:
                lines = left
                close("converted_partial", tp.time, tp.time)
            elif policy.any_order == "cancel":
                close("cancelled_by_order", tp.time, tp.time)
        if not _of(tp, cart):
            continue
        after = _changed(lines, tp)
        new_stage = "checkout" if tp.type == "checkout.started" else "cart"
        rises = bool(after) and new_stage == "checkout" and (stage if lines else "") != "checkout"
        if after != lines or rises:
            if after and not opened:
                found.append(Life(cart))
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
            if near and lines and (named(order) or {item.sku for item in order.data.items} >= lines.keys()):
                lines = {}
                close("converted", tp.time, order.time)
    return found


def _of(tp: Touchpoint, cart: str) -> bool:
    return tp.type in CART_TYPES and tp.data.cart is not None and tp.data.cart.id == cart


def _changed(lines: dict[str, int], tp: Touchpoint) -> dict[str, int]:
    items = [(item.sku or "", int(item.quantity)) for item in tp.data.items]
    replaces = tp.type == "cart.snapshot" or (tp.type == "checkout.started" and items)
    after = {} if replaces else dict(lines)
    sign = -1 if tp.type == "cart.item_removed" else 1
    for sku, quantity in items:
        if sign > 0 or sku in after:
            after[sku] = after.get(sku, 0) + sign * quantity
    return {sku: quantity for sku, quantity in after.items() if quantity > 0}


def deadlines(life: Life, touchpoints: Iterable[Touchpoint], policy: Triggers) -> list[int]:
    """All times at which the cart has been left alone for its delay, ascending."""
    moments = sorted({tp.time for tp in touchpoints if tp.type in ACTIVITY})
    found = []
    for place, (when, _, (_, stage)) in enumerate(life.changes):
        delay = policy.checkout_delay if stage == "checkout" else policy.cart_delay
        anchor = when
        for moment in moments:
            if anchor < moment < anchor + delay:
                anchor = moment
        deadline = anchor + delay
        newer = any(time <= deadline for time, _, _ in life.changes[place + 1 :])
        if not newer and life.state(deadline) is not None:
            found.append(deadline)
    return found
