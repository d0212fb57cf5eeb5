"""The core without Kafka: touchpoints in, outputs out, by their own clock.

The clock is the received time of the last touchpoint and never goes back. An epoch ends when it passes a full second or
the time at which something is due; mail runs until nothing is on its way. After the last touchpoint the clock moves on
to a given time, if that is later, and meets everything due on the way; then every profile is viewed once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pipeline.core.effects import Effects, Output
from pipeline.core.group import Group
from pipeline.core.identifiers import Registry
from pipeline.core.times import SECOND
from pipeline.core.touchpoint import Rejected, Touchpoint


class Replay:
    """`out` takes every record. final: documents are published once, at the end, without profile-changes."""

    def __init__(self, registry: Registry, out: Callable[[Output], None], *, final: bool = False) -> None:
        self.group = Group(registry, "replay", durable=False, documents=not final)
        for number in range(registry.shards):
            self.group.add(number)
        self.clock = 0
        self.counts: dict[str, int] = {}
        self._home, self._out, self._final = registry.home, out, final
        self._ends = 0
        """Full second at which the epoch under way ends; 0: it has no touchpoint yet."""

    def touch(self, touchpoint: Touchpoint) -> Rejected | None:
        """Takes the next touchpoint; why not, if it may not come in."""
        received = touchpoint.received
        if received > self.clock:
            if self._ends < received:
                self._pass(received)
            self.clock = received
        if not self._ends:
            self._ends = -(-self.clock // SECOND) * SECOND
        ids = touchpoint.ids
        return self.group.touch(self._home(ids[0]) if ids else 0, touchpoint)

    def finish(self, until: int = 0) -> None:
        """Ends the history at the clock, or at `until` if that is later."""
        if until > self.clock:
            self._pass(until + 1)
            self.clock = until
        self._perform(self.group.drain(self.clock, self.clock))
        self._perform(self.group.finish(self.clock))

    def _pass(self, time: int) -> None:
        """Ends the epochs that the clock passes on its way to `time`."""
        while True:
            due = self.group.next_due or time
            ends = self._ends if not self._final or self.group.urgent or due <= self._ends else 0
            end = ends or time
            if self.clock < due < end:
                end = due
            if end >= time:
                self._ends = 0
                return
            self.clock = end
            self._perform(self.group.drain(end, end))
            if end >= self._ends:
                self._ends = 0

    def _perform(self, effects: Effects) -> None:
        assert not effects.rejected, "all shards are here, so nothing is refused behind its arrival"
        out, final, counts = self._out, self._final, self.counts
        for output in effects.outputs:
            if not (final and output.topic == "profile-changes"):
                out(output)
        for what, by in effects.counts.items():
            counts[what] = counts.get(what, 0) + by

    def count(self, what: str, by: int = 1) -> None:
        self.counts[what] = self.counts.get(what, 0) + by


def replay(touchpoints: Iterable[Touchpoint], registry: Registry, until: int = 0) -> list[Output]:
    """All records of a history."""
    outputs: list[Output] = []
    run = Replay(registry, outputs.append)
    for touchpoint in touchpoints:
        run.touch(touchpoint)
    run.finish(until)
    return outputs
