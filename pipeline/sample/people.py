"""Who shops where and what: shoppers with their identifiers, products, stores, and what an event is before it has a
wire format. Times are microseconds since 1970-01-01 UTC."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

from pipeline.core.times import DAY, HOUR, MILLISECOND, SECOND

WINDOW_END = 1_773_532_800 * SECOND
"""2026-03-15T00:00:00Z: nothing of the sample is received later."""
WINDOW_START = WINDOW_END - 3 * DAY

TRACKERS = ("cloudevents", "segment", "posthog", "snowplow")
FIRST_NAMES = (
    "Ayşe", "Mehmet", "İrem", "Çağla", "Ömer", "Işıl", "Jürgen", "Anke", "Søren", "Zoë", "Léa", "Paweł", "Jane", "Omar",
    "ليلى", "يوسف", "Nina", "Marta", "Luca", "Eva", "Tom", "Deniz", "Elif", "Kerem", "Aylin", "Hans", "Clara", "Samir",
)  # fmt: skip
HANDLES = (
    "ayse", "mehmet", "irem", "cagla", "omer", "isil", "juergen", "anke", "soeren", "zoe", "lea", "pawel", "jane",
    "omar", "layla", "yusuf", "nina", "marta", "luca", "eva", "tom", "deniz", "elif", "kerem", "aylin", "hans",
    "clara", "samir",
)  # fmt: skip
STORES = tuple(f"S-{n:02}" for n in range(1, 13))
MISWIRED_STORES = ("S-01", "S-02")
"""Their tills send their own device id with every sale: a hub."""
OFFLINE_STORE = "S-07"
"""Its tills deliver their sales in batches, hours later."""


class Product(NamedTuple):
    sku: str
    name: str
    brand: str
    category: str
    variant: str
    price: int
    """in cents"""


def _catalogue() -> tuple[Product, ...]:
    kinds = (
        ("Shoes", "Trail Shoe", 8_990), ("Shoes", "Loafer", 11_900), ("Jackets", "Rain Jacket", 14_950),
        ("Jackets", "Down Vest", 9_900), ("Jeans", "Straight Jeans", 6_990), ("Shirts", "Linen Shirt", 4_990),
        ("Shirts", "Oxford Shirt", 5_490), ("Bags", "Weekender", 12_900), ("Home", "Reading Lamp", 5_990),
        ("Home", "Wool Blanket", 7_900), ("Beauty", "Hand Cream", 1_290), ("Toys", "Wooden Train", 3_490),
    )  # fmt: skip
    brands = ("Acme", "Selva", "Nordwind", "Ada")
    return tuple(
        Product(f"SKU-{n}-{b}", f"{brand} {name}", brand, category, ("S", "M", "L", "42")[b], price + 500 * b)
        for n, (category, name, price) in enumerate(kinds, 1)
        for b, brand in enumerate(brands)
    )


CATALOGUE = _catalogue()


class Event(NamedTuple):
    """One touchpoint before it has a wire format. ids: (type, value) pairs as a producer would know them, strongest
    first. late: how much later than usual it is received."""

    id: str
    time: int
    source: str
    type: str
    ids: tuple[tuple[str, str], ...]
    data: dict[str, Any]
    tracker: str = "cloudevents"
    late: int = 0

    @property
    def channel(self) -> str:
        return self.source.partition("/")[0]


@dataclass
class Shopper:
    """One person of the sample and everything they did. `now` is where their story stands."""

    seed: int
    name: str
    random: Random
    loyalty: str
    customer: str
    email: str
    phone: str
    cookie: str
    device: str
    first_name: str
    currency: str
    tracker: str
    store: str
    now: int
    events: list[Event] = field(default_factory=list)
    known: bool = False
    """has logged in with the cookie, so that the shop knows the customer on the web"""
    numbered: int = 0

    def number(self) -> int:
        self.numbered += 1
        return self.numbered

    def ids(self, *types: str) -> tuple[tuple[str, str], ...]:
        """These identifiers of the shopper; an e-mail address sometimes as people type it."""
        return tuple((type, self._typed(type)) for type in types)

    def _typed(self, type: str) -> str:
        value: str = getattr(self, type)
        if type == "email" and self.random.random() < 0.1:
            return f" {value.title()}"
        if type == "phone" and self.random.random() < 0.3:
            return f"{value[:3]} {value[3:6]} {value[6:]}"
        return value


def shopper(seed: int, number: int) -> Shopper:
    """The shopper with that number; shopper 0 is the one whose story the demo follows."""
    random = Random(f"{seed}/{number}")
    given = random.randrange(len(FIRST_NAMES))
    name = f"{number:06}"
    return Shopper(
        seed=seed,
        name=name,
        random=random,
        loyalty=f"L-{name}",
        customer=f"C-{name}",
        email=f"{HANDLES[given]}.{number}@example.com",
        phone=f"+49151{number + 1_000_000:08}" if random.random() < 0.7 else f"+90532{number + 1_000_000:07}",
        cookie=f"ck-{name}-{random.getrandbits(32):08x}",
        device=f"app-{name}-{random.getrandbits(32):08x}",
        first_name=FIRST_NAMES[given],
        currency=random.choices(("EUR", "TRY", "USD"), (90, 7, 3))[0],
        tracker=random.choices(TRACKERS, (79, 9, 6, 6))[0],
        store=random.choice(STORES),
        now=_first_moment(random),
    )


def _first_moment(random: Random) -> int:
    """More in the evening than at night, and early enough for a story to go on."""
    day = random.choices((0, 1, 2), (5, 4, 2))[0]
    hour = random.choices(range(24), (1, 1, 1, 1, 1, 1, 2, 4, 6, 7, 8, 8, 9, 8, 7, 7, 8, 9, 11, 12, 12, 9, 5, 2))[0]
    return WINDOW_START + day * DAY + hour * HOUR + random.randrange(HOUR // MILLISECOND) * MILLISECOND


class Known(NamedTuple):
    """Identifiers of a shopper that the demo may name."""

    name: str
    cookie: str
    device: str
    email: str
    customer: str
    loyalty: str


SHOWCASE = Known("Defne", "ck-defne", "app-defne", "defne@example.com", "C-DEFNE", "L-DEFNE")


def showcase(seed: int) -> Shopper:
    defne = shopper(seed, 0)
    defne.name = "defne"
    defne.first_name = SHOWCASE.name
    defne.cookie, defne.device, defne.email = SHOWCASE.cookie, SHOWCASE.device, SHOWCASE.email
    defne.customer, defne.loyalty = SHOWCASE.customer, SHOWCASE.loyalty
    defne.currency, defne.tracker, defne.store = "EUR", "cloudevents", "S-05"
    defne.now = WINDOW_START + 17 * HOUR
    return defne
