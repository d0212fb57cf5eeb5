"""How the world delivers what shoppers do: in batches, delayed, twice, out of order, with garbage between.

Out: arrivals in the order in which they were received, none after the window. Where `clean`, nothing is a request of a
dialect and nothing is garbage; delays and repeats stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import attrgetter
from random import Random
from typing import NamedTuple

from pipeline.core.times import HOUR, MILLISECOND, MINUTE, SECOND
from pipeline.sample.garbage import garbage
from pipeline.sample.people import WINDOW_END, Event

BATCH_MAX = {"cloudevents": 1, "segment": 5, "posthog": 4, "snowplow": 3}
BATCH_SPAN = 2 * MINUTE
GARBAGE_SHARE = 0.004
REPEATED_SHARE = 0.015


class Arrival(NamedTuple):
    """What was received at once: the events of one record, or garbage. received: microseconds."""

    received: int
    tracker: str
    what: list[Event] | bytes


def arrivals(events: Iterable[Event], seed: int, *, clean: bool) -> list[Arrival]:
    random = Random(f"{seed}/arrival")
    if clean:
        events = (event._replace(tracker="cloudevents") for event in events)
    arrived = [arrival for batch in _batches(events) for arrival in _delivered(batch, random)]
    arrived = [arrival for arrival in arrived if arrival.received <= WINDOW_END]
    arrived.sort(key=attrgetter("received"))
    return arrived if clean else list(_littered(arrived, random))


def _batches(events: Iterable[Event]) -> Iterator[list[Event]]:
    """A client library collects what one visitor does for a while and sends it as one request."""
    batch: list[Event] = []
    for event in events:
        if batch and not _joins(batch, event):
            yield batch
            batch = []
        batch.append(event)
    if batch:
        yield batch


def _joins(batch: list[Event], event: Event) -> bool:
    first = batch[0]
    return (
        event.tracker == first.tracker
        and event.source == first.source
        and len(batch) < BATCH_MAX[event.tracker]
        and 0 <= event.time - first.time <= BATCH_SPAN
    )


def _delivered(batch: list[Event], random: Random) -> Iterator[Arrival]:
    sent = batch[-1].time + batch[-1].late
    received = sent + _delay(random)
    yield Arrival(received, batch[0].tracker, batch)
    if random.random() < REPEATED_SHARE:
        yield Arrival(received + _between(random, SECOND, 5 * HOUR), batch[0].tracker, batch)


def _delay(random: Random) -> int:
    """Mostly under a second; sometimes a phone in a tunnel, seldom a collector that was down for hours."""
    kind = random.random()
    if kind < 0.975:
        return _between(random, 20 * MILLISECOND, SECOND)
    if kind < 0.995:
        return _between(random, MINUTE, 20 * MINUTE)
    return _between(random, HOUR, 4 * HOUR)


def _between(random: Random, least: int, most: int) -> int:
    return random.randrange(least // MILLISECOND, most // MILLISECOND) * MILLISECOND


def _littered(arrived: list[Arrival], random: Random) -> Iterator[Arrival]:
    """Garbage has no time of its own: it is received right behind something else."""
    for arrival in arrived:
        yield arrival
        if random.random() < GARBAGE_SHARE:
            yield Arrival(arrival.received, "", garbage(random, arrival.received))
