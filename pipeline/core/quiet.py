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


class Activities:
    """What a person did, on all fragments. as_of: only what was received up to then; None: all."""

    def __init__(self, fragments: Iterable[Fragment], as_of: int | None) -> None:
        self._moments = [fragment.activity for fragment in fragments if fragment.activity]
        self._as_of = as_of
        times: set[int] = set()
        for moments in self._moments:
            if as_of is None:
                times.update(moments)
            else:
                times.update(time for time, moment in moments.items() if moment.received <= as_of)
        self.times = sorted(times)

    def event_at(self, time: int) -> str | None:
        """The event at a time, of several the one received first."""
        found = [moment for moments in self._moments if (moment := moments.get(time)) is not None]
        known = [(one.received, one.event) for one in found if self._as_of is None or one.received <= self._as_of]
        return min(known)[1] if known else None


def mark_quiet(episode: Episode, activities: Activities, delay_of: Callable[[str], int], idle: int) -> None:
    """Fills `quiet` and `idle_at`. delay_of: stage -> delay."""
    times = activities.times
    following: list[Point | None] = [*episode.points[1:], None]
    for point, after in zip(episode.points, following, strict=True):
        delay = delay_of(point.stage)
        anchor = last_of_chain(times, point.time, delay, None if after is None else after.time)
        deadline = anchor + delay
        if after is not None and after.time <= deadline:
            continue
        if episode.ended_at is not None and episode.ended_at <= deadline:
            break
        event = point.event if anchor == point.time else activities.event_at(anchor)
        until = episode.ended_at if after is None else after.time
        episode.quiet.append(Quiet(anchor, deadline, event or point.event, point, until))
    episode.idle_at = last_of_chain(times, episode.last.time, idle, None) + idle


def last_of_chain(times: Sequence[int], start: int, gap: int, until: int | None) -> int:
    """The last time reached from `start` by steps shorter than `gap`; no further than `until`."""
    last = start
    for place in range(bisect_right(times, start), len(times)):
        time = times[place]
        if time - last >= gap or (until is not None and time > until):
            break
        last = time
    return last
