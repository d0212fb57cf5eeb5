"""Why a trigger that is due is not sent: all reasons, in the order in which they are named first.

Nothing here depends on the clock but `too_old`. Caps and grouping compare deadlines: triggers that are live (fired or
recovered) count, retracted ones do not.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import msgspec

from pipeline.core.episode import Point
from pipeline.core.identifiers import Registry
from pipeline.core.ledger import Told
from pipeline.core.money import ZERO, plus
from pipeline.core.policy_sections import Triggers
from pipeline.core.times import DAY
from pipeline.core.triggers.case import Case
from pipeline.core.triggers.due import Due, too_old


class Reach(msgspec.Struct, frozen=True):
    """The channels of a trigger as its record shows them."""

    used: list[dict[str, Any]]
    excluded: list[dict[str, str]]


def reasons(case: Case, due: Due, reach: Reach) -> tuple[str, ...]:
    policy, live = case.policy, case.live()
    found = {
        "too_old": too_old(case, due.deadline),
        "robot": _is_robot(due.point, policy),
        "below_threshold": _is_below_threshold(due.point, policy),
        "shared": case.person.shared,
        "holdout": is_held_out(case.person.profile_id, case.registry),
        "not_addressable": all(one["reason"] == "not_addressable" for one in reach.excluded) and not reach.used,
        "consent": case.addressing.profiling_refused
        or (not reach.used and any(one["reason"] == "consent" for one in reach.excluded)),
        "cap_24h": _is_grouped(case, due) or exceeds(live, due.deadline, DAY, policy.cap_24h),
        "cap_7d": exceeds(live, due.deadline, 7 * DAY, policy.cap_7d),
    }
    return tuple(reason for reason, holds in found.items() if holds)


def is_held_out(profile_id: str, registry: Registry) -> bool:
    """Whether a person is in the control group: the same persons for as long as the share is the same."""
    share = registry.policy.triggers.holdout
    drawn = int.from_bytes(blake2b(profile_id.encode(), digest_size=6, person=b"holdout").digest())
    return drawn < share * (1 << 48)


def exceeds(live: list[Told], deadline: int, window: int, cap: int) -> bool:
    """Whether one more trigger at `deadline` would make more than `cap` in some span shorter than `window`."""
    times = sorted(told.deadline_at for told in live if abs(told.deadline_at - deadline) < window)
    starts = [time for time in times if time <= deadline] + [deadline]
    return any(sum(start <= time < start + window for time in times) >= cap for start in starts)


def is_near(case: Case, told: Told, deadline: int) -> bool:
    """Whether a deadline belongs to what a trigger was told for: its group, or too soon after it."""
    return abs(told.deadline_at - deadline) < case.policy.regroup


def is_peer(case: Case, told: Told, deadline: int) -> bool:
    """Whether a trigger counts in some window around a deadline."""
    return abs(told.deadline_at - deadline) < max(7 * DAY, case.policy.regroup)


def _is_grouped(case: Case, due: Due) -> bool:
    """A later step of the same cart is no second message of the group."""
    return any(
        is_near(case, told, due.deadline) and not (told.step < due.step and case.holder(told.covers[0]) is due.episode)
        for told in case.live()
    )


def _is_robot(cart: Point, policy: Triggers) -> bool:
    items = ZERO
    for line in cart.lines.values():
        items = plus(items, line.quantity)
    return items >= policy.robot_items or (cart.worth is not None and cart.worth >= policy.robot_value)


def _is_below_threshold(cart: Point, policy: Triggers) -> bool:
    least = policy.threshold.get(cart.currency)
    return least is not None and cart.worth is not None and cart.worth < least
