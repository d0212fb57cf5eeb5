"""The sample shop: a seeded generator of touchpoints as a retailer of many channels would send them.

The same arguments give the same bytes. Every shopper has a random source of their own, so that more shoppers leave the
earlier ones as they are. Times are whole milliseconds, as Kafka keeps them; the window always ends at the same instant.
Nothing here knows how touchpoints are read: the sample is input, written by hand, and may hold what a reader refuses.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

from pipeline.core import times
from pipeline.sample.arrival import Arrival, arrivals
from pipeline.sample.people import SHOWCASE as SHOWCASE
from pipeline.sample.people import WINDOW_END as WINDOW_END
from pipeline.sample.people import WINDOW_START as WINDOW_START
from pipeline.sample.shelf import shelf
from pipeline.sample.stories import journeys
from pipeline.sample.wire import encode, key_of

CLOUDEVENTS = (("content-type", b"application/cloudevents+json; charset=UTF-8"),)


class SampleRecord(NamedTuple):
    """A record for the `touchpoints` topic. received: microseconds since 1970-01-01 UTC. The headers say it too where
    the value has no place for it."""

    received: int
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


def generate(
    seed: int = 1,
    shoppers: int = 1_500,
    touchpoints: int = 20_000,
    *,
    cloudevents_only: bool = False,
    wares: bool = True,
) -> Iterator[SampleRecord]:
    """About `touchpoints` touchpoints of about `shoppers` shoppers and, with `wares`, facts about what is sold, in the
    order in which they were received.

    A request of a dialect is one record with several touchpoints. With `cloudevents_only` there are no such requests
    and nothing that a reader refuses."""
    events = chain(journeys(seed, shoppers, touchpoints), shelf(seed, touchpoints if wares else 0))
    for arrival in arrivals(events, seed, clean=cloudevents_only):
        yield _record(arrival)


def _record(arrival: Arrival) -> SampleRecord:
    received, what = arrival.received, arrival.what
    headers = CLOUDEVENTS if arrival.tracker == "cloudevents" else (("ce_recordedtime", times.text(received).encode()),)
    if isinstance(what, bytes):
        return SampleRecord(received, None, what, headers)
    return SampleRecord(received, key_of(what[0]), encode(arrival.tracker, what, received), headers)
