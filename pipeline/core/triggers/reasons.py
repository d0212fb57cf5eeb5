"""Why a trigger that is due is not sent: all reasons, in the order in which they are named first.

Nothing here depends on the clock but `too_old`. Caps and grouping compare deadlines: triggers that are live (fired or
recovered) count, retracted ones do not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from hashlib import blake2b
from typing import Any, Final

import msgspec

from pipeline.core.episode import Point
from pipeline.core.identifiers import Registry
from pipeline.core.ledger import Told
from pipeline.core.money import ZERO, plus
from pipeline.core.policy_sections import Triggers
from pipeline.core.times import DAY
from pipeline.core.triggers.case import Case
from pipeline.core.triggers.due import Due, deadlines, is_open, too_old
from pipeline.core.triggers.families import GROUPED, LEVEL
from pipeline.core.view import view


class Reach(msgspec.Struct, frozen=True):
    """The channels of a trigger as its record shows them."""

    used: list[dict[str, Any]]
    excluded: list[dict[str, str]]


class Why:
    """Why one trigger that is due is not sent; what is not asked for is not found out."""

    def __init__(self, case: Case, due: Due) -> None:
        self.case, self.due, self.live = case, due, case.live()

    @cached_property
    def reach(self) -> Reach:
        return Reach(*self.case.addressing.channels(self.due.episode))

    @property
    def first(self) -> str | None:
        return next(self._found(), None)

    @property
    def all(self) -> tuple[str, ...]:
        return tuple(self._found())

    def _found(self) -> Iterator[str]:
        return (reason for reason, holds in _REASONS if holds(self))


def _is_excluded(case: Case, due: Due) -> bool:
    """Whether the person, as its profile would have been at the deadline, is in a segment that is never addressed."""
    excluded = case.policy.exclude_segments
    if not excluded:
        return False
    document = view(case.person, due.deadline, case.registry, None).blocks
    return not set(excluded).isdisjoint(document.get("segments", ()))


def is_held_out(profile_id: str, registry: Registry) -> bool:
    """Whether a person is in the control group: the same persons for as long as the share is the same."""
    share = registry.policy.triggers.holdout
    if not share:
        return False
    drawn = int.from_bytes(blake2b(profile_id.encode(), digest_size=6, person=b"holdout").digest())
    return drawn < share * (1 << 48)


def exceeds(live: list[Told], deadline: int, window: int, cap: int) -> bool:
    """Whether one more trigger at `deadline` would make more than `cap` in some span shorter than `window`."""
    if len(live) < cap:
        return False
    times = sorted(told.deadline_at for told in live if abs(told.deadline_at - deadline) < window)
    starts = [time for time in times if time <= deadline] + [deadline]
    return any(sum(start <= time < start + window for time in times) >= cap for start in starts)


def silences(told: Told, family: str, deadline: int, policy: Triggers) -> bool:
    """Whether a live trigger leaves no room near a deadline of a family: one of a higher family, or of the group of
    carts and checkouts."""
    above = LEVEL[family] - LEVEL[told.family]
    if above > 0:
        return abs(told.deadline_at - deadline) < policy.family_window
    return above == 0 and family in GROUPED and abs(told.deadline_at - deadline) < policy.regroup


def is_peer(told: Told, deadline: int, policy: Triggers) -> bool:
    """Whether a trigger counts in some window around a deadline."""
    return abs(told.deadline_at - deadline) < max(7 * DAY, policy.regroup, policy.family_window)


def _is_outranked(case: Case, due: Due, live: list[Told]) -> bool:
    """Whether a higher family was told of, or has yet to be, near a deadline. What had yet to be then counts as long as
    its episode is open: that time passes is no reason to send."""
    level, window = LEVEL[due.family], case.policy.family_window
    if any(LEVEL[told.family] < level and silences(told, due.family, due.deadline, case.policy) for told in live):
        return True
    return any(
        due.deadline < other.deadline < due.deadline + window and not _is_withdrawn(case, other)
        for episode in case.episodes
        if is_open(episode) and LEVEL[episode.last.stage] < level
        for other in deadlines(case, episode)
    )


def _is_withdrawn(case: Case, due: Due) -> bool:
    return any(
        told.status == "retracted" and told.deadline_at == due.deadline and case.holder(told.covers[0]) is due.episode
        for told in case.told.values()
    )


def _is_grouped(case: Case, due: Due, live: list[Told]) -> bool:
    """Whether something of the same group was told near a deadline: any cart or checkout, else the episode itself. A
    later step of the same episode is no second message of the group."""
    grouped = due.family in GROUPED
    for told in live:
        if abs(told.deadline_at - due.deadline) < case.policy.regroup:
            same = case.holder(told.covers[0]) is due.episode
            if (same and told.step >= due.step) or (not same and grouped and told.family in GROUPED):
                return True
    return False


def _is_out_of_stock(case: Case, due: Due) -> bool:
    """Whether every line was, at the deadline."""
    return all(case.known.stock_at(sku, due.deadline) == 0 for sku in due.point.lines)


def _is_robot(cart: Point, policy: Triggers) -> bool:
    items = ZERO
    for line in cart.lines.values():
        items = plus(items, line.quantity)
    return items >= policy.robot_items or (cart.worth is not None and cart.worth >= policy.robot_value)


def _is_below_threshold(cart: Point, policy: Triggers) -> bool:
    least = policy.threshold.get(cart.currency)
    return least is not None and cart.worth is not None and cart.worth < least


def _is_not_addressable(why: Why) -> bool:
    reach = why.reach
    return not reach.used and all(one["reason"] == "not_addressable" for one in reach.excluded)


def _is_refused(why: Why) -> bool:
    reach = why.reach
    refused = not reach.used and any(one["reason"] == "consent" for one in reach.excluded)
    return refused or why.case.addressing.profiling_refused


def _is_capped(why: Why) -> bool:
    deadline, most = why.due.deadline, why.case.policy.cap_24h
    return _is_grouped(why.case, why.due, why.live) or exceeds(why.live, deadline, DAY, most)


_REASONS: Final[tuple[tuple[str, Callable[[Why], bool]], ...]] = (
    ("too_old", lambda why: too_old(why.case, why.due.deadline)),
    ("robot", lambda why: _is_robot(why.due.point, why.case.policy)),
    ("below_threshold", lambda why: _is_below_threshold(why.due.point, why.case.policy)),
    ("shared", lambda why: why.case.person.shared),
    ("excluded", lambda why: _is_excluded(why.case, why.due)),
    ("holdout", lambda why: is_held_out(why.case.person.profile_id, why.case.registry)),
    ("higher_family", lambda why: _is_outranked(why.case, why.due, why.live)),
    ("not_addressable", _is_not_addressable),
    ("consent", _is_refused),
    ("out_of_stock", lambda why: _is_out_of_stock(why.case, why.due)),
    ("cap_24h", _is_capped),
    ("cap_7d", lambda why: exceeds(why.live, why.due.deadline, 7 * DAY, why.case.policy.cap_7d)),
)
"""In the order in which they are named."""
