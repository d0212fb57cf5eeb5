"""checkout, cart: a cart that was left alone. The stage of the cart at the deadline says which of the two."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pipeline.core.episode import Episode, Ref
from pipeline.core.fragment import Fragment
from pipeline.core.policy_sections import Triggers
from pipeline.core.quiet import last_of_chain
from pipeline.core.times import EARLIEST, LATEST
from pipeline.core.triggers.family import Family
from pipeline.core.triggers.known import Known


def _earliest(fragment: Fragment, policy: Triggers) -> int | None:
    if not fragment.carts:
        return None
    oldest = min(cart.changes[0].time for cart in fragment.carts.values())
    return oldest + min(policy.cart_delay, policy.checkout_delay)


def _soonest(known: Known) -> int | None:
    """An order closes what was in the carts. Each deadline is so long after the last activity of some chain, and none
    of these ends sooner than that from the first change on."""
    carts = [cart for fragment in known.fragments if fragment.carts for cart in fragment.carts.values()]
    if not carts:
        return None
    policy, orders = known.policy.triggers, known.orders
    closed = orders[-1].time if orders and policy.any_order == "cancel" else EARLIEST
    first = LATEST
    for cart in carts:
        if cart.changes[-1].time > closed:
            first = min(first, next(change.time for change in cart.changes if change.time > closed))
    gap = min(policy.cart_delay, policy.checkout_delay)
    return None if first == LATEST else last_of_chain(known.activities.times, first, gap, None) + gap


def _episodes(known: Known) -> list[Episode]:
    return known.carts


def _refs(fragment: Fragment) -> Iterable[tuple[Ref, int]]:
    for cart in fragment.carts.values():
        for change in cart.changes:
            yield (change.event, change.source), change.received


CARTS: Final = Family(("checkout", "cart"), _earliest, _episodes, _refs, _soonest, patient=True)
