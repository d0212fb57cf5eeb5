"""preferences: the channel and the hour at which the person is there most, the size of what it keeps, by category, and
which categories and brands it likes. Each only from `preference_min` observations on.

Likes fade: an observation half a life older than the newest weighs half as much. Weights are shares of all, so that
they do not change by time alone. They are added in fixed point, so that the order of addition does not show.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from pipeline.core.fragment import Fragment, Line, Order
from pipeline.core.policy_sections import Profile
from pipeline.core.sales import Bought

_UNIT: Final = 1 << 32
_LIKES_MAX: Final = 20
_DIGITS: Final = 4


def habits(fragments: Iterable[Fragment], least: int) -> dict[str, Any]:
    """channel and hour."""
    channels: dict[str, int] = {}
    hours: dict[int, int] = {}
    for fragment in fragments:
        for channel, by_hour in fragment.rhythm.items():
            channels[channel] = channels.get(channel, 0) + sum(by_hour.values())
            for hour, count in by_hour.items():
                hours[hour] = hours.get(hour, 0) + count
    block = {}
    for name, counts in (("channel", channels), ("hour", hours)):
        found = _most(counts, least)
        if found is not None:
            block[name] = found
    return block


def sizes(fragments: Iterable[Fragment], sold: Iterable[Bought], least: int) -> dict[str, Any] | None:
    """By category. sold: orders that were not cancelled."""
    counts: dict[str, dict[str, int]] = {}
    pairs = [(line.category, line.size) for one in sold for line in one.kept]
    said = {key: one for fragment in fragments for key, one in fragment.sizes.items()}
    for category, size in (*pairs, *(pair for one in said.values() for pair in one.pairs)):
        if category and size:
            of = counts.setdefault(category, {})
            of[size] = of.get(size, 0) + 1
    found = {category: _most(counts[category], least) for category in sorted(counts)}
    return {category: size for category, size in found.items() if size is not None} or None


def likes(fragments: Sequence[Fragment], orders: Mapping[str, Order], profile: Profile) -> dict[str, Any]:
    """categories and brands. orders: of all fragments."""
    seen = [*_seen(fragments), *_ordered(orders)]
    newest, half = max((time for time, _ in seen), default=0), profile.affinity_half_life
    categories: defaultdict[str, list[int]] = defaultdict(list)
    brands: defaultdict[str, list[int]] = defaultdict(list)
    for time, lines in seen:
        weight = round(_UNIT * 0.5 ** ((newest - time) / half))
        for line in lines:
            if line.category:
                categories[line.category].append(weight)
            if line.brand:
                brands[line.brand].append(weight)
    least = profile.preference_min
    found = {"categories": _shown(categories, least), "brands": _shown(brands, least)}
    return {name: shown for name, shown in found.items() if shown}


def _most(counts: Mapping[Any, int], least: int) -> dict[str, Any] | None:
    """The value that was observed most; of several the smallest."""
    if not counts:
        return None
    support = max(counts.values())
    if support < least:
        return None
    value = min(value for value, count in counts.items() if count == support)
    return {"value": value, "support": support, "share": round(support / sum(counts.values()), _DIGITS)}


def _seen(fragments: Iterable[Fragment]) -> Iterator[tuple[int, Sequence[Line]]]:
    """What was viewed, put into a cart and wished, with the time."""
    for fragment in fragments:
        for view in fragment.views:
            yield view.time, view.lines
        for cart in fragment.carts.values():
            for change in cart.changes:
                if change.kind == "add":
                    yield change.time, change.lines
        for wish in fragment.wishes.values():
            if wish.line is not None:
                yield wish.time, (wish.line,)


def _ordered(orders: Mapping[str, Order]) -> Iterator[tuple[int, Sequence[Line]]]:
    for order in orders.values():
        if order.placed is not None:
            yield order.placed.time, order.placed.lines


def _shown(weights: Mapping[str, list[int]], least: int) -> list[dict[str, Any]]:
    """Names with enough observations, the heaviest first. weights: of each observation, by name."""
    sums = {name: sum(of) for name, of in weights.items()}
    whole = sum(sums.values())
    names = [name for name, of in weights.items() if len(of) >= least]
    names.sort(key=lambda name: (-sums[name], name))
    return [{"name": name, "weight": round(sums[name] / whole, _DIGITS)} for name in names[:_LIKES_MAX]]
