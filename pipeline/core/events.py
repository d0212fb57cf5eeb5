"""The types of touchpoints and the channels, as sets: what each rule asks about them.

A type that is not in KNOWN is kept as activity, unless it came from a server. VIEW alone is a product view.
"""

from __future__ import annotations

from typing import Final

VIEW: Final = "product.viewed"

VIEWS: Final = frozenset({"page.viewed", "screen.viewed", "search.performed", VIEW, "product_list.viewed"})
CART_DELTA: Final = frozenset({"cart.item_added", "cart.item_removed"})
CHECKOUT: Final = frozenset({"checkout.started", "checkout.step"})
CART: Final = CART_DELTA | {"cart.snapshot"} | CHECKOUT
"""Types that change a cart or its stage."""
ORDER: Final = frozenset(
    {
        "order.placed",
        "order.updated",
        "order.cancelled",
        "order.returned",
        "order.ready_for_pickup",
        "order.picked_up",
    }
)
WISHLIST: Final = frozenset({"wishlist.item_added", "wishlist.item_removed"})
LIST: Final = "list.shared"
BASKET: Final = frozenset({"store.item_scanned", "store.basket_saved"})
"""The tote that is carried through a store."""
CATALOGUE: Final = frozenset({"price.changed", "stock.changed"})
"""Facts without a person: they need no identifiers."""
MESSAGE: Final = frozenset({"message.sent", "message.opened", "message.clicked"})
ADDRESS: Final = frozenset({"message.bounced", "message.unsubscribed", "message.complained"})
"""What a channel says about an address."""
ERASURE: Final = "privacy.erasure_requested"
ACCESS: Final = "privacy.access_requested"
LIFTED: Final = "privacy.suppression_lifted"
"""An operator's word that what an erasure suppressed may come in again."""
PRIVACY: Final = frozenset({ERASURE, ACCESS, LIFTED})
UNLINKED: Final = "identity.unlinked"
NO_LINK: Final = PRIVACY | {UNLINKED}
"""Types whose identifiers neither link nor anchor."""

ACTIVITY: Final = (
    VIEWS
    | CART
    | WISHLIST
    | BASKET
    | {
        "order.placed",
        LIST,
        "store.visited",
        "identity.observed",
        "message.opened",
        "message.clicked",
        "size.recorded",
        "product.rated",
    }
)
"""What shows that the person is there."""

KNOWN: Final = (
    ACTIVITY
    | ORDER
    | CATALOGUE
    | MESSAGE
    | ADDRESS
    | NO_LINK
    | {"profile.updated", "stock.subscribed", "consent.changed"}
)

ONLINE: Final = frozenset({"web", "app", "email", "voice", "social"})
IN_STORE: Final = frozenset({"store", "kiosk"})
CHANNELS: Final = ONLINE | IN_STORE | {"call", "server"}


def is_activity(type: str, channel: str) -> bool:
    """Whether a touchpoint of this type and channel shows that the person is there."""
    return type in ACTIVITY or (type not in KNOWN and channel != "server")
