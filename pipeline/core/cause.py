"""Why a cluster must be looked at, and whose facts may change triggers at once."""

from __future__ import annotations

from pipeline.core.timers import earlier
from pipeline.core.touchpoint import Id


class Cause:
    """Why a cluster must be looked at: changed fragments with the touchpoint that changed them, whether the grouping
    may have changed, whether a fact that triggers depend on was among it, and for changed carts the first clock time at
    which they could be abandoned, by anchor. due: its time has come."""

    __slots__ = ("alarms", "due", "events", "judge", "regroup")

    def __init__(self) -> None:
        self.events: dict[Id, str] = {}
        self.regroup = False
        self.judge = False
        self.due = False
        self.alarms: dict[Id, int] = {}

    def note(self, anchor: Id, event: str, regroup: bool, judge: bool, alarm: int) -> None:
        """A fragment changed. event: the touchpoint's id; empty: not by a touchpoint. alarm: of its cart; 0: none."""
        if event or anchor not in self.events:
            self.events[anchor] = event
        self.regroup |= regroup
        self.judge |= judge
        if alarm:
            self.alarms[anchor] = earlier(self.alarms.get(anchor, 0), alarm)

    def add(self, other: Cause) -> None:
        self.events.update(other.events)
        self.regroup |= other.regroup
        self.judge |= other.judge
        self.due |= other.due
        self.alarms.update(other.alarms)


class Watched:
    """Identifiers whose facts may change triggers at once. ripe: in clusters of which something may have been due
    already, so that it may be due at once for other persons. told: in clusters that were told something. contested: in
    clusters whose persons may change with each newer sighting. Facts and roots may be at different shards: they have
    one in common. announced: newest time of a price or a stock."""

    def __init__(self) -> None:
        self.ripe: set[Id] = set()
        self.told: set[Id] = set()
        self.contested: set[Id] = set()
        self.announced = 0
