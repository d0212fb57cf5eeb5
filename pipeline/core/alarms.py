"""What a trigger can come of, and how soon: what shards note, so that deadlines come without a search."""

from __future__ import annotations

from pipeline.core.events import BASKET, CART, VIEW, WISHLIST
from pipeline.core.fragment import Fragment
from pipeline.core.policy_sections import Triggers


def waits(policy: Triggers) -> dict[str, int]:
    """Type of touchpoint -> the shortest time from it to the evaluation of a deadline that it can lead to."""
    waits = (
        ("checkout", CART, min(policy.cart_delay, policy.checkout_delay)),
        ("cart", CART, min(policy.cart_delay, policy.checkout_delay)),
        ("store_basket", BASKET, policy.store_basket_delay),
        ("wishlist", WISHLIST, policy.wishlist_delay),
        ("browse", (VIEW,), policy.session_idle + policy.browse_delay),
    )
    return {type: wait + policy.grace for family, types, wait in waits if family in policy.enabled for type in types}


def may_fire(fragment: Fragment) -> bool:
    """Whether a trigger can come of what a fragment holds."""
    return bool(fragment.carts or fragment.baskets or fragment.wishes or fragment.views or fragment.subscriptions)
