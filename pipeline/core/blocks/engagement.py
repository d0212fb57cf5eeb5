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
from pipeline.core.blocks.sales import orders_of
from pipeline.core.facts.activity import law
from pipeline.core.fragment import Activity, Fragment
from pipeline.core.policy import Policy
from pipeline.core.times import DAY

_WINDOW_DAYS: Final = 30
_WINDOW: Final = _WINDOW_DAYS * DAY

Days = Mapping[int, Mapping[str, int]]


def engagement(
    history: History, fragments: Sequence[Fragment], policy: Policy, horizon: Horizon
) -> dict[str, Any] | None:
    if history.newest is None:
        return None
    by_day = _by_day(fragments, policy)
    recent = _recent(by_day, policy.profile.timezone, horizon)
    return {
        "first_seen": written(history.first),
        "last_seen": written(history.newest[0]),
        "last_channel": history.newest[3],
        "sessions_30d": _sessions(fragments, policy.triggers.session_idle, horizon),
        "views_30d": sum(counts.get("views", 0) for counts in recent),
        "cart_adds_30d": sum(counts.get("cart_adds", 0) for counts in recent),
        "days": {days.text(number): by_day[number] for number in sorted(by_day)[-policy.bounds.day_buckets :]},
    }


def _by_day(fragments: Sequence[Fragment], policy: Policy) -> Days:
    total: dict[int, dict[str, int]] = {}
    for fragment in fragments:
        for number, counts in fragment.days.items():
            _add(total, number, counts)
    zone = policy.profile.timezone
    for order in orders_of(fragments).values():
        if order.placed is not None:
            _add(total, days.day(order.placed.time, zone), {"orders": 1})
    return total


def _add(total: dict[int, dict[str, int]], number: int, counts: Mapping[str, int]) -> None:
    known = total.get(number)
    if known is None:
        total[number] = dict(counts)
        return
    for what, count in counts.items():
        known[what] = known.get(what, 0) + count


def _recent(by_day: Days, zone: str, horizon: Horizon) -> list[Mapping[str, int]]:
    """The counts of the days in the window. The oldest that counts leaves it first."""
    oldest = days.day(horizon.now, zone) - _WINDOW_DAYS + 1
    numbers = [number for number, counts in by_day.items() if number >= oldest]
    leaving = [number for number in numbers if "views" in by_day[number] or "cart_adds" in by_day[number]]
    if leaving:
        horizon.changes_at(days.start(min(leaving) + _WINDOW_DAYS, zone))
    return [by_day[number] for number in numbers]


def _sessions(fragments: Sequence[Fragment], idle: int, horizon: Horizon) -> int:
    since = horizon.now - _WINDOW
    newest: dict[str, int] = {}
    for fragment in fragments:
        for session, time in fragment.sessions.items():
            if time > newest.get(session, since):
                newest[session] = time
    ends = [*newest.values(), *_ends(_without_session(fragments, since), idle)]
    if ends:
        horizon.changes_at(min(ends) + _WINDOW)
    return len(ends)


def _without_session(fragments: Sequence[Fragment], since: int) -> list[int]:
    """Times after `since`, ascending, of activity that names no session. At one time one moment stands for all."""
    moments: dict[int, Activity] = {}
    for fragment in fragments:
        for time, moment in fragment.activity.items():
            if time > since:
                known = moments.get(time)
                if known is None or law(moment) < law(known):
                    moments[time] = moment
    return sorted(time for time, moment in moments.items() if not moment.session)


def _ends(moments: list[int], idle: int) -> list[int]:
    """The last moment of each run without a gap of `idle`."""
    return [
        time
        for time, later in zip(moments, [*moments[1:], None], strict=False)
        if later is None or later - time >= idle
    ]
