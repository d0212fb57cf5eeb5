"""wishlist: a list of wishes, some days after its first product was wished.

The list of a person is that of all fragments. What is bought or taken off leaves it. Until the deadline the rest stays
due; after it, an order of something on the list ends the episode. What is left then opens the next one, together with
the next product that is wished.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from itertools import chain
from typing import Final

import msgspec

from pipeline.core.episode import CartLine, Episode, Lines, Point, Purchase, Quiet, Ref, line_of
from pipeline.core.fragment import Fragment, Line, Wish
from pipeline.core.policy import Policy
from pipeline.core.policy_sections import Triggers
from pipeline.core.touchpoint import Id
from pipeline.core.triggers.family import Family
from pipeline.core.triggers.known import Known


def _earliest(fragment: Fragment, policy: Triggers) -> int | None:
    if not fragment.wishes:
        return None
    return min(wish.time for wish in _changes(fragment)) + policy.wishlist_delay


def _refs(fragment: Fragment) -> Iterable[tuple[Ref, int]]:
    return (((wish.event, wish.source), wish.received) for wish in _changes(fragment))


def _changes(fragment: Fragment) -> Iterable[Wish]:
    return chain(fragment.wishes.values(), fragment.wished)


def _episodes(known: Known) -> list[Episode]:
    walk, done = _Walk(known.policy), 0
    for wish, fragment in _steps(known):
        while done < len(known.orders) and known.orders[done].time < wish.time:
            walk.order(known.orders[done])
            done += 1
        walk.change(wish, fragment)
    if walk.episodes:
        for order in known.orders[done:]:
            walk.order(order)
    return walk.finish()


def _steps(known: Known) -> Iterable[tuple[Wish, Id]]:
    """In the order of time, with the fragment that keeps each; a change that came to two fragments counts once."""
    found = [
        (wish, fragment.id) for fragment in known.fragments for wish in _changes(fragment) if known.has(wish.received)
    ]
    distinct: dict[tuple[str, str, str], tuple[Wish, Id]] = {}
    for wish, fragment in sorted(found, key=_place):
        distinct.setdefault((wish.event, wish.source, wish.sku), (wish, fragment))
    return distinct.values()


def _place(step: tuple[Wish, Id]) -> tuple[int, str, str, str, int, Id]:
    wish, fragment = step
    return wish.time, wish.event, wish.source, wish.sku, wish.received, fragment


class _Walk:
    """Walks through the changes of a list and the orders, in order, and leaves episodes behind."""

    def __init__(self, policy: Policy) -> None:
        self.episodes: list[Episode] = []
        self._triggers, self._main_currency = policy.triggers, policy.profile.currency
        self._lines: Lines = {}
        self._open: Episode | None = None

    def change(self, wish: Wish, fragment: Id) -> None:
        self._expire(wish.time)
        sku = wish.sku
        if wish.line is not None:
            self._lines = {**self._lines, sku: _line(self._lines.get(sku), wish.line, wish.time)}
            if self._open is None:
                self._open = Episode(f"wishlist\n{sku}", None, [], [], {}, 0, any_order=False)
                self.episodes.append(self._open)
        else:
            self._lines = {other: line for other, line in self._lines.items() if other != sku}
        if self.episodes:
            self.episodes[-1].changes.append(((wish.event, wish.source), fragment))
        if self._open is None:
            return
        if not self._lines:
            self._close("emptied", wish.time)
            return
        self._open.points.append(self._point(wish, fragment))
        self._open.expires_at = wish.time + self._triggers.episode_expiry

    def order(self, order: Purchase) -> None:
        self._expire(order.time)
        left = {sku: line for sku, line in self._lines.items() if sku not in order.skus}
        if len(left) == len(self._lines):
            return
        self._lines = left
        episode = self._open
        if episode is None:
            return
        if not left:
            self._close("converted", order.time, order)
        elif order.time > self._deadline(episode):
            self._close("converted_partial", order.time, order)
        else:
            episode.points.append(msgspec.structs.replace(episode.last, time=order.time, lines=left))

    def finish(self) -> list[Episode]:
        for episode in self.episodes:
            deadline = self._deadline(episode)
            point = episode.at(deadline)
            if point is not None:
                opened = episode.points[0]
                episode.quiet.append(Quiet(opened.time, deadline, opened.event, point, episode.ended_at))
        return self.episodes

    def _deadline(self, episode: Episode) -> int:
        return episode.points[0].time + self._triggers.wishlist_delay

    def _expire(self, time: int) -> None:
        if self._open is not None and time >= self._open.expires_at:
            self._close("expired", self._open.expires_at)

    def _close(self, end: str, time: int, order: Purchase | None = None) -> None:
        episode = self._open
        assert episode is not None
        episode.end, episode.ended_at, episode.order = end, time, order
        self._open = None

    def _point(self, wish: Wish, fragment: Id) -> Point:
        lines = self._lines
        channel = wish.source.partition("/")[0]
        currency = next((line.currency for line in reversed(lines.values()) if line.currency), self._main_currency)
        return Point(wish.time, wish.event, wish.source, fragment, channel, channel, "wishlist", lines, currency)


def _line(known: CartLine | None, new: Line, time: int) -> CartLine:
    """As it was wished last, since it was wished first."""
    return line_of(new, Decimal(new.quantity), time if known is None else known.added, time)


WISHLIST: Final = Family(("wishlist",), _earliest, _episodes, _refs, patient=True)
