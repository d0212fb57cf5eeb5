"""GA4 Measurement Protocol: events without ids, known by their content."""

from __future__ import annotations

from decimal import Decimal
from hashlib import sha256
from typing import Any

from tests.dialects.reading import accepted, names, read_all, refused


def body(*events: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"client_id": "11.22", "events": list(events), **more}


ADD = {"name": "add_to_cart", "params": {"currency": "EUR", "items": [{"item_id": "S-1", "price": 9.9, "quantity": 2}]}}


def test_client_and_user_are_cookie_and_customer() -> None:
    digest = sha256(b"jane@example.com").hexdigest()
    tp = accepted(body(ADD, user_id="u-1", user_data={"sha256_email_address": [digest]}))
    assert names(tp) == {"cookie:11.22", "customer:u-1", f"email:{digest}"}


def test_items_are_lines() -> None:
    tp = accepted(body(ADD))
    (item,) = tp.data.items
    assert tp.type == "cart.item_added"
    assert (item.sku, item.price, item.quantity, item.currency) == ("S-1", Decimal("9.9"), 2, "EUR")


def test_a_purchase_is_an_order() -> None:
    params = {"transaction_id": "t-1", "value": 19.8, "currency": "EUR", "items": [{"item_id": "S-1"}]}
    tp = accepted(body({"name": "purchase", "params": params}))
    assert tp.type == "order.placed" and tp.data.order is not None
    assert (tp.data.order.id, tp.data.order.total) == ("t-1", Decimal("19.8"))


def test_ids_are_made_from_the_content() -> None:
    stamped = body(ADD, {"name": "view_item", "params": {}}, timestamp_micros="1772361067000001")
    first, second = read_all(stamped)
    assert first.id != second.id
    assert first.id == read_all(stamped)[0].id
    assert first.id != read_all(stamped | {"client_id": "33.44"})[0].id


def test_time_is_microseconds() -> None:
    assert accepted(body(ADD, timestamp_micros="1772361067000001")).time == 1772361067000001
    assert accepted(body(ADD | {"timestamp_micros": 1772361067000002})).time == 1772361067000002


def test_user_properties_are_traits() -> None:
    tp = accepted(body(ADD, user_properties={"tier": {"value": "gold"}, "loyalty_id": {"value": "L-1"}}))
    assert tp.data.traits == {"tier": "gold"}
    assert "loyalty:L-1" in tp.ids


def test_an_event_without_a_name_is_refused_alone() -> None:
    assert refused(body({"params": {}})).code == "bad_envelope"
