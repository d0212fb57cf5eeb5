"""A document that is brought up to date says the same as one that is made afresh, whatever came in between."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.blocks import ingredients
from pipeline.core.draft import Draft
from pipeline.core.fit import encode_within
from pipeline.core.fold import fold
from pipeline.core.fragment import Fragment, Line, Wish
from pipeline.core.grouping import PersonIds
from pipeline.core.identifiers import Registry
from pipeline.core.ledger import Told
from pipeline.core.person import Person
from pipeline.core.times import DAY, MINUTE
from pipeline.core.touchpoint import Id, Touchpoint
from pipeline.core.view import MEMBERS, RECIPES, View, view
from tests.core.touchpoints import COOKIE, CUSTOMER, LOYALTY, NOON, OTHER_COOKIE, REGISTRY, registry
from tests.laws.random_touchpoints import touchpoints

IDS = (LOYALTY, CUSTOMER, COOKIE, OTHER_COOKIE)
RULES = registry(
    """
    [profile.segments]
    buyer = "commerce.order_count > 0"
    lapsed = 'timestamp(as_of) - timestamp(engagement.last_seen) > duration("2400h")'
    """
)
SHOPPING = (
    "product.viewed",
    "page.viewed",
    "cart.item_added",
    "cart.snapshot",
    "order.placed",
    "order.returned",
    "store.visited",
    "store.basket_saved",
    "consent.changed",
)
STEPS = st.sampled_from((0, 1, 31, 70, 24 * 60, 31 * 24 * 60)).map(lambda minutes: minutes * MINUTE)
TOLD = Told("t", "e", "cart", 0, 1, "fired", None, (), None, 1, NOON, NOON, NOON, COOKIE, (), NOON)


class Watched:
    """A person whose document is brought up to date now and then."""

    def __init__(self, registry: Registry) -> None:
        self.registry, self.draft = registry, Draft(registry)
        self.fragments: dict[Id, Fragment] = {}
        self.told: list[Told] = []
        self.ids: tuple[Id, ...] = IDS
        self.now = NOON

    def take(self, touchpoint: Touchpoint) -> None:
        fold(self.fragments.setdefault(touchpoint.ids[0], Fragment(touchpoint.ids[0])), touchpoint, self.registry)

    def person(self) -> Person:
        return Person(self.ids, [self.fragments[id] for id in sorted(self.fragments)], "p")

    def renewed(self) -> View:
        person = self.person()
        group = PersonIds(self.ids, tuple(sorted(self.fragments)), self.ids[0], False, False, 0)
        self.draft.renew(group, person, list(self.told), self.now)
        return view(person, self.now, self.registry, {one.trigger_id: one for one in self.told})

    def check(self) -> None:
        fresh = self.renewed()
        assert list(self.draft.blocks) == list(MEMBERS)
        assert written(made.member for made in self.draft.blocks.values()) == msgspec.json.encode(fresh.blocks)
        for known, next in ((self.draft.next_change, fresh.next_change), (self.draft.next_fade, fresh.next_fade)):
            assert next is None or (known is not None and known <= next), "what changes by time is not missed"


def written(members: Iterable[bytes]) -> bytes:
    return b"{%b}" % b",".join(filter(None, members))


HISTORIES = touchpoints() | touchpoints(types=SHOPPING)


@given(HISTORIES, st.data(), st.sampled_from((REGISTRY, RULES)))
def test_a_document_brought_up_to_date_is_the_same_as_one_made_afresh(history, data, registry):
    watched = Watched(registry)
    for touchpoint in sorted(history, key=lambda one: one.received):
        watched.take(touchpoint)
        if data.draw(st.booleans()):
            watched.now = max(watched.now, touchpoint.received) + data.draw(STEPS)
            watched.ids = data.draw(st.sampled_from((IDS, IDS[1:])))
            watched.told = data.draw(st.sampled_from(([], [TOLD])))
            watched.check()
    watched.now += data.draw(st.integers(0, 120)) * DAY
    watched.check()


@pytest.mark.parametrize("kind", RECIPES)
def test_each_block_is_made_again_for_what_it_is_made_from(kind: str) -> None:
    assert 0 < RECIPES[kind].of <= ingredients.ALL


def test_what_no_kind_of_facts_counts_makes_all_of_the_document_anew() -> None:
    """As when an earlier version, which does not count so, wrote the row."""
    watched = Watched(REGISTRY)
    fragment = watched.fragments[CUSTOMER] = Fragment(CUSTOMER)
    watched.check()
    fragment.wishes["S"] = Wish(NOON, "e", "web/shop", NOON, "S", Line("S"))
    fragment.version += 1
    fragment.deeds += 1
    watched.check()
    assert watched.draft.blocks["wishlist"].member


@given(touchpoints(types=("cart.snapshot", "wishlist.item_added", "profile.updated")), st.integers(600, 2_000))
@settings(max_examples=30)
def test_a_fragment_that_was_cut_is_seen_as_it_is_left(history, most):
    watched = Watched(REGISTRY)
    for touchpoint in history:
        watched.take(touchpoint)
    watched.check()
    for fragment in watched.fragments.values():
        encode_within(fragment, most)
    watched.check()
