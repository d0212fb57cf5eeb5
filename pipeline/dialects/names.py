"""Names of events, as data: what each of them is called here. Names are compared in lower case, `_` and `-` as spaces.

A name that is not listed is kept as it is; it counts as activity unless it came from a server.
"""

from __future__ import annotations

from typing import Final

from pipeline.core.events import KNOWN

_ALIASES: Final = {
    "page.viewed": ("page view", "pageview", "$pageview", "page viewed", "viewed page", "page_view"),
    "screen.viewed": ("screen view", "$screen", "screen viewed"),
    "search.performed": ("products searched", "search", "view search results", "search submitted", "site search"),
    "product.viewed": ("product viewed", "view item", "product view", "viewed product"),
    "product_list.viewed": (
        "product list viewed",
        "product list filtered",
        "product list",
        "view item list",
        "list view",
        "collection viewed",
    ),
    "cart.item_added": (
        "product added",
        "add to cart",
        "product added to cart",
        "added to cart",
        "wishlist product added to cart",
    ),
    "cart.item_removed": ("product removed", "remove from cart", "product removed from cart", "removed from cart"),
    "cart.snapshot": ("cart viewed", "view cart", "cart update", "cart updated", "carts/create", "carts/update"),
    "checkout.started": ("checkout started", "begin checkout", "initiate checkout", "checkouts/create"),
    "checkout.step": (
        "checkout step viewed",
        "checkout step completed",
        "checkout step",
        "payment info entered",
        "add shipping info",
        "add payment info",
        "payment info submitted",
        "checkout contact info submitted",
        "checkout address info submitted",
        "checkout shipping info submitted",
        "checkouts/update",
    ),
    "order.placed": (
        "order completed",
        "order placed",
        "purchase",
        "transaction",
        "checkout completed",
        "orders/create",
    ),
    "order.updated": ("order updated", "orders/updated", "orders/edited", "orders/paid", "orders/fulfilled"),
    "order.cancelled": ("order cancelled", "order canceled", "orders/cancelled"),
    "order.returned": ("order refunded", "refund", "order returned", "refunds/create"),
    "wishlist.item_added": ("product added to wishlist", "add to wishlist"),
    "wishlist.item_removed": ("product removed from wishlist", "remove from wishlist"),
    "identity.observed": (
        "$identify",
        "$create alias",
        "$merge dangerously",
        "signed in",
        "signed up",
        "sign up",
        "login",
        "logged in",
        "account created",
    ),
    "profile.updated": ("$set", "customers/create", "customers/update"),
    "product.rated": ("product reviewed",),
    "message.sent": ("email delivered", "email sent"),
    "message.opened": ("email opened", "push notification tapped"),
    "message.clicked": ("email link clicked",),
    "message.bounced": ("email bounced", "push notification bounced"),
    "message.unsubscribed": ("unsubscribed",),
    "message.complained": ("email marked as spam",),
}


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").replace("-", " ").split()).lower()


_TYPES: Final = {_plain(alias): type for type, aliases in _ALIASES.items() for alias in aliases}


def type_of(name: str) -> str:
    """The type of touchpoint that an event's name stands for."""
    return name if name in KNOWN else _TYPES.get(_plain(name), name)
