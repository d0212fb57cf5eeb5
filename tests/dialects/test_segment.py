"""Segment and RudderStack, as clients send them and as destinations deliver them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from pipeline.core import times
from pipeline.core.touchpoint import Rejected, Touchpoint
from tests.dialects.reading import PAYLOADS, RECEIVED, accepted, names, read_all, reader, refused

BATCH = PAYLOADS[0]


def track(event: str = "Product Viewed", **more: Any) -> dict[str, Any]:
    return {"type": "track", "messageId": "m-1", "anonymousId": "a-1", "event": event, **more}


def test_a_batch_of_the_python_client_is_read_whole() -> None:
    results = read_all(BATCH)
    assert all(isinstance(result, Touchpoint) for result in results), results
    assert [result.type for result in results if isinstance(result, Touchpoint)] == [
        "identity.observed",
        "cart.item_added",
        "order.placed",
        "identity.observed",
        "group.joined",
        "page.viewed",
        "screen.viewed",
    ]
    assert {result.source for result in results} == {"server/segment"}


def test_the_body_alone_is_the_same_batch() -> None:
    assert [result.id for result in read_all(BATCH["body"])] == [result.id for result in read_all(BATCH)]


def test_identify_names_the_person_and_keeps_contacts_out_of_the_traits() -> None:
    body = {
        "type": "identify",
        "messageId": "m-1",
        "userId": "u-1",
        "anonymousId": "a-1",
        "context": {
            "device": {"id": "d-1"},
            "externalIds": [{"type": "braze", "id": "b-1"}, {"type": "user_id", "id": "u-1"}],
        },
        "traits": {"email": "jane@example.com", "phone": "+4915112345678", "loyalty_id": 77, "first_name": "Jane"},
    }
    tp = accepted(body)
    assert names(tp) == {
        "customer:u-1",
        "cookie:a-1",
        "device:d-1",
        "email:jane@example.com",
        "phone:+4915112345678",
        "loyalty:77",
        "braze:b-1",
    }
    assert tp.data.traits == {"first_name": "Jane"}


def test_the_loyalty_property_is_the_policys() -> None:
    body = track(properties={"bonus_card": "B-1", "card_no": "C-1"})
    assert "loyalty:C-1" in names(accepted(body))
    assert "loyalty:B-1" in names(accepted(body, reader=reader('[identity]\nloyalty_properties = ["bonus_card"]')))


def test_an_alias_links_and_a_group_names_nobody() -> None:
    assert names(accepted({"type": "alias", "messageId": "m", "previousId": "a-1", "userId": "u-1"})) == {
        "cookie:a-1",
        "customer:u-1",
    }
    group = {"type": "group", "messageId": "m", "groupId": "g-1", "userId": "u-1", "traits": {"email": "office@x.com"}}
    assert names(accepted(group)) == {"customer:u-1"}
    assert accepted(group).data.traits == {}


def test_explicit_null_ids_are_no_ids() -> None:
    assert names(accepted(track(userId=None))) == {"cookie:a-1"}
    assert refused(track(anonymousId=None, userId=None)).code == "no_identifier"


def test_event_time_is_when_it_arrived_less_how_long_it_was_held_back() -> None:
    sent = {"originalTimestamp": "2026-03-01T05:00:00Z", "sentAt": "2026-03-01T05:00:10Z"}
    assert accepted(track(**sent)).time == RECEIVED - 10 * times.SECOND
    arrived = accepted(track(**sent, receivedAt="2026-03-01T11:00:00Z"))
    assert arrived.time == times.parse("2026-03-01T10:59:50Z")
    assert arrived.received == RECEIVED


def test_a_clock_that_ran_backwards_never_makes_an_event_late() -> None:
    sent = {"originalTimestamp": "2026-03-01T05:00:10Z", "sentAt": "2026-03-01T05:00:00Z"}
    assert accepted(track(**sent)).time == RECEIVED


def test_a_timestamp_that_was_corrected_is_not_corrected_again() -> None:
    body = track(timestamp="2026-03-01T11:00:00Z", sentAt="2026-03-01T05:00:00Z", receivedAt="2026-03-01T11:00:01Z")
    assert accepted(body).time == times.parse("2026-03-01T11:00:00Z")


def test_a_line_of_a_file_arrived_when_it_says() -> None:
    body = track(originalTimestamp="2026-03-01T05:00:00Z", sentAt="2026-03-01T05:00:10Z")
    assert accepted(body | {"receivedAt": "2026-03-01T06:00:00Z"}, None).received == times.parse("2026-03-01T06:00:00Z")
    tp = accepted(body, None)
    assert (tp.time, tp.received) == (times.parse("2026-03-01T05:00:00Z"), times.parse("2026-03-01T05:00:10Z"))


def test_the_times_of_a_batch_stand_for_its_events() -> None:
    body = {"batch": [track()], "timestamp": "2026-03-01T11:00:00Z", "sentAt": "2026-03-01T11:00:05Z"}
    assert accepted(body).time == RECEIVED - 5 * times.SECOND


@pytest.mark.parametrize(
    ("more", "channel"),
    [
        ({"context": {"library": {"name": "analytics.js"}}}, "web"),
        ({"context": {"library": {"name": "RudderLabs JavaScript SDK"}}}, "web"),
        ({"context": {"library": {"name": "analytics-ios"}}}, "app"),
        ({"context": {"library": {"name": "com.rudderstack.android.sdk.core"}}}, "app"),
        ({"context": {"library": {"name": "analytics-node"}}}, "server"),
        ({"channel": "mobile"}, "app"),
        ({}, "server"),
        ({"properties": {"channel": "kiosk"}}, "kiosk"),
        ({"properties": {"channel": "fax"}}, "server"),
    ],
)
def test_the_channel_is_told_by_the_event_or_its_library(more: dict[str, Any], channel: str) -> None:
    tp = accepted(track(**more))
    assert (tp.channel, tp.source) == (channel, f"{channel}/segment")


@pytest.mark.parametrize(
    ("name", "type"),
    [
        ("Product Added", "cart.item_added"),
        ("product_added", "cart.item_added"),
        ("add_to_cart", "cart.item_added"),
        ("product_added_to_cart", "cart.item_added"),
        ("Product Removed", "cart.item_removed"),
        ("Checkout Started", "checkout.started"),
        ("Product Viewed", "product.viewed"),
        ("Products Searched", "search.performed"),
        ("Product Added to Wishlist", "wishlist.item_added"),
        ("store.visited", "store.visited"),
        ("Gift Wrapped", "Gift Wrapped"),
    ],
)
def test_names_map_by_table_and_unknown_ones_are_kept(name: str, type: str) -> None:
    assert accepted(track(name, properties={"sku": "S-1"})).type == type


def test_a_looked_at_cart_is_a_snapshot_only_if_it_says_what_is_in_it() -> None:
    assert accepted(track("Cart Viewed", properties={"cart_id": "c"})).type == "cart.viewed"
    full = accepted(track("Cart Viewed", properties={"cart_id": "c", "products": [{"sku": "S", "price": 5}]}))
    assert (full.type, len(full.data.items)) == ("cart.snapshot", 1)
    assert accepted(track("Cart Viewed", properties={"cart_id": "c", "products": []})).type == "cart.snapshot"


def test_an_order_has_its_money_exactly_and_its_checkout_as_identifier() -> None:
    properties = {
        "order_id": 5,
        "checkout_id": "k-1",
        "total": 27.5,
        "tax": "2",
        "currency": "usd",
        "products": [{"product_id": "P"}],
    }
    tp = accepted(track("Order Completed", properties=properties))
    assert tp.data.order is not None
    assert (tp.data.order.id, tp.data.order.total, tp.data.order.currency) == ("5", Decimal("27.5"), "USD")
    assert "checkout:k-1" in tp.ids
    assert refused(track("Order Completed", properties={"total": 5})).code == "bad_field"


def test_a_refund_has_the_amount_that_is_paid_back() -> None:
    tp = accepted(track("Order Refunded", properties={"order_id": "o", "total": -5}))
    assert tp.data.order is not None
    assert (tp.data.order.amount, tp.data.order.total) == (5, None)


def test_an_event_without_id_is_known_by_its_content() -> None:
    body = {"batch": [{"type": "page", "userId": "u"}, {"type": "page", "userId": "v"}]}
    first, second = read_all(body)
    assert first.id != second.id and first.id == read_all(body)[0].id


def test_a_bad_event_does_not_cost_its_batch() -> None:
    good, kind, none, long = read_all({"batch": [track(), {"type": "dance"}, 5, track(messageId="x" * 300)]})
    assert isinstance(good, Touchpoint)
    assert [result.code for result in (kind, none, long) if isinstance(result, Rejected)] == ["bad_envelope"] * 3


@pytest.mark.parametrize(
    "properties", [{"price": "cheap"}, {"price": True}, {"quantity": "Infinity"}, {"price": "1e999"}]
)
def test_money_that_is_none_refuses_the_event(properties: dict[str, Any]) -> None:
    assert refused(track("Product Added", properties={"sku": "S", **properties})).code == "bad_field"
