"""Holdings: when a person held an SKU in a cart, on the wish list or by a stock subscription, by what is known.

A cart holds what it has until it is changed, closed or expired; what an order of other things left in it, too. A wish
and a subscription end when the SKU is bought. Of a time only facts up to then are asked, so that what comes after does
not change what was held.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple

from pipeline.core.episode import CartLine, Episode, Purchase, line_of
from pipeline.core.fragment import Line, Subscription, Wish
from pipeline.core.times import LATEST
from pipeline.core.touchpoint import Id
from pipeline.core.triggers.known import Known


class Hold(NamedTuple):
    """From `start` until before `end`. removed: the person took it away then. order: it was bought then. since: when it
    was put there. fragment: where the fact is kept."""

    start: int
    end: int
    removed: bool
    line: CartLine
    since: int
    fragment: Id
    channel: str
    kind: str
    subscribed: bool = False
    order: Purchase | None = None


def holds(known: Known, sku: str) -> list[Hold]:
    """By start."""
    orders = [order for order in known.orders if sku in order.skus]
    found = [*_in_carts(known.carts, sku), *_on_wish_list(known, sku, orders), *_subscribed(known, sku, orders)]
    return sorted(found, key=lambda hold: (hold.start, hold.end, hold.fragment))


def held_at(found: Sequence[Hold], time: int) -> list[Hold]:
    """What was held at a time; if nothing was, what had been until it was bought: of an order one may hear late."""
    held = [hold for hold in found if hold.start <= time < hold.end]
    return held or [hold for hold in found if hold.end <= time and hold.order is not None]


def given_up(found: Sequence[Hold], time: int) -> int | None:
    """When the person, who held it at a time, took it away from everywhere; None: never."""
    until = time
    while ends := [hold.end for hold in found if hold.start <= until < hold.end]:
        until = max(ends)
    return until if any(hold.removed and hold.end == until for hold in found) else None


def _in_carts(carts: Sequence[Episode], sku: str) -> Iterator[Hold]:
    following: dict[str, int] = {}
    for episode in sorted(carts, key=lambda one: one.points[0].time, reverse=True):
        yield from _in_cart(episode, sku, following.get(episode.key, LATEST))
        following[episode.key] = episode.points[0].time


def _in_cart(episode: Episode, sku: str, following: int) -> Iterator[Hold]:
    """following: when the next episode of the cart began."""
    for point, after in pairwise((*episode.points, None)):
        assert point is not None
        line = point.lines.get(sku)
        if line is None:
            continue
        if after is None:
            end, removed, order = _end(episode, sku, following)
        else:
            end, removed, order = after.time, sku not in after.lines, None
        where = point.fragment, point.channel, point.kind
        yield Hold(point.time, end, removed, line, line.added, *where, order=order)


def _end(episode: Episode, sku: str, following: int) -> tuple[int, bool, Purchase | None]:
    end, ended_at, order = episode.end, episode.ended_at, episode.order
    if ended_at is not None and end in ("emptied", "superseded"):
        return ended_at, True, None
    if ended_at is not None and order is not None and (end == "converted" or sku in order.skus):
        return ended_at, False, order
    return min(episode.expires_at, following), False, None


def _on_wish_list(known: Known, sku: str, orders: Sequence[Purchase]) -> Iterator[Hold]:
    distinct: dict[tuple[str, str], tuple[Wish, Id]] = {}
    for step in sorted(_wishes(known, sku), key=lambda step: (step[0].time, *_ref(step[0]), step[0].received, step[1])):
        distinct.setdefault(_ref(step[0]), step)
    for one, after in pairwise((*distinct.values(), None)):
        assert one is not None
        wish, fragment = one
        if wish.line is None:
            continue
        end = LATEST if after is None else after[0].time
        removed = after is not None and after[0].line is None
        channel = wish.source.partition("/")[0]
        yield _until_bought(
            Hold(wish.time, end, removed, _line(wish.line, wish.time), wish.time, fragment, channel, channel), orders
        )


def _wishes(known: Known, sku: str) -> Iterator[tuple[Wish, Id]]:
    for fragment in known.fragments:
        newest = fragment.wishes.get(sku)
        for wish in (*((newest,) if newest is not None else ()), *fragment.wished):
            if wish.sku == sku and known.has(wish.received):
                yield wish, fragment.id


def _subscribed(known: Known, sku: str, orders: Sequence[Purchase]) -> Iterator[Hold]:
    for fragment in known.fragments:
        for one in fragment.subscriptions.get(sku, ()):
            if known.has(one.received):
                line = _line(one.line, one.time)
                hold = Hold(one.time, LATEST, False, line, one.time, fragment.id, one.channel, one.channel, True)
                yield _until_bought(hold, orders)


def _ref(fact: Wish | Subscription) -> tuple[str, str]:
    return fact.event, fact.source


def _until_bought(hold: Hold, orders: Sequence[Purchase]) -> Hold:
    order = next((order for order in orders if order.time > hold.start), None)
    return hold if order is None or order.time > hold.end else hold._replace(end=order.time, removed=False, order=order)


def _line(line: Line, time: int) -> CartLine:
    return line_of(line, Decimal(line.quantity), time, time)
