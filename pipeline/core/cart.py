"""Carts of a person: the changes of all fragments, folded by cart key into episodes.

Carts stay apart when persons merge. Changes act in the order of (time, event, source), orders after changes of the same
time. A cart named by its checkout id is the cart that shows this checkout id. An implicit cart's lines move into the
cart with an id that shows its transient identifier later. Nothing here knows the present, only what was received.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from pipeline.core.basket import Basket
from pipeline.core.episode import Episode, Lines, Purchase, Ref
from pipeline.core.fragment import Cart, Change, Fragment
from pipeline.core.policy import Policy
from pipeline.core.purchases import purchases
from pipeline.core.quiet import Activities, mark_quiet
from pipeline.core.touchpoint import Id

Arrivals = dict[Ref, list[Lines]]
"""Change of a cart with an id -> lines of implicit carts that move in by it."""


Kept = list[tuple[Change, Id]]
"""Changes, with the fragment that keeps each."""


class _Track(msgspec.Struct):
    """All changes of one cart; `names`: see Basket."""

    cart_id: str | None
    transient: Id | None
    changes: Kept
    names: dict[str, int] = {}


def episodes(
    fragments: Sequence[Fragment],
    as_of: int | None,
    policy: Policy,
    orders: Sequence[Purchase] | None = None,
    activities: Activities | None = None,
) -> list[Episode]:
    """Of one person's fragments, by cart key, then time. as_of: only facts received up to then; None: all. orders,
    activities: of the same, where they are at hand."""
    triggers = policy.triggers
    delays = {"cart": triggers.cart_delay, "checkout": triggers.checkout_delay}
    carts = [(fragment.id, fragment.carts) for fragment in fragments if fragment.carts]
    tracks = _tracks(carts, as_of)
    if not tracks:
        return []
    if orders is None:
        orders = purchases(fragments, as_of)
    return _episodes(tracks, orders, activities or Activities(fragments, as_of), policy, delays)


def basket_episodes(fragments: Sequence[Fragment], as_of: int | None, policy: Policy) -> list[Episode]:
    """The same of store baskets, whose deadlines only their own changes move."""
    baskets = [(fragment.id, fragment.baskets) for fragment in fragments if fragment.baskets]
    delays = {"store_basket": policy.triggers.store_basket_delay}
    tracks = _tracks(baskets, as_of)
    if not tracks:
        return []
    return _episodes(tracks, purchases(fragments, as_of), Activities((), as_of), policy, delays)


def _episodes(
    tracks: dict[str, _Track],
    orders: Sequence[Purchase],
    activities: Activities,
    policy: Policy,
    delays: Mapping[str, int],
) -> list[Episode]:
    """activities: those that put deadlines off. delays: by stage."""
    arrivals: Arrivals = {}
    found: list[Episode] = []
    for implicit in (True, False):
        for key in sorted(tracks):
            track = tracks[key]
            if (track.transient is not None) == implicit:
                moves = _moves(track, tracks) if implicit else []
                found += _walk(key, track, orders, moves, arrivals, policy)
    for episode in found:
        mark_quiet(episode, activities, delays.__getitem__, policy.triggers.session_idle)
    return found


def _tracks(carts: Iterable[tuple[Id, Mapping[str, Cart]]], as_of: int | None) -> dict[str, _Track]:
    tracks: dict[str, _Track] = {}
    for fragment, by_key in carts:
        for key, cart in by_key.items():
            changes = [(one, fragment) for one in cart.changes if as_of is None or one.received <= as_of]
            if changes:
                _join(tracks, key, cart, changes)
    if len(tracks) > 1:
        tracks = _by_checkout(tracks)
    for key, track in tracks.items():
        track.names = {key: 0}
        for change, _ in track.changes:
            if change.checkout:
                track.names.setdefault(change.checkout, change.time)
    return tracks


def _join(tracks: dict[str, _Track], key: str, cart: Cart | _Track, changes: Kept) -> None:
    """An event that came to two fragments counts once, the one with the smaller time."""
    known = tracks.get(key)
    if known is None:
        tracks[key] = _Track(cart.cart_id, cart.transient, changes)
        return
    distinct: dict[Ref, tuple[Change, Id]] = {}
    for one in sorted(known.changes + changes, key=_place):
        distinct.setdefault((one[0].event, one[0].source), one)
    known.changes = list(distinct.values())


def _place(one: tuple[Change, Id]) -> tuple[int, str, str, int, Id]:
    change, fragment = one
    return change.time, change.event, change.source, change.received, fragment


def _by_checkout(tracks: dict[str, _Track]) -> dict[str, _Track]:
    """Carts named by a checkout id join the first cart that shows this id beside its own; one step, no chains."""
    shown = sorted(
        (change.time, change.event, change.source, change.checkout, key)
        for key, track in tracks.items()
        for change, _ in track.changes
        if change.checkout and change.checkout != key and change.checkout in tracks
    )
    into: dict[str, str] = {}
    for _, _, _, checkout, key in shown:
        into.setdefault(checkout, key)
    joining = {checkout: key for checkout, key in into.items() if key not in into}
    joined = {key: track for key, track in tracks.items() if key not in joining}
    for checkout, key in joining.items():
        _join(joined, key, tracks[checkout], tracks[checkout].changes)
    return joined


def _moves(implicit: _Track, tracks: dict[str, _Track]) -> list[Change]:
    """Changes of carts with an id that show the transient identifier of this one."""
    return [
        change
        for track in tracks.values()
        if track.transient is None
        for change, _ in track.changes
        if change.transient == implicit.transient
    ]


def _walk(
    key: str, track: _Track, orders: Sequence[Purchase], moves: list[Change], arrivals: Arrivals, policy: Policy
) -> list[Episode]:
    basket, skew = Basket(key, track.cart_id, track.names, policy), policy.triggers.skew
    times = [order.time for order in orders]
    done = 0
    for change, fragment in _steps(track.changes, moves):
        reached = bisect_left(times, change.time)
        for order in orders[done:reached]:
            basket.order(order)
        done = reached
        ref = (change.event, change.source)
        if fragment is not None:
            near = orders[bisect_left(times, change.time - skew) : done]
            basket.change(change, fragment, arrivals.get(ref, ()), near)
        elif lines := basket.move_out(change.time, ref):
            arrivals.setdefault(ref, []).append(lines)
    for order in orders[done:]:
        basket.order(order)
    return basket.finish()


def _steps(changes: Kept, moves: list[Change]) -> Sequence[tuple[Change, Id | None]]:
    """Changes of a cart and, with no fragment, those of others that take its lines away; in order."""
    if not moves:
        return changes
    steps: list[tuple[Change, Id | None]] = [*changes, *((change, None) for change in moves)]
    return sorted(steps, key=lambda step: (step[0].time, step[0].event, step[0].source))
