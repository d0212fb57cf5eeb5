"""What a shopper can do on a channel. Each method says it as events and moves the shopper's clock on."""

from __future__ import annotations

from typing import Any

from pipeline.core.times import HOUR, MILLISECOND, MINUTE, SECOND
from pipeline.sample.people import CATALOGUE, MISWIRED_STORES, OFFLINE_STORE, Event, Product, Shopper

TRACKED = frozenset(
    (
        "page.viewed", "product.viewed", "cart.item_added", "cart.item_removed", "checkout.started", "order.placed",
        "identity.observed",
    )
)  # fmt: skip
"""What the client library of a website or an app reports; everything else comes from servers, as CloudEvents."""

Line = tuple[Product, int]


class Visit:
    """One session on one channel. `ids` are the identifiers that the channel knows of its visitor."""

    def __init__(self, who: Shopper, source: str, ids: tuple[str, ...], session: bool = True) -> None:
        self.who = who
        self.source = source
        self.ids = ids
        self.session = f"s-{who.name}-{who.number()}" if session else None
        self.cart_id: str | None = f"cart-{who.name}-{who.number()}"
        self.checkout_id: str | None = None
        self.lines: list[Line] = []
        self.seen: list[Product] = []

    @property
    def channel(self) -> str:
        return self.source.partition("/")[0]

    def say(self, type: str, ids: tuple[str, ...] | None = None, late: int = 0, **data: Any) -> None:
        who = self.who
        who.now += who.random.randrange(5 * SECOND // MILLISECOND, 100 * SECOND // MILLISECOND) * MILLISECOND
        if self.session is not None:
            data["session"] = self.session
        ids = self.ids if ids is None else ids
        number = f"e-{who.name}-{who.number()}"
        tracker = self._tracker(type, ids)
        who.events.append(Event(number, who.now, self.source, type, who.ids(*ids), data, tracker, late))

    def _tracker(self, type: str, ids: tuple[str, ...]) -> str:
        """A client library knows cookie, device and customer, and an address only when it identifies one."""
        known = set(ids) <= {"customer", "cookie", "device"} or (type == "identity.observed" and "customer" in ids)
        return self.who.tracker if known and type in TRACKED and self.channel in ("web", "app") else "cloudevents"

    def view(self, count: int) -> Visit:
        for _ in range(count):
            product = self.who.random.choice(CATALOGUE)
            self.seen.append(product)
            self.say("product.viewed", items=[self._item(product, 1)])
        return self

    def browse(self, count: int) -> Visit:
        for _ in range(count):
            self.say("page.viewed", properties={"path": f"/c/{self.who.random.choice(CATALOGUE).category.lower()}"})
        return self

    def search(self) -> Visit:
        self.say("search.performed", query=self.who.random.choice(CATALOGUE).name.lower())
        return self

    def add(self, count: int = 1) -> Visit:
        for _ in range(count):
            line = (self._wanted(), 1 + (self.who.random.random() < 0.15))
            self.lines.append(line)
            self.say("cart.item_added", cart=self._cart(), items=[self._item(*line)])
        return self

    def remove(self, count: int = 1) -> Visit:
        for _ in range(count):
            line = self.lines.pop()
            self.say("cart.item_removed", cart=self._cart(), items=[self._item(*line)])
        return self

    def checkout(self, ids: tuple[str, ...] | None = None, **data: Any) -> Visit:
        self.checkout_id = f"chk-{self.who.name}-{self.who.number()}"
        self.say("checkout.started", ids, cart=self._cart(), items=self._items(self.lines), **data)
        return self

    def buy(self, ids: tuple[str, ...] | None = None, fulfilment: str = "ship") -> str:
        """The order id of what is in the cart."""
        order = self._order(self.lines)
        order = {**order, "fulfilment": fulfilment}
        self.say("order.placed", ids, cart=self._cart(), order=order, items=self._ordered())
        return str(order["id"])

    def login(self, *ids: str) -> Visit:
        """From here on the channel knows these identifiers."""
        self.ids = ids
        self.who.known = self.who.known or "customer" in ids
        self.say("identity.observed")
        return self

    def consent(self, channel: str, state: str = "granted") -> Visit:
        proof = f"form-{self.who.name}-{self.who.number()}"
        self.say(
            "consent.changed", consent={"channel": channel, "purpose": "marketing", "state": state, "proof": proof}
        )
        return self

    def traits(self, **traits: str) -> Visit:
        self.say("profile.updated", traits=traits)
        return self

    def _wanted(self) -> Product:
        return self.who.random.choice(self.seen or CATALOGUE)

    def _cart(self) -> dict[str, str]:
        cart = {"id": self.cart_id} if self.cart_id else {}
        if self.checkout_id:
            cart["checkout_id"] = self.checkout_id
        return cart | {"currency": self.who.currency}

    def _order(self, lines: list[Line]) -> dict[str, str]:
        total = sum(product.price * quantity for product, quantity in lines)
        number = f"O-{self.who.name}-{self.who.number()}"
        return {"id": number, "total": money(total), "currency": self.who.currency}

    def _items(self, lines: list[Line]) -> list[dict[str, Any]]:
        return [self._item(product, quantity) for product, quantity in lines]

    def _ordered(self) -> list[dict[str, Any]]:
        return [self._item(*line) | {"size": line[0].variant} for line in self.lines]

    def _item(self, product: Product, quantity: int) -> dict[str, Any]:
        return {
            "sku": product.sku, "name": product.name, "brand": product.brand, "category": product.category,
            "variant": product.variant, "quantity": quantity, "price": money(product.price),
            "currency": self.who.currency,
        }  # fmt: skip


class StoreVisit(Visit):
    """In a store: at the till, or at a kiosk in the shop. The loyalty card is what is scanned."""

    def __init__(self, who: Shopper, kind: str = "store", store: str | None = None) -> None:
        self.store = store or who.store
        super().__init__(who, f"{kind}/{self.store}", ("loyalty",), session=False)
        self.cart_id = None

    def scan(self) -> StoreVisit:
        self.say("store.visited", store={"id": self.store})
        return self

    def pick(self, products: list[Product]) -> StoreVisit:
        """What goes over the till."""
        self.lines = [(product, 1) for product in products]
        return self

    def sell(self, late: int = 0) -> str:
        """The order id of a sale at the till. A miswired till names itself as if it were the shopper's device."""
        order = self._order(self.lines) | {"store": self.store}
        register = f"till-{self.store}-{self.who.random.randrange(1, 3)}"
        self.say(
            "order.placed", late=late or self._backlog(), order=order, items=self._ordered(),
            store={"id": self.store, "register": register},
        )  # fmt: skip
        if self.store in MISWIRED_STORES and self.channel == "store":
            sale = self.who.events[-1]
            self.who.events[-1] = sale._replace(ids=(*sale.ids, ("device", register)))
        return str(order["id"])

    def _backlog(self) -> int:
        """How long the sale waits in a till that sends every two hours."""
        return -self.who.now % (2 * HOUR) + 3 * MINUTE if self.store == OFFLINE_STORE else 0


def money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02}"
