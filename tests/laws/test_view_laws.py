"""Laws of the view: it is a function of facts and time, however the facts came and wherever they are kept."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.events import BASKET, CART
from pipeline.core.person import Person
from pipeline.core.times import DAY, MINUTE
from pipeline.core.touchpoint import CartRef, Id, Touchpoint
from pipeline.core.view import MEMBERS, View, sooner, view
from tests.core.touchpoints import COOKIE, CUSTOMER, LOYALTY, NOON, OTHER_COOKIE, fragments_of, registry
from tests.laws.random_touchpoints import touchpoints

IDS = (LOYALTY, CUSTOMER, Id("email:" + "0" * 64), COOKIE, OTHER_COOKIE)
REGISTRY = registry(
    """
    [profile.segments]
    buyer = "commerce.order_count > 0"
    store_first = 'preferences.channel.value == "store"'
    lapsed = 'timestamp(as_of) - timestamp(engagement.last_seen) > duration("2400h")'
    """
)
SHOPPING = (
    "cart.item_added",
    "cart.item_removed",
    "cart.snapshot",
    "checkout.started",
    "order.placed",
    "order.returned",
)
HISTORIES = touchpoints() | touchpoints(types=SHOPPING)
INSTANTS = st.integers(-3000, 3000).map(lambda minute: NOON + minute * MINUTE) | st.integers(0, 120).map(
    lambda day: NOON + day * DAY
)


def viewed(history: list[Touchpoint], now: int, reverse: bool = False) -> View:
    fragments = fragments_of(history)
    return view(Person(IDS, fragments[::-1] if reverse else fragments, "p"), now, REGISTRY, None)


@given(HISTORIES, st.randoms(use_true_random=False), INSTANTS)
def test_any_order_of_touchpoints_and_fragments_gives_the_same_view(history, random, now):
    shuffled = random.sample(history, len(history))
    assert viewed(shuffled, now, reverse=True) == viewed(history, now)


@given(HISTORIES, st.data(), INSTANTS)
def test_it_does_not_matter_on_which_fragments_the_facts_of_a_person_are(history, data, now):
    """Facts that hang on a transient identifier apart: here all carts have an id, and the weaker identifiers stay."""
    linked = [tp for tp in history if tp.type != "identity.unlinked"]
    for tp in linked:
        if tp.type in CART | BASKET and not (tp.data.cart and (tp.data.cart.id or tp.data.cart.checkout_id)):
            tp.data.cart = CartRef(id="1")
    apart = []
    for tp in linked:
        anchor = data.draw(st.sampled_from((LOYALTY, CUSTOMER)))
        apart.append(msgspec.structs.replace(tp, ids=(anchor, *tp.ids[1:])))
    one, other = viewed(linked, now).blocks, viewed(apart, now).blocks
    for name in set(MEMBERS) - {"identity", "identifiers", "carts"}:
        assert one.get(name) == other.get(name), name
    assert counts(one) == counts(other)


def counts(blocks: dict) -> dict[str, tuple[int, str | None]]:
    return {
        row["type"] + row["value"]: (row["count"], row.get("first_seen"))
        for row in blocks["identifiers"]
        if row["type"] not in ("customer", "loyalty")
    }


@given(HISTORIES, INSTANTS)
@settings(max_examples=60)
def test_a_view_holds_until_the_time_it_names_and_not_longer_than_a_change(history, now):
    """Between now and the time it names nothing changes; without one nothing ever does."""
    for _ in range(5):
        seen = viewed(history, now)
        until = sooner(seen.next_change, seen.next_fade)
        later = now + 400 * DAY if until is None else until - 1
        assert later >= now
        for instant in {now + 1, (now + later) // 2, later}:
            if now <= instant <= later:
                assert viewed(history, instant).blocks == seen.blocks
        if until is None:
            return
        now = until


@given(HISTORIES, INSTANTS)
def test_a_view_is_ready_for_json_and_holds_what_the_fragments_hold(history, now):
    seen = viewed(history, now)
    assert msgspec.json.decode(msgspec.json.encode(seen.blocks)) == seen.blocks
    assert seen.blocks["lineage"]["touchpoints"] == sum(tp.type != "identity.unlinked" for tp in history)
    assert sum(seen.blocks["lineage"]["sources"].values()) == seen.blocks["lineage"]["touchpoints"]
