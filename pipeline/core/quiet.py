"""Quiet points: when a person with an open cart has gone away.

From each change of a cart, activity of the person on any device is followed as long as the gaps are shorter than the
delay; the last one is the anchor, and anchor + delay the deadline. A change of the same cart up to the deadline starts
again. A deadline counts only if the cart was open until then.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence

from pipeline.core.episode import Episode, Point, Quiet
from pipeline.core.fragment import Fragment

Activities = tuple[Sequence[int], Callable[[int], str | None]]
"""Times of all activity of a person, ascending, and the event at a time."""


def activities(fragments: Iterable[Fragment], as_of: int | None) -> Activities:
    """as_of: only what was received up to then; None: all."""
    known: dict[int, tuple[int, str]] = {}
    for fragment in fragments:
        for time, moment in fragment.activity.items():
            if as_of is None or moment.received <= as_of:
                one = (moment.received, moment.event)
                known[time] = min(one, known.get(time, one))
    return sorted(known), lambda time: known[time][1] if time in known else None


def mark_quiet(episode: Episode, moments: Activities, delay_of: Callable[[str], int], idle: int) -> None:
    """Fills `quiet` and `idle_at`. delay_of: stage -> delay."""
    times, event_at = moments
    following: list[Point | None] = [*episode.points[1:], None]
    for point, after in zip(episode.points, following, strict=True):
        delay = delay_of(point.stage)
        anchor = _last_of_chain(times, point.time, delay, None if after is None else after.time)
        deadline = anchor + delay
        if after is not None and after.time <= deadline:
            continue
        if episode.ended_at is not None and episode.ended_at <= deadline:
            break
        event = point.event if anchor == point.time else event_at(anchor)
        until = episode.ended_at if after is None else after.time
        episode.quiet.append(Quiet(anchor, deadline, event or point.event, point, until))
    episode.idle_at = _last_of_chain(times, episode.last.time, idle, None) + idle


def _last_of_chain(times: Sequence[int], start: int, gap: int, until: int | None) -> int:
    """The last time reached from `start` by steps shorter than `gap`; no further than `until`."""
    last = start
    for place in range(bisect_right(times, start), len(times)):
        time = times[place]
        if time - last >= gap or (until is not None and time > until):
            break
        last = time
    return last
