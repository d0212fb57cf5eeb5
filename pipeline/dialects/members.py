"""Carts, orders and items from the flat properties of e-commerce events. Names of members are data: one table a style.

A style maps our member to the names it goes by, the first that is there counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from pipeline.core.events import CART, ORDER, WISHLIST
from pipeline.core.touchpoint import ONE, Campaign, CartRef, Data, Device, Item, OrderRef, Store
from pipeline.dialects.draft import Json, amount, first, parts
from pipeline.dialects.payload import plain

Style = Mapping[str, tuple[str, ...]]

SEGMENT: Final[Style] = {
    "sku": ("sku",),
    "product_id": ("product_id", "productId", "id"),
    "name": ("name", "product_name"),
    "variant": ("variant",),
    "size": ("size",),
    "brand": ("brand",),
    "category": ("category",),
    "url": ("url",),
    "image_url": ("image_url", "imageUrl", "image"),
    "price": ("price",),
    "quantity": ("quantity",),
    "currency": ("currency",),
}
GA4: Final[Style] = {
    "sku": ("item_id",),
    "name": ("item_name",),
    "variant": ("item_variant",),
    "brand": ("item_brand",),
    "category": ("item_category",),
    "size": ("size", "item_size"),
    "price": ("price",),
    "quantity": ("quantity",),
    "currency": ("currency",),
}
SNOWPLOW: Final[Style] = {
    "sku": ("id", "sku"),
    "name": ("name",),
    "variant": ("variant",),
    "size": ("size",),
    "brand": ("brand",),
    "category": ("category",),
    "price": ("price", "unitPrice"),
    "quantity": ("quantity",),
    "currency": ("currency",),
}
SHOPIFY: Final[Style] = {
    "sku": ("sku", "variant_id", "product_id"),
    "product_id": ("product_id",),
    "name": ("title", "name"),
    "variant": ("variant_title",),
    "brand": ("vendor",),
    "category": ("product_type",),
    "url": ("url",),
    "image_url": ("image",),
    "price": ("price",),
    "quantity": ("quantity",),
}
_OF_ONE: Final = CART | WISHLIST | {"product.viewed", "stock.subscribed", "product.rated"}
"""Types whose properties may be those of one product."""
_TEXTS: Final = ("sku", "product_id", "name", "variant", "size", "brand", "category", "currency", "url", "image_url")


def item(value: Json, style: Style, currency: str | None = None) -> Item:
    """One product. `currency`: of the event, where the product names none."""
    made = Item()
    for name in _TEXTS:
        if name in style:
            setattr(made, name, first(value, *style[name]))
    made.price = amount(value, *style["price"])
    quantity = amount(value, *style["quantity"])
    made.quantity = ONE if quantity is None else quantity
    if made.currency is None and made.price is not None:
        made.currency = currency
    return made


def order_ref(type: str, value: Json) -> OrderRef | None:
    """The order of an order event; of a return the amount is what is paid back, without its sign."""
    id = first(value, "order_id", "orderId", "transaction_id")
    if type not in ORDER and id is None:
        return None
    total = amount(value, "total", "value", "revenue")
    returned = type == "order.returned"
    return OrderRef(
        id=id,
        total=None if returned else total,
        amount=total.copy_abs() if returned and total is not None else None,
        currency=first(value, "currency"),
        tax=amount(value, "tax"),
        shipping=amount(value, "shipping"),
        discount=amount(value, "discount"),
        coupon=first(value, "coupon"),
        status=first(value, "status"),
        fulfilment=first(value, "fulfilment", "fulfillment"),
        store=first(value, "store_id"),
    )


def cart_ref(type: str, value: Json) -> CartRef | None:
    """The cart of a cart, checkout or order event."""
    id, checkout = first(value, "cart_id", "cartId"), first(value, "checkout_id", "checkoutId")
    if type not in CART:
        return CartRef(id=id, checkout_id=checkout) if id or checkout else None
    return CartRef(
        id=id,
        checkout_id=checkout,
        recovery_url=first(value, "recovery_url", "checkout_url", "cart_url"),
        currency=first(value, "currency"),
        value=amount(value, "value", "total") if type not in ("cart.item_added", "cart.item_removed") else None,
    )


def store(value: Json) -> Store | None:
    id = first(value, "store_id", "storeId")
    return Store(id=id, register=first(value, "register"), staff=first(value, "staff")) if id else None


def device(kind: str | None, model: str | None, os: str | None) -> Device | None:
    return Device(type=kind, model=model, os=os) if kind or model or os else None


def campaign(value: Json, prefix: str = "") -> Campaign | None:
    """`name` goes by `campaign` where the others have a prefix (utm_campaign)."""
    found = Campaign(
        source=first(value, prefix + "source"),
        medium=first(value, prefix + "medium"),
        name=first(value, prefix + ("campaign" if prefix else "name")),
        term=first(value, prefix + "term"),
        content=first(value, prefix + "content"),
    )
    return found if found != Campaign() else None


def traits(value: Json, contacts: Iterable[str]) -> dict[str, Any]:
    """The traits without what is an identifier: an identifier is published by other rules."""
    hidden = frozenset(contacts)
    return {name: plain(one) for name, one in value.items() if name and name not in hidden}


def products(type: str, value: Json) -> tuple[str, list[Json]]:
    """(type, products) of flat properties. A cart that was looked at, without a word on what is in it, is not empty."""
    if isinstance(value.get("products"), list):
        return type, parts(value["products"])
    if type == "cart.snapshot":
        return "cart.viewed", []
    named = first(value, "sku", "product_id", "productId") is not None
    return type, [value] if named and type in _OF_ONE else []


def shop_data(type: str, value: Json, items: list[Json], style: Style) -> Data:
    """Data with what an e-commerce event says of cart, order, items and store."""
    currency = first(value, "currency")
    return Data(
        session=first(value, "session_id", "$session_id", "ga_session_id"),
        cart=cart_ref(type, value),
        order=order_ref(type, value),
        items=[item(one, style, currency) for one in items],
        store=store(value),
        query=first(value, "query", "search_term"),
    )


def returned_total(amounts: Iterable[Decimal | None]) -> Decimal | None:
    """Sum of what was paid back; None if nothing says."""
    known = [one.copy_abs() for one in amounts if one is not None]
    return sum(known, Decimal(0)) if known else None
