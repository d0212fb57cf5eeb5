"""preferences: the channel and the hour at which the person is there most, the size of what it keeps, by category, and
which categories and brands it likes. Each only from `preference_min` observations on.

Likes fade: an observation half a life older than the newest weighs half as much. Weights are shares of all, so that
they do not change by time alone. They are added in fixed point, so that the order of addition does not show.
"""

from __future__ import annotations

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
            for hour, count in by_hour.items():
                channels[channel] = channels.get(channel, 0) + count
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
    block = {}
    for name, of in (("categories", "category"), ("brands", "brand")):
        liked = _likes([(time, value) for time, line in seen if (value := getattr(line, of))], profile)
        if liked:
            block[name] = liked
    return block


def _most(counts: Mapping[Any, int], least: int) -> dict[str, Any] | None:
    """The value that was observed most; of several the smallest."""
    if not counts:
        return None
    value = min(counts, key=lambda value: (-counts[value], value))
    support = counts[value]
    if support < least:
        return None
    return {"value": value, "support": support, "share": round(support / sum(counts.values()), _DIGITS)}


def _seen(fragments: Iterable[Fragment]) -> Iterator[tuple[int, Line]]:
    """What was viewed, put into a cart and wished, with the time."""
    for fragment in fragments:
        for view in fragment.views:
            for line in view.lines:
                yield view.time, line
        for cart in fragment.carts.values():
            for change in cart.changes:
                if change.kind == "add":
                    for line in change.lines:
                        yield change.time, line
        for wish in fragment.wishes.values():
            if wish.line is not None:
                yield wish.time, wish.line


def _ordered(orders: Mapping[str, Order]) -> Iterator[tuple[int, Line]]:
    for order in orders.values():
        if order.placed is not None:
            for line in order.placed.lines:
                yield order.placed.time, line


def _likes(observed: Sequence[tuple[int, str]], profile: Profile) -> list[dict[str, Any]]:
    """observed: (time, name)."""
    newest, half = max((time for time, _ in observed), default=0), profile.affinity_half_life
    weights: dict[str, int] = {}
    counts: dict[str, int] = {}
    for time, name in observed:
        weights[name] = weights.get(name, 0) + round(_UNIT * 0.5 ** ((newest - time) / half))
        counts[name] = counts.get(name, 0) + 1
    whole = sum(weights.values())
    liked = [
        {"name": name, "weight": round(weights[name] / whole, _DIGITS)}
        for name in sorted(weights, key=lambda name: (-weights[name], name))
        if counts[name] >= profile.preference_min
    ]
    return liked[:_LIKES_MAX]
