"""Snowplow trackers: POST and GET carry the same event."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from pipeline.core import times
from pipeline.core.touchpoint import Touchpoint
from tests.dialects.reading import PAYLOADS, RECEIVED, accepted, names, read_all, refused

POST, GET = (request for request in PAYLOADS if request["headers"]["user-agent"].startswith("python-requests"))
ECOMMERCE = "iglu:com.snowplowanalytics.snowplow.ecommerce/{}/jsonschema/1-0-0"


def action(type: str, **entities: Any) -> dict[str, Any]:
    """An e-commerce action with entities by name."""
    return {
        "e": "ue",
        "eid": "e-1",
        "tv": "js-3.24.0",
        "duid": "d-1",
        "ue_pr": json.dumps(
            {"data": {"schema": ECOMMERCE.format("snowplow_ecommerce_action"), "data": {"type": type}}}
        ),
        "co": json.dumps({"data": [{"schema": ECOMMERCE.format(name), "data": one} for name, one in entities.items()]}),
    }


def test_a_post_and_a_query_string_are_the_same_event() -> None:
    (post,), (get,) = read_all(POST), read_all(GET)
    assert isinstance(post, Touchpoint) and isinstance(get, Touchpoint)
    assert (post.type, post.ids, post.data) == (get.type, get.ids, get.data)
    assert post.type == "cart.item_added"
    assert names(post) == {"customer:user-1", "cookie:duid-1", "network_cookie:nuid-1"}
    assert post.data.cart is not None and post.data.cart.id == "cart-1"
    assert [(item.sku, item.price, item.currency) for item in post.data.items] == [("P-1", Decimal("89.9"), "EUR")]


def test_a_bare_event_is_read_like_one_in_a_post() -> None:
    assert accepted(POST["body"]["data"][0]) == read_all(POST)[0]


def test_times_are_corrected_unless_they_are_true() -> None:
    held = {"dtm": "1772340000000", "stm": "1772340030000"}
    assert accepted(action("product_view") | held).time == RECEIVED - 30 * times.SECOND
    assert accepted(action("product_view") | held | {"ttm": "1772360000000"}).time == 1772360000000 * times.MILLISECOND
    line = accepted(action("product_view") | held, None)
    assert (line.time, line.received) == (1772340000 * times.SECOND, 1772340030 * times.SECOND)


def test_a_transaction_is_an_order_and_a_refund_a_return() -> None:
    sale = accepted(
        action(
            "transaction", transaction={"transaction_id": "t-1", "revenue": 50, "currency": "EUR"}, product={"id": "P"}
        )
    )
    assert sale.type == "order.placed" and sale.data.order is not None
    assert (sale.data.order.id, sale.data.order.total) == ("t-1", 50)
    back = accepted(action("refund", refund={"transaction_id": "t-1", "refund_amount": 9.5, "currency": "EUR"}))
    assert back.type == "order.returned" and back.data.order is not None
    assert back.data.order.amount == Decimal("9.5")


def test_page_views_structured_and_legacy_events_have_their_names() -> None:
    base = {"eid": "e", "tv": "js-3", "duid": "d"}
    assert accepted(base | {"e": "pv"}).type == "page.viewed"
    assert accepted(base | {"e": "se", "se_ac": "Product Viewed"}).type == "product.viewed"
    order = accepted(base | {"e": "tr", "tr_id": "t-1", "tr_tt": "12.50", "tr_cu": "EUR"})
    assert order.type == "order.placed" and order.data.order is not None and order.data.order.total == Decimal("12.50")


def test_the_channel_is_told_by_the_tracker() -> None:
    for tracker, channel in (("js-3.24.0", "web"), ("ios-6.0.0", "app"), ("andr-5.1", "app"), ("py-1.1.0", "server")):
        assert accepted(action("product_view") | {"tv": tracker}).channel == channel


def test_nested_json_that_is_none_refuses_the_event() -> None:
    for broken in ({"ue_pr": "{"}, {"ue_pr": "", "ue_px": "!!"}, {"co": "[]"}, {"ue_pr": "[" * 200}):
        assert refused(action("product_view") | broken).code == "bad_field"
