"""Shopify webhooks: orders, refunds, checkouts, carts, customers. The headers give topic and event id; without them the
shape of the body does.

A checkout is known by its token, a cart by the token that checkouts and orders name. A cart has no customer, so its
token also counts as a checkout identifier: that is how a cart, its checkout and its order are one person's.
"""

from __future__ import annotations

from typing import Any, Final

from pipeline.core.touchpoint import CartRef, Data, Item, OrderRef, RawIdentifier, Store
from pipeline.dialects import members
from pipeline.dialects.draft import Draft, Json, amount, content_id, first, identifiers, part, parts, time
from pipeline.dialects.names import type_of

NAME: Final = "shopify"
_TOPIC: Final = "x-shopify-topic"
_CHANNELS: Final = {"web": "web", "pos": "store", "iphone": "app", "android": "app"}
_ORDER_TIMES: Final = {
    "order.placed": ("processed_at", "created_at"),
    "order.updated": ("updated_at", "created_at"),
    "order.cancelled": ("cancelled_at", "updated_at"),
}


def recognises(body: Json, headers: Json) -> bool:
    return _TOPIC in headers or _shape(body) is not None


def events(body: Json) -> list[Any]:
    return [body]


def draft(event: Json, body: Json, headers: Json, loyalty: tuple[str, ...]) -> Draft:
    topic = first(headers, _TOPIC) or _shape(body) or ""
    type = type_of(topic)
    customer = body if topic.startswith("customers/") else part(body, "customer")
    data = Data(
        cart=_cart(topic, body),
        order=_order(type, body),
        items=_items(type, body),
        traits=members.traits({name: customer[name] for name in ("first_name", "last_name") if customer.get(name)}, ()),
    )
    location = first(body, "location_id")
    if location and body.get("source_name") == "pos":
        data.store = Store(id=location)
    data.identifiers = _identifiers(topic, body, customer, loyalty)
    return Draft(
        id=first(headers, "x-shopify-event-id", "x-shopify-webhook-id") or content_id(topic, body),
        channel=_CHANNELS.get(first(body, "source_name") or "", "server"),
        type=type,
        data=data,
        time=time(body, *_ORDER_TIMES.get(type, ("updated_at", "created_at"))),
        arrived=time(headers, "x-shopify-triggered-at"),
    )


def _shape(body: Json) -> str | None:
    """The topic that a body without headers looks like."""
    if isinstance(body.get("refund_line_items"), list) and "order_id" in body:
        return "refunds/create"
    if not isinstance(body.get("line_items"), list) or "token" not in body:
        return None
    if "order_number" in body or "financial_status" in body:
        return "orders/cancelled" if body.get("cancelled_at") else "orders/create"
    if "abandoned_checkout_url" in body or "cart_token" in body:
        return "checkouts/update"
    return "carts/update"


def _cart(topic: str, body: Json) -> CartRef | None:
    if topic.startswith("carts/"):
        return CartRef(id=first(body, "token", "id"), currency=first(body, "currency"))
    checkout = first(body, "token") if topic.startswith("checkouts/") else first(body, "checkout_token")
    cart = first(body, "cart_token")
    if not cart and not checkout:
        return None
    return CartRef(
        id=cart,
        checkout_id=checkout,
        recovery_url=first(body, "abandoned_checkout_url"),
        currency=first(body, "presentment_currency", "currency"),
    )


def _order(type: str, body: Json) -> OrderRef | None:
    if type == "order.returned":
        paid_back = [one for one in parts(body.get("transactions")) if one.get("kind") in (None, "refund")]
        return OrderRef(
            id=first(body, "order_id"),
            amount=members.returned_total(amount(one, "amount") for one in paid_back),
            currency=next((code for one in paid_back if (code := first(one, "currency"))), None),
        )
    if not type.startswith("order."):
        return None
    coupons = [code for one in parts(body.get("discount_codes")) if (code := first(one, "code"))]
    return OrderRef(
        id=first(body, "id"),
        total=amount(body, "current_total_price", "total_price")
        if type == "order.updated"
        else amount(body, "total_price"),
        currency=first(body, "currency"),
        tax=amount(body, "total_tax"),
        discount=amount(body, "total_discounts"),
        coupon=coupons[0] if coupons else None,
        status=first(body, "financial_status"),
    )


def _items(type: str, body: Json) -> list[Item]:
    currency = first(body, "currency")
    if type != "order.returned":
        return [members.item(one, members.SHOPIFY, currency) for one in parts(body.get("line_items"))]
    found = []
    for one in parts(body.get("refund_line_items")):
        item = members.item(part(one, "line_item"), members.SHOPIFY, currency)
        item.quantity = amount(one, "quantity") or item.quantity
        found.append(item)
    return found


def _identifiers(topic: str, body: Json, customer: Json, loyalty: tuple[str, ...]) -> list[RawIdentifier]:
    cart = first(body, "token") if topic.startswith("carts/") else first(body, "cart_token")
    return identifiers(
        [
            ("customer", customer.get("id")),
            ("email", body.get("email")),
            ("email", body.get("contact_email")),
            ("email", customer.get("email")),
            ("phone", body.get("phone")),
            ("phone", customer.get("phone")),
            *(("loyalty", customer.get(name)) for name in loyalty),
            ("checkout", cart),
        ]
    )
