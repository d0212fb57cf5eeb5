"""How soon after a touchpoint a trigger can be due: what its shard notes, so that deadlines come without a search."""

from __future__ import annotations

from pipeline.core.events import CART
from pipeline.core.policy_sections import Triggers


def waits(policy: Triggers) -> dict[str, int]:
    """Type of touchpoint -> the shortest time from it to the evaluation of a deadline that it can lead to."""
    return dict.fromkeys(CART, min(policy.cart_delay, policy.checkout_delay) + policy.grace)
