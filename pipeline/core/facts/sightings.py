"""Which identifiers were seen together, when and how often.

A set of identifiers is known by their texts. Of the sets the newest `sets_per_fragment` by (time, text) are kept; what
an older one counted moves into the shares of its identifiers. Of the times of a set 8 are kept, each with when it was
first received: the one received first, since then the set is known, and the newest ones.
"""

from __future__ import annotations

from bisect import bisect_left
from operator import itemgetter
from typing import Final

from pipeline.core.facts.bounded import count_dropped, drop_oldest
from pipeline.core.fragment import Fragment, Seen, Sighting, ids_of
from pipeline.core.identifiers import Registry
from pipeline.core.touchpoint import Id, Touchpoint

_RECEIVED: Final = itemgetter(1)
_TIMES_KEPT: Final = 8
_HINTS_MAX: Final = 32
_SOURCES_MAX: Final = 64


def see_again(sighting: Sighting, tp: Touchpoint) -> None:
    time, source = tp.time, tp.source
    sighting.count += 1
    sources = sighting.sources
    if source in sources:
        sources[source] += 1
    else:
        _count_source(sources, source)
    last = sighting.last
    if time > last or (time == last and (tp.id, source) > (sighting.last_event, sighting.last_source)):
        sighting.last = time
        sighting.last_event = tp.id
        sighting.last_source = source
        sighting.last_channel = tp.channel
    first = sighting.first
    if time < first or (time == first and (tp.id, source) < (sighting.first_event, sighting.first_source)):
        sighting.first = time
        sighting.first_event = tp.id
        sighting.first_source = source
    seen = sighting.seen
    if time > last:
        seen.append((time, tp.received))
        if len(seen) > _TIMES_KEPT:
            _forget_time(seen)
    else:
        note_time(seen, time, tp.received)


def note_time(seen: list[tuple[int, int]], time: int, received: int) -> None:
    """Adds a (time, received) pair."""
    place = bisect_left(seen, (time,))
    if place < len(seen) and seen[place][0] == time:
        if received < seen[place][1]:
            seen[place] = (time, received)
        return
    seen.insert(place, (time, received))
    if len(seen) > _TIMES_KEPT:
        _forget_time(seen)


def _forget_time(seen: list[tuple[int, int]]) -> None:
    """Drops the oldest time that is not the one received first."""
    known_since = min(seen, key=_RECEIVED)[1]
    del seen[1 if seen[0][1] == known_since else 0]


def first_received(sighting: Sighting) -> int:
    """When the set was first received."""
    return min(received for _, received in sighting.seen)


def weaker_since(fragment: Fragment) -> dict[Id, int]:
    """The identifiers that were seen with the anchor, with the time at which this was first received."""
    since = {id: share.received for id, share in fragment.rest.items()}
    for key, sighting in fragment.sets.items():
        received = first_received(sighting)
        for id in ids_of(key):
            since[id] = min(received, since.get(id, received))
    since.pop(fragment.id, None)
    return since


def see_first(fragment: Fragment, key: str, tp: Touchpoint, registry: Registry) -> list[Id]:
    """A set that the fragment does not have. Returns the identifiers that are new to the fragment."""
    new = [id for id in tp.ids[1:] if not has_seen(fragment, id)]
    sets = fragment.sets
    time, event, source = tp.time, tp.id, tp.source
    sets[key] = Sighting(time, event, source, time, event, source, tp.channel, 1, {source: 1}, [(time, tp.received)])
    limit = registry.policy.bounds.sets_per_fragment
    while len(sets) > limit:
        drop_oldest_set(fragment)
    while len(fragment.rest) > registry.policy.identity.hub_fanout + 1:
        drop_oldest_share(fragment)
    return new


def has_seen(fragment: Fragment, id: Id) -> bool:
    """Whether the fragment saw the identifier together with its anchor."""
    if id in fragment.rest:
        return True
    end = "\n" + id
    middle = end + "\n"
    return any(key.endswith(end) or middle in key for key in fragment.sets)


def join_sightings(one: Sighting, other: Sighting) -> Sighting:
    """What one set of identifiers is known by, from two disjoint halves of its touchpoints."""
    first = min((one.first, one.first_event, one.first_source), (other.first, other.first_event, other.first_source))
    newer = max((one, other), key=lambda half: (half.last, half.last_event, half.last_source))
    joined = Sighting(
        *first,
        newer.last,
        newer.last_event,
        newer.last_source,
        newer.last_channel,
        one.count + other.count,
        dict(one.sources),
        list(one.seen),
        list(one.observed),
        min(filter(None, (one.app, other.app)), default=0),
    )
    for source, count in other.sources.items():
        _count_source(joined.sources, source, count)
    for time, received in other.seen:
        note_time(joined.seen, time, received)
    for time, received in other.observed:
        note_time(joined.observed, time, received)
    return joined


def drop_oldest_set(fragment: Fragment) -> None:
    """Leaves the shares of its identifiers."""
    sets = fragment.sets
    key = min(sets, key=lambda key: (sets[key].last, key))
    sighting = sets.pop(key)
    count_dropped(fragment, "sets_per_fragment")
    for id in ids_of(key):
        _add_share(fragment.rest, id, sighting)


def _add_share(rest: dict[Id, Seen], id: Id, sighting: Sighting) -> None:
    share = rest.get(id)
    if share is None:
        rest[id] = Seen(sighting.first, sighting.last, sighting.count, dict(sighting.sources), first_received(sighting))
        return
    share.received = min(share.received, first_received(sighting))
    share.first = min(share.first, sighting.first)
    share.last = max(share.last, sighting.last)
    share.count += sighting.count
    for source, count in sighting.sources.items():
        _count_source(share.sources, source, count)


def drop_oldest_share(fragment: Fragment) -> None:
    """The anchor's own share, which counts all of these touchpoints, goes last."""
    rest = fragment.rest
    oldest = min(rest, key=lambda id: (id == fragment.id, rest[id].last, id))
    del rest[oldest]
    count_dropped(fragment, "rest")
    if not has_seen(fragment, oldest):
        fragment.plain.pop(oldest, None)


def _count_source(sources: dict[str, int], source: str, by: int = 1) -> None:
    """Beyond the bound, what is left of a new source is its channel."""
    if source not in sources and len(sources) >= _SOURCES_MAX:
        source = f"{source.partition('/')[0]}/*"
    sources[source] = sources.get(source, 0) + by


def note_hints(fragment: Fragment, tp: Touchpoint) -> None:
    """Unverified contacts: noted, never linked."""
    hints, time, source = fragment.hints, tp.time, tp.source
    for type, value in tp.hints:
        key = f"{type}:{value}"
        known = hints.get(key)
        if known is None:
            hints[key] = Seen(time, time, 1, {source: 1}, tp.received)
            continue
        known.received = min(known.received, tp.received)
        known.first = min(known.first, time)
        known.last = max(known.last, time)
        known.count += 1
        _count_source(known.sources, source)
    drop_oldest(fragment, "hints", hints, _HINTS_MAX, lambda hint: hint.last)
