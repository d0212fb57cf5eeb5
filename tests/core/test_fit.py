"""Fragments and documents too large for a record are cut, newest and strongest last, and say so."""

from __future__ import annotations

import string
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.blocks.shorten import shorten
from pipeline.core.fit import encode_within
from pipeline.core.fold import fold
from pipeline.core.fragment import Fragment
from pipeline.core.touchpoint import (
    Campaign,
    CartRef,
    ConsentRef,
    Data,
    Device,
    Id,
    ListRef,
    MessageRef,
    OrderRef,
    Store,
)
from tests.core.touchpoints import CUSTOMER, REGISTRY, folded, item, ordered, touchpoint, viewed
from tests.laws.random_touchpoints import touchpoints

LONG = string.ascii_letters * 9


def cart(number: int, lines: int, cart: str) -> Fragment:
    items = [item(f"SKU-{number}-{line}", name=LONG, url=LONG) for line in range(lines)]
    return touchpoint(f"e{number:03}", number, "cart.snapshot", data=Data(cart=CartRef(id=cart), items=items))


def test_a_fragment_that_fits_is_left_alone():
    fragment = folded([cart(1, 3, "c")])
    row = encode_within(fragment, 10_000)
    assert row == msgspec.msgpack.encode(folded([cart(1, 3, "c")]))
    assert fragment.dropped == {}


def test_large_carts_lose_their_oldest_changes_then_lines():
    fragment = folded([cart(n, 20, "c") for n in range(30)])
    assert len(encode_within(fragment, 100_000)) <= 100_000
    assert fragment.carts["c"].changes[-1].event == "e029"
    assert len(fragment.carts["c"].changes) > 1
    assert len(encode_within(fragment, 8_000)) <= 8_000
    (change,) = fragment.carts["c"].changes
    assert (change.event, change.lines[0].sku) == ("e029", "SKU-29-0")
    assert fragment.dropped["fragment_bytes"] > 1


def test_large_orders_leave_their_sums():
    orders = [
        ordered(f"e{n}", n, OrderRef(id=f"o{n}", currency="EUR"), *(item(f"S{i}", name=LONG) for i in range(9)))
        for n in range(40)
    ]
    fragment = folded(orders)
    encode_within(fragment, 60_000)
    assert fragment.older["EUR\nweb"].orders + len(fragment.orders) == 40
    assert "o39" in fragment.orders


@pytest.mark.parametrize("most", [1_000, 20_000])
def test_every_member_of_a_fragment_can_be_cut(most: int):
    fragment = Fragment(CUSTOMER)
    for n in range(260):
        data = Data(
            session=f"{LONG}{n}",
            device=Device(os=f"{n}-os"),
            cart=CartRef(id=f"cart-{n}"),
            order=OrderRef(id=f"o{n}", currency="EUR", total=Decimal(n)),
            items=[item(LONG + str(n), category="Shoes", size="42")],
            shared_list=ListRef(id=f"l{n}"),
            store=Store(id=f"S-{n}"),
            campaign=Campaign(source=LONG, name=f"{n}"),
            consent=ConsentRef(purpose=f"{LONG}{n}"),
            message=MessageRef(link=f"{LONG}{n}"),
            traits={f"trait-{n}": LONG},
        )
        kinds = (
            "cart.snapshot",
            "order.placed",
            "order.returned",
            "consent.changed",
            "message.opened",
            "product.viewed",
            "wishlist.item_added",
            "list.shared",
            "store.item_scanned",
            "size.recorded",
        )
        ids = (CUSTOMER, Id(f"email:{n:064}"), Id(f"cookie:{LONG}{n}"))
        for kind in kinds:
            source, plain = f"web/{LONG}{n}", {ids[1]: LONG}
            hints = (("email", f"{LONG}{n}"),)
            tp = touchpoint(f"{kind}{n}", n * 1440, kind, ids, source, data=data, plain=plain, hints=hints)
            fold(fragment, tp, REGISTRY)
        fold(fragment, touchpoint(f"v{n}", n, "identity.unlinked", (CUSTOMER, Id(f"cookie:{LONG}{n}"))), REGISTRY)
        fragment.shared[Id(f"cookie:{LONG}{n}")] = n
    row = encode_within(fragment, most)
    assert len(row) <= most
    assert msgspec.msgpack.decode(row, type=Fragment) == fragment
    assert fragment.born and fragment.version


def test_the_number_of_sources_is_bounded_and_every_touchpoint_is_still_counted():
    fragment = folded([touchpoint(f"e{n}", n, source=f"web/{n}") for n in range(200)])
    (sighting,) = fragment.sets.values()
    assert (len(sighting.sources), sighting.sources["web/*"], sum(sighting.sources.values())) == (65, 136, 200)


@given(touchpoints(), st.integers(600, 4_000), st.randoms(use_true_random=False))
@settings(max_examples=40)
def test_what_is_cut_does_not_depend_on_the_order(history, most, random):
    one, other = folded(history), folded(random.sample(history, len(history)))
    assert len(encode_within(one, most)) <= most
    encode_within(other, most)
    assert one == other


def test_a_document_that_fits_is_left_alone():
    blocks = viewed([touchpoint("a")]).blocks
    assert shorten(dict(blocks), 100_000) == blocks


def test_a_document_that_is_too_large_is_cut_with_a_mark():
    view = viewed(
        [cart(n, 40, f"c{n}") for n in range(9)] + [touchpoint("t", 0, data=Data(traits={"name": "Jane"}))], minute=100
    )
    blocks = shorten(view.blocks, 6_000)
    assert len(msgspec.json.encode(blocks)) <= 6_000
    assert blocks["cut"] == ["carts"]
    assert blocks["traits"]["name"]["value"] == "Jane"
    assert blocks["carts"]["open"][0]["cart_id"] == "c0"
    assert blocks["carts"]["abandoned_90d"] == 9


JSON = st.recursive(
    st.none() | st.integers(0, 9) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner, max_size=5),
    max_leaves=30,
)


@given(st.dictionaries(st.sampled_from(["identity", "traits", "carts", "lineage"]), JSON, max_size=4))
def test_any_document_can_be_cut(blocks):
    assert len(msgspec.json.encode(shorten(blocks, 60))) <= 60
