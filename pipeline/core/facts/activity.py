"""That a person was there: moments, sessions, kinds of device, hours, and what was done per day.

Moments are kept in the order of time, so that the oldest can leave without a search. Of two at one time the one
received first stays.
"""

from __future__ import annotations

from typing import Final, TypeVar

from pipeline.core.days import day, hour
from pipeline.core.facts.bounded import count_dropped, drop_oldest
from pipeline.core.facts.devices import kind_of_device
from pipeline.core.fragment import Activity, Fragment
from pipeline.core.identifiers import Registry
from pipeline.core.touchpoint import Touchpoint

T = TypeVar("T")

_MOMENTS_MAX: Final = 500
_SESSIONS_MAX: Final = 200
_DEVICES_MAX: Final = 32


def fold_activity(fragment: Fragment, tp: Touchpoint, registry: Registry) -> None:
    time, session, device = tp.time, tp.data.session, tp.data.device
    kind = None if device is None else kind_of_device(device)
    _moment(fragment.activity, fragment, time, Activity(tp.received, tp.id, session, kind))
    if session:
        sessions = fragment.sessions
        known = sessions.get(session)
        if known is None or time > known:
            sessions[session] = time
            if len(sessions) > _SESSIONS_MAX:
                drop_oldest(fragment, "sessions", sessions, _SESSIONS_MAX, lambda newest: newest)
    devices = fragment.devices
    key = f"{tp.channel}\n{kind or ''}"
    known = devices.get(key)
    if known is None or time > known:
        devices[key] = time
        if len(devices) > _DEVICES_MAX:
            drop_oldest(fragment, "devices", devices, _DEVICES_MAX, lambda newest: newest)
    hours = fragment.rhythm.get(tp.channel)
    if hours is None:
        hours = fragment.rhythm[tp.channel] = {}
    then = hour(time, registry.policy.profile.timezone)
    hours[then] = hours.get(then, 0) + 1


def _moment(moments: dict[int, Activity], fragment: Fragment, time: int, moment: Activity) -> None:
    known = moments.get(time)
    if known is not None:
        if law(moment) < law(known):
            moments[time] = moment
        return
    newest = next(reversed(moments), time)
    moments[time] = moment
    if time < newest:
        _sort(moments)
    if len(moments) > _MOMENTS_MAX:
        del moments[next(iter(moments))]
        count_dropped(fragment, "activity")


def law(moment: Activity) -> tuple[int, str, str, str]:
    """Of the moments of one time the smallest stays."""
    return moment.received, moment.event, moment.session or "", moment.device or ""


def count_on_day(fragment: Fragment, tp: Touchpoint, registry: Registry, what: str) -> None:
    policy = registry.policy
    number = day(tp.time, policy.profile.timezone)
    days = fragment.days
    counts = days.get(number)
    if counts is not None:
        counts[what] = counts.get(what, 0) + 1
        return
    newest = next(reversed(days), number)
    days[number] = {what: 1}
    if number < newest:
        _sort(days)
    if len(days) > policy.bounds.day_buckets:
        oldest = days.pop(next(iter(days)))
        count_dropped(fragment, "day_buckets", sum(oldest.values()))


def _sort(rows: dict[int, T]) -> None:
    """Back into the order of time, in place."""
    ordered = sorted(rows.items())
    rows.clear()
    rows.update(ordered)
