"""Shopify webhooks: by their headers, or by their shape."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from pipeline.core import times
from tests.dialects.reading import accepted, names

LINE = {
    "sku": "SKU-1",
    "variant_id": 7,
    "product_id": 3,
    "title": "Shoe",
    "variant_title": "42",
    "quantity": 2,
    "price": "10.00",
}
ORDER: dict[str, Any] = {
    "id": 1001,
    "token": "order-token",
    "order_number": 5,
    "cart_token": "cart-1",
    "checkout_token": "check-1",
    "customer": {"id": 9, "email": "jane@example.com", "phone": None, "first_name": "Jane"},
    "email": "Jane@Example.com",
    "currency": "EUR",
    "total_price": "20.00",
    "created_at": "2026-03-01T11:00:00+00:00",
    "source_name": "web",
    "line_items": [LINE],
}
CART = {"token": "cart-1", "id": "cart-1", "line_items": [LINE], "updated_at": "2026-03-01T11:00:00Z"}


def headers(topic: str) -> dict[str, str]:
    return {"X-Shopify-Topic": topic, "X-Shopify-Event-Id": "ev-1"}


def test_an_order_is_read_with_its_person_cart_and_money() -> None:
    tp = accepted(ORDER, **headers("orders/create"))
    assert (tp.id, tp.type, tp.source) == ("ev-1", "order.placed", "web/shopify")
    assert names(tp) == {"customer:9", "email:jane@example.com", "checkout:check-1", "checkout:cart-1"}
    assert tp.time == times.parse("2026-03-01T11:00:00Z")
    assert tp.data.order is not None and tp.data.cart is not None
    assert (tp.data.order.id, tp.data.order.total, tp.data.cart.id) == ("1001", Decimal("20.00"), "cart-1")
    assert [(item.sku, item.quantity, item.currency) for item in tp.data.items] == [("SKU-1", 2, "EUR")]
    assert tp.data.traits == {"first_name": "Jane"}


@pytest.mark.parametrize(
    ("body", "type"),
    [
        (ORDER, "order.placed"),
        (ORDER | {"cancelled_at": "2026-03-01T11:30:00Z"}, "order.cancelled"),
        (CART, "cart.snapshot"),
        (
            {**CART, "token": "check-1", "cart_token": "cart-1", "abandoned_checkout_url": "https://x.example/r"},
            "checkout.step",
        ),
        ({"order_id": 1001, "refund_line_items": [], "email": "jane@example.com"}, "order.returned"),
    ],
)
def test_without_headers_the_shape_tells(body: dict[str, Any], type: str) -> None:
    assert accepted(body).type == type


def test_a_cart_its_checkout_and_its_order_share_an_identifier() -> None:
    checkout = {"token": "check-1", "cart_token": "cart-1", "line_items": [LINE]}
    common = {"checkout:cart-1"}
    for body, topic in ((CART, "carts/update"), (checkout, "checkouts/create"), (ORDER, "orders/create")):
        tp = accepted(body, **headers(topic))
        assert common <= names(tp)
        assert tp.data.cart is not None and tp.data.cart.id == "cart-1"


def test_a_refund_sums_what_was_paid_back() -> None:
    body = {
        "order_id": 1001,
        "user_id": 1,
        "refund_line_items": [{"quantity": 1, "line_item": LINE}],
        "transactions": [{"kind": "refund", "amount": "4.00", "currency": "EUR"}, {"kind": "refund", "amount": "6.00"}],
        "email": "jane@example.com",
    }
    tp = accepted(body, **headers("refunds/create"))
    assert tp.data.order is not None
    assert (tp.data.order.id, tp.data.order.amount, tp.data.order.currency) == ("1001", Decimal("10.00"), "EUR")
    assert tp.data.items[0].quantity == 1


def test_a_sale_at_the_till_is_in_the_store() -> None:
    tp = accepted(ORDER | {"source_name": "pos", "location_id": 12}, **headers("orders/create"))
    assert tp.channel == "store"
    assert tp.data.store is not None and tp.data.store.id == "12"


def test_a_line_without_sku_goes_by_its_variant() -> None:
    tp = accepted(CART | {"line_items": [LINE | {"sku": ""}]}, **headers("carts/update"))
    assert tp.data.items[0].sku == "7"
