"""engagement: when the person was here and what was done. 30 d: sessions whose newest activity is less than 30 days
old; views and cart adds of the last 30 calendar days of the policy's zone, today included.

A session is known by its id, over all fragments; activity without one belongs to one session until a gap of
`session_idle`. Orders per day are counted once per order id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pipeline.core import days
from pipeline.core.blocks.history import History
from pipeline.core.blocks.horizon import Horizon, written
from pipeline.core.facts.activity import law
from pipeline.core.fragment import Activity, Fragment, Order
from pipeline.core.policy import Policy
from pipeline.core.times import DAY

_COUNTED: Final = ("views", "cart_adds", "orders")
_WINDOW_DAYS: Final = 30
_WINDOW: Final = _WINDOW_DAYS * DAY

Days = Mapping[int, Mapping[str, int]]


def engagement(
    history: History, orders: Mapping[str, Order], fragments: Sequence[Fragment], policy: Policy, horizon: Horizon
) -> dict[str, Any] | None:
    """orders: of all fragments. None for who was never seen."""
    if history.newest is None:
        return None
    by_day = _by_day(orders, fragments, policy.profile.timezone)
    views, cart_adds = _recent(by_day, policy.profile.timezone, horizon)
    return {
        "first_seen": written(history.first),
        "last_seen": written(history.newest[0]),
        "last_channel": history.newest[3],
        "sessions_30d": _sessions(fragments, policy.triggers.session_idle, horizon),
        "views_30d": views,
        "cart_adds_30d": cart_adds,
        "days": {
            days.text(number): {what: by_day[number][what] for what in _COUNTED if what in by_day[number]}
            for number in sorted(by_day)[-policy.bounds.day_buckets :]
        },
    }


def _by_day(orders: Mapping[str, Order], fragments: Sequence[Fragment], zone: str) -> Days:
    by_day: dict[int, dict[str, int]] = {}
    for fragment in fragments:
        for number, counts in fragment.days.items():
            _add(by_day, number, counts)
    for order in orders.values():
        if order.placed is not None:
            _add(by_day, days.day(order.placed.time, zone), {"orders": 1})
    return by_day


def _add(by_day: dict[int, dict[str, int]], number: int, counts: Mapping[str, int]) -> None:
    known = by_day.get(number)
    if known is None:
        by_day[number] = dict(counts)
        return
    for what, count in counts.items():
        known[what] = known.get(what, 0) + count


def _recent(by_day: Days, zone: str, horizon: Horizon) -> tuple[int, int]:
    """Views and cart adds in the window. The oldest day that counts leaves it first."""
    oldest = days.day(horizon.now, zone) - _WINDOW_DAYS + 1
    views = cart_adds = leaving = 0
    for number, counts in by_day.items():
        seen, added = counts.get("views", 0), counts.get("cart_adds", 0)
        if number >= oldest and (seen or added):
            views, cart_adds = views + seen, cart_adds + added
            leaving = min(leaving or number, number)
    if leaving:
        horizon.fades_at(days.start(leaving + _WINDOW_DAYS, zone))
    return views, cart_adds


def _sessions(fragments: Sequence[Fragment], idle: int, horizon: Horizon) -> int:
    since = horizon.now - _WINDOW
    newest: dict[str, int] = {}
    for fragment in fragments:
        for session, time in fragment.sessions.items():
            if time > newest.get(session, since):
                newest[session] = time
    ends = [*newest.values(), *_ends(_without_session(fragments, since), idle)]
    if ends:
        horizon.fades_at(min(ends) + _WINDOW)
    return len(ends)


def _without_session(fragments: Sequence[Fragment], since: int) -> list[int]:
    """Times after `since`, ascending, of activity that names no session. At one time one moment stands for all."""
    without: set[int] = set()
    within: set[int] = set()
    for fragment in fragments:
        for time, moment in reversed(fragment.activity.items()):
            if time <= since:
                break
            (within if moment.session else without).add(time)
    if not without.isdisjoint(within):
        without -= {time for time in without & within if _stands_for_all(fragments, time).session}
    return sorted(without)


def _stands_for_all(fragments: Sequence[Fragment], time: int) -> Activity:
    return min((fragment.activity[time] for fragment in fragments if time in fragment.activity), key=law)


def _ends(moments: list[int], idle: int) -> list[int]:
    """The last moment of each run without a gap of `idle`."""
    return [
        time
        for time, later in zip(moments, [*moments[1:], None], strict=False)
        if later is None or later - time >= idle
    ]
