"""browse: somebody looked at products and went away, without a cart.

A session is that of the person on all devices: it ends when nothing was done for `session_idle`. With enough product
views it is an episode; the deadline comes `browse_delay` after it has ended. Whoever ordered in the time before, or
orders since, is left alone.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import pairwise
from typing import Final

from pipeline.core.episode import CartLine, Episode, Lines, Point, Purchase, Quiet, Ref, line_of
from pipeline.core.fragment import Fragment, Line, Viewed
from pipeline.core.policy_sections import Triggers
from pipeline.core.quiet import last_of_chain
from pipeline.core.touchpoint import Id
from pipeline.core.triggers.family import Family
from pipeline.core.triggers.known import Known

_ONE: Final = Decimal(1)

Views = list[tuple[Viewed, Id]]
"""Product views, with the fragment that keeps each."""


def _earliest(fragment: Fragment, policy: Triggers) -> int | None:
    views = fragment.views
    return views[0].time + policy.session_idle + policy.browse_delay if views else None


def _soonest(known: Known) -> int | None:
    """No session of somebody who views ends sooner than the first. Of whom ordered only what is due later counts."""
    policy, views = known.policy.triggers, [one.views for one in known.fragments if one.views]
    if sum(map(len, views)) < policy.browse_views:
        return None
    orders = known.orders
    wait, first = policy.session_idle + policy.browse_delay, min(found[0].time for found in views)
    soonest = _end(known, first) + wait
    if not orders:
        return soonest
    again = orders[-1].time + policy.browse_order_block
    last = _end(known, max(found[-1].time for found in views)) + wait
    return None if last < again else max(soonest, again)


def _end(known: Known, view: int) -> int:
    """Of the session of a view."""
    return last_of_chain(known.activities.times, view, known.policy.triggers.session_idle, None)


def _refs(fragment: Fragment) -> Iterable[tuple[Ref, int]]:
    return (((view.event, view.source), view.received) for view in fragment.views)


def _episodes(known: Known) -> list[Episode]:
    views = _views(known)
    least = known.policy.triggers.browse_views
    if len(views) < least:
        return []
    sessions = (_episode(known, session, end) for session, end in _sessions(known, views) if len(session) >= least)
    return [episode for episode in sessions if episode is not None]


def _views(known: Known) -> Views:
    """In the order of time; a view that came to two fragments counts once."""
    distinct: dict[Ref, tuple[Viewed, Id]] = {}
    found = [(view, one.id) for one in known.fragments for view in one.views if known.has(view.received)]
    for view, fragment in sorted(found, key=_place):
        distinct.setdefault((view.event, view.source), (view, fragment))
    return list(distinct.values())


def _place(one: tuple[Viewed, Id]) -> tuple[int, str, str, int, Id]:
    view, fragment = one
    return view.time, view.event, view.source, view.received, fragment


def _sessions(known: Known, views: Views) -> Iterator[tuple[Views, int]]:
    """The views of each session, and the time of its last activity."""
    idle = known.policy.triggers.session_idle
    times = sorted({*known.activities.times, *(view.time for view, _ in views)})
    ends = [time for time, after in pairwise(times) if after - time >= idle] + [times[-1]]
    done = 0
    for end in ends:
        first = done
        while done < len(views) and views[done][0].time <= end:
            done += 1
        if done > first:
            yield views[first:done], end


def _episode(known: Known, views: Views, end: int) -> Episode | None:
    """None where nobody said which products were looked at."""
    policy = known.policy.triggers
    deadline = end + policy.session_idle + policy.browse_delay
    points = _points(views, policy.browse_views, known.policy.profile.currency)
    if not points:
        return None
    expires_at = points[-1].time + policy.episode_expiry
    changes: list[tuple[Ref, Id]] = [((view.event, view.source), fragment) for view, fragment in views]
    episode = Episode("browse", None, points, changes, points[-1].lines, expires_at)
    order = _order(known.orders, deadline - policy.browse_order_block)
    if order is not None:
        episode.end, episode.order = "cancelled_by_order", order
        episode.ended_at = max(order.time, points[0].time)
    if episode.ended_at is None or episode.ended_at > deadline:
        event = known.activities.event_at(end) or views[-1][0].event
        episode.quiet.append(Quiet(end, deadline, event, points[-1], episode.ended_at))
    return episode


def _points(views: Views, least: int, main_currency: str) -> list[Point]:
    """What was looked at, from the view on that was the last needed."""
    points: list[Point] = []
    lines: Lines = {}
    currency = main_currency
    for count, (view, fragment) in enumerate(views, 1):
        lines = lines | {line.sku: _line(lines.get(line.sku), line, view.time) for line in view.lines}
        currency = next((line.currency for line in view.lines if line.currency), currency)
        if count >= least and lines:
            channel = view.channel
            points.append(
                Point(view.time, view.event, view.source, fragment, channel, channel, "browse", lines, currency)
            )
    return points


def _line(known: CartLine | None, new: Line, time: int) -> CartLine:
    return line_of(new, _ONE, time if known is None else known.added, time)


def _order(orders: list[Purchase], after: int) -> Purchase | None:
    """The first order later than that."""
    place = bisect_right([order.time for order in orders], after)
    return orders[place] if place < len(orders) else None


BROWSE: Final = Family(("browse",), _earliest, _episodes, _refs, _soonest, patient=True)
