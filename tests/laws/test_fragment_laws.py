"""Laws of folding: the order of touchpoints does not show in a fragment, nor how it was stored on the way."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.fold import fold
from pipeline.core.fragment import Fragment
from pipeline.core.times import MINUTE
from pipeline.core.touchpoint import Id, Touchpoint
from pipeline.core.wishes import wishes_of
from tests.core.touchpoints import CUSTOMER, NOON, REGISTRY, folded, registry
from tests.laws.random_touchpoints import touchpoints


def facts(fragment: Fragment) -> dict[str, object]:
    return {name: getattr(fragment, name) for name in fragment.__struct_fields__ if name != "version"}


@given(touchpoints(), st.randoms(use_true_random=False))
def test_any_order_folds_to_the_same_fragment(history, random):
    shuffled = random.sample(history, len(history))
    assert facts(folded(shuffled)) == facts(folded(history))


@given(touchpoints(), st.randoms(use_true_random=False))
def test_any_order_tells_the_index_of_the_same_identifiers(history, random):
    def told(order: list[Touchpoint]) -> set[Id]:
        fragment = Fragment(CUSTOMER)
        return {id for tp in order for id in fold(fragment, tp, REGISTRY)}

    assert told(random.sample(history, len(history))) == told(history) == {id for tp in history for id in tp.ids[1:]}


@given(touchpoints(), st.integers(0, 30))
def test_a_fragment_that_was_stored_on_the_way_is_the_same(history, at):
    fragment = Fragment(CUSTOMER)
    for number, tp in enumerate(history):
        if number == at:
            fragment = msgspec.msgpack.decode(msgspec.msgpack.encode(fragment), type=Fragment)
        fold(fragment, tp, REGISTRY)
    assert facts(fragment) == facts(folded(history))


SETS_AND_REGISTERS = (
    *("orders", "returns", "carts", "clicks", "consents", "traits", "activity", "sessions", "vetoes"),
    *("wishes", "wished", "lists", "views", "baskets", "visits", "stores", "touches", "sizes", "bounces"),
    "traces",
)


@given(touchpoints())
def test_an_event_that_comes_again_after_the_window_adds_to_counts_only(history):
    once, twice = folded(history), folded([*history, *history])
    for name in SETS_AND_REGISTERS:
        assert getattr(twice, name) == getattr(once, name)


@given(touchpoints(types=("wishlist.item_added", "wishlist.item_removed", "page.viewed")), st.integers(-3000, 1500))
def test_what_was_wished_as_of_a_time_is_what_was_folded_by_then(history, minute):
    as_of = NOON + minute * MINUTE
    known = [tp for tp in history if tp.received <= as_of]
    assert wishes_of([folded(history)], as_of) == (wishes_of([folded(known)], None) if known else [])


TIGHT = registry(
    "[bounds]\nchanges_per_cart = 3\ntraits = 1\nday_buckets = 2\nlines_per_cart = 2\nviews = 2\nwishlist = 1\n"
    "lists = 1\ntouches = [1, 2]"
)


@given(touchpoints(), st.randoms(use_true_random=False))
def test_what_bounds_keep_does_not_depend_on_the_order(history, random):
    one, other = (facts(folded(order, TIGHT)) for order in (history, random.sample(history, len(history))))
    counted = one.pop("dropped"), other.pop("dropped")
    assert one == other
    assert set(counted[0]) == set(counted[1])


@given(touchpoints(), st.randoms(use_true_random=False))
@settings(max_examples=50)
def test_identifiers_are_counted_the_same_when_sets_are_dropped(history, random):
    narrow = registry("[bounds]\nsets_per_fragment = 2")

    def counted(order: list[Touchpoint]) -> dict[str, tuple[int, int, int]]:
        fragment = folded(order, narrow)
        assert len(fragment.sets) <= 2
        shares = {id: [(seen.first, seen.last, seen.count)] for id, seen in fragment.rest.items()}
        for key, sighting in fragment.sets.items():
            for id in key.split("\n"):
                shares.setdefault(Id(id), []).append((sighting.first, sighting.last, sighting.count))
        return {
            id: (min(s[0] for s in parts), max(s[1] for s in parts), sum(s[2] for s in parts))
            for id, parts in shares.items()
        }

    assert counted(random.sample(history, len(history))) == counted(history)
