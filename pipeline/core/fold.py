"""fold: one touchpoint into the fragment of its anchor, in place. The hottest code of the core.

In the ideal version a fragment is the set of its touchpoints. Here each fact is folded by a law of its own (`facts`),
so that any order gives the same fragment. What every touchpoint leaves (who was seen with whom, when the anchor was
born, that somebody was there) comes first, then the facts of its type by one table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pipeline.core.events import ACTIVITY, BASKET, CART, IN_STORE, KNOWN, ORDER, UNLINKED, VIEW
from pipeline.core.facts.activity import count_on_day, fold_activity
from pipeline.core.facts.bounded import drop_oldest
from pipeline.core.facts.carts import fold_basket, fold_cart
from pipeline.core.facts.consents import fold_consent, fold_revocation
from pipeline.core.facts.messages import fold_bounce, fold_message
from pipeline.core.facts.offers import fold_subscription, want
from pipeline.core.facts.orders import fold_mark, fold_placed, fold_return, fold_updated
from pipeline.core.facts.sightings import has_seen, note_hints, note_time, see_again, see_first
from pipeline.core.facts.sizes import fold_sizes
from pipeline.core.facts.stores import fold_store
from pipeline.core.facts.traces import note_trace
from pipeline.core.facts.traits import fold_traits
from pipeline.core.facts.views import fold_touch, fold_view, fold_visit
from pipeline.core.facts.wishes import fold_list, fold_wish
from pipeline.core.fragment import Fragment
from pipeline.core.identifiers import Registry
from pipeline.core.touchpoint import Id, Touchpoint

Facts = Callable[[Fragment, Touchpoint, Registry], None]


def fold(fragment: Fragment, tp: Touchpoint, registry: Registry) -> list[Id]:
    """Folds `tp` into the fragment of its anchor, `tp.ids[0]`. Returns the identifiers that the fragment saw for the
    first time: the index has to be told. Repeats within the deduplication window must not come here."""
    if tp.trace is not None:
        note_trace(fragment, tp.received, tp.trace)
    if tp.type == UNLINKED:
        return _veto(fragment, tp, registry)
    fragment.version += 1
    received = tp.received
    if received > fragment.received:
        fragment.received = received
    born = tp.time if tp.client_time is None else received
    if born < fragment.born or not fragment.born:
        fragment.born = born
    new = _see(fragment, tp, registry)
    _facts(fragment, tp, registry)
    return new


def _see(fragment: Fragment, tp: Touchpoint, registry: Registry) -> list[Id]:
    key = "\n".join(tp.ids)
    sighting = fragment.sets.get(key)
    new: list[Id] = []
    if sighting is None:
        new = see_first(fragment, key, tp, registry)
    else:
        see_again(sighting, tp)
    if tp.type == "identity.observed" or tp.channel == "app":
        _mark_sighting(fragment, key, tp)
    if tp.plain:
        fragment.plain.update(tp.plain)
    if tp.hints:
        note_hints(fragment, tp)
    return new


def _mark_sighting(fragment: Fragment, key: str, tp: Touchpoint) -> None:
    sighting = fragment.sets.get(key)
    if sighting is None:
        return
    if tp.type == "identity.observed":
        note_time(sighting.observed, tp.time, tp.received)
    if tp.channel == "app" and (not sighting.app or tp.received < sighting.app):
        sighting.app = tp.received


def _facts(fragment: Fragment, tp: Touchpoint, registry: Registry) -> None:
    type = tp.type
    if type in ACTIVITY or (tp.channel != "server" and type not in KNOWN):
        fold_activity(fragment, tp, registry)
    facts, data = _FACTS.get(type), tp.data
    if facts is not None:
        facts(fragment, tp, registry)
    if data.traits:
        fold_traits(fragment, tp, registry)
    if data.store is not None or type == "order.placed":
        fold_store(fragment, tp, registry)
    if data.campaign is not None:
        fold_touch(fragment, tp, registry)
    is_view = type == VIEW
    fragment.looks += is_view
    if (facts is not None and not is_view) or data.traits or data.campaign or data.store or tp.channel in IN_STORE:
        _count_deed(fragment, tp)


def _count_deed(fragment: Fragment, tp: Touchpoint) -> None:
    """By what it changed: what a document says of the rest is known already."""
    type, data = tp.type, tp.data
    fragment.deeds += 1
    if type in CART:
        fragment.puts += 1
    elif type in ORDER:
        fragment.trades += 1
    if data.store or tp.channel in IN_STORE or type in _STORE:
        fragment.trips += 1
    if data.traits or data.campaign or type in _WORDS:
        fragment.words += 1


def _veto(fragment: Fragment, tp: Touchpoint, registry: Registry) -> list[Id]:
    """identity.unlinked: the two must not be one person. Neither links nor anchors."""
    fragment.version += 1
    key = "\n".join(tp.ids)
    new = [] if key in fragment.vetoes else [id for id in tp.ids[1:] if not has_seen(fragment, id)]
    note_time(fragment.vetoes.setdefault(key, []), tp.time, tp.received)
    drop_oldest(fragment, "vetoes", fragment.vetoes, registry.policy.bounds.sets_per_fragment, _newest_veto)
    return new


def _newest_veto(seen: list[tuple[int, int]]) -> int:
    return seen[-1][0]


def _fold_viewed(fragment: Fragment, tp: Touchpoint, registry: Registry) -> None:
    fold_view(fragment, tp, registry)
    count_on_day(fragment, tp, registry, "views")


def _fold_added(fragment: Fragment, tp: Touchpoint, registry: Registry) -> None:
    count_on_day(fragment, tp, registry, "cart_adds")
    _fold_lines(fragment, tp, registry)


def _fold_lines(fragment: Fragment, tp: Touchpoint, registry: Registry) -> None:
    fold_cart(fragment, tp, registry)
    if tp.data.items:
        want(fragment, tp, registry)


def _fold_scan(fragment: Fragment, tp: Touchpoint, registry: Registry) -> None:
    fold_visit(fragment, tp, registry)
    _fold_basket(fragment, tp, registry)


def _fold_basket(fragment: Fragment, tp: Touchpoint, registry: Registry) -> None:
    fold_basket(fragment, tp, registry)
    want(fragment, tp, registry)


def _fold_wished(fragment: Fragment, tp: Touchpoint, registry: Registry) -> None:
    fold_wish(fragment, tp, registry)
    want(fragment, tp, registry)


_FACTS: Final[dict[str, Facts]] = {
    VIEW: _fold_viewed,
    "cart.item_added": _fold_added,
    "cart.item_removed": fold_cart,
    "cart.snapshot": _fold_lines,
    "checkout.started": _fold_lines,
    "checkout.step": _fold_lines,
    "order.placed": fold_placed,
    "order.updated": fold_updated,
    "order.cancelled": fold_mark,
    "order.ready_for_pickup": fold_mark,
    "order.picked_up": fold_mark,
    "order.returned": fold_return,
    "wishlist.item_added": _fold_wished,
    "wishlist.item_removed": fold_wish,
    "list.shared": fold_list,
    "store.visited": fold_visit,
    "store.item_scanned": _fold_scan,
    "store.basket_saved": _fold_basket,
    "stock.subscribed": fold_subscription,
    "size.recorded": fold_sizes,
    "consent.changed": fold_consent,
    "message.sent": fold_message,
    "message.opened": fold_message,
    "message.clicked": fold_message,
    "message.bounced": fold_bounce,
    "message.unsubscribed": fold_revocation,
    "message.complained": fold_revocation,
}
_STORE: Final = BASKET | {"store.visited"}
_WORDS: Final = _FACTS.keys() - CART - ORDER - _STORE - {VIEW}
