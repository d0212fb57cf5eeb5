"""Small shops for random tests: a universe of a few identifiers, and touchpoints that put any of them together.

`touchpoint` makes one from plain choices; `history` makes the choices with a seeded generator, `strategies` with
Hypothesis. Times are microseconds; a history begins at START.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from random import Random

from pipeline.core.identifiers import Registry
from pipeline.core.policy import Policy, load
from pipeline.core.solve import text_order
from pipeline.core.times import DAY, HOUR, MINUTE, SECOND, parse
from pipeline.core.touchpoint import CartRef, ConsentRef, Data, Id, Item, OrderRef, Store, Touchpoint

START = parse("2026-03-02T08:00:00Z")

UNIVERSE: Sequence[tuple[str, str]] = (
    *(("loyalty", f"L-{n}") for n in range(1, 4)),
    *(("customer", f"C-{n}") for n in range(1, 4)),
    *(("email", f"{name}@example.com") for name in ("ada", "bea", "cem", "dan")),
    *(("phone", f"+49301234567{n}") for n in range(1, 3)),
    *(("device", f"d-{n}") for n in range(1, 5)),
    *(("cookie", f"ck-{n}") for n in range(1, 7)),
    *(("checkout", f"co-{n}") for n in range(1, 3)),
    *(("card_token", f"t-{n}") for n in range(1, 3)),
)

SIGHTINGS = ("page.viewed", "product.viewed", "identity.observed", "store.visited", "profile.updated")
CARTS = ("cart.item_added", "cart.item_removed", "cart.snapshot", "checkout.started")
ORDERS = ("order.placed", "order.cancelled", "order.returned")
TYPES = (*SIGHTINGS, *CARTS, *ORDERS, "consent.changed", "identity.unlinked")
WARES = ("wishlist.item_added", "wishlist.item_removed", "stock.subscribed", "order.updated")
"""Beside carts and orders, what has to do with the catalogue."""
FACTS = ("price.changed", "stock.changed")
"""Of the catalogue, without a person."""
CHANNELS = ("web", "app", "store", "server")

POLICIES = {
    "plain": "",
    "hubs": "hub_degree = { device = 2, cookie = 2, email = 3, default = 4 }\nhub_fanout = 5",
    "degree": "hub_degree = 1",
    "fanout": "hub_fanout = 3",
    "tight": "limits = { email = 1, device = 2, cookie = 2 }\nperson_max = 6",
    "loose": 'unique = []\nlimits = {}\nforbidden = [[["email", "ada@example.com"], ["email", "bea@example.com"]]]',
    "oversize": "component_max = 7",
    "growing": "unique = []\nlimits = {}",
}


def policy(name: str) -> Policy:
    """Every identifier has a row. Repeats count however far the shards are apart."""
    return load(f'[identity]\ndedup_window = "30d"\n{POLICIES[name]}\n[publish]\nidentifiers = {{}}\n')


def touchpoint(
    number: int,
    type: str,
    channel: str,
    identifiers: Sequence[Id],
    time: int,
    received: int,
    item: int,
    registry: Registry,
) -> Touchpoint:
    """The touchpoint of that type; `item` chooses product, cart and order. Identifiers may be in any order."""
    ids = tuple(sorted(set(identifiers), key=lambda id: (registry.rank(id), text_order(id))))
    clamped = time > received + 5 * MINUTE
    return Touchpoint(
        id=f"e{number}",
        source=f"{channel}/shop",
        channel=channel,
        type=type,
        time=received + 5 * MINUTE if clamped else time,
        received=received,
        ids=() if type in FACTS else ids,
        data=_data(type, item, ids[0], number),
        client_time=time if clamped else None,
        effective=time if type == "consent.changed" else None,
    )


def _data(type: str, item: int, anchor: Id, number: int) -> Data:
    data = Data(session=f"s-{item}")
    sku = f"SKU-{item}"
    if type in CARTS or type in ("product.viewed", "order.placed"):
        data.items = [Item(sku=sku, price=Decimal(10 + item), currency="EUR")]
    if type in CARTS or type == "order.placed":
        data.cart = _cart(type, item, anchor)
    if type in WARES:
        data.items = [Item(sku=sku, price=Decimal(10 + item), currency="EUR"), Item(sku=f"SKU-{number % 6}")]
        data.store = Store(id=f"S-{number % 2}")
    if type in FACTS:
        amounts = Item(sku=sku, price=Decimal((12, 8, 10)[number % 3]), stock=Decimal((0, 5, 2)[number % 3]))
        data.items, data.store = [amounts], Store(id="S-1") if number % 4 == 0 else None
    if type in ORDERS or type == "order.updated":
        data.order = OrderRef(id=f"o-{item}", total=Decimal(10 + item), currency="EUR")
    if type == "order.returned":
        data.order = OrderRef(id=f"o-{item}", amount=Decimal(5), currency="EUR")
    if type == "consent.changed":
        data.consent = ConsentRef(channel="email", state=("granted", "revoked")[item % 2])
    if type == "profile.updated":
        data.traits = {"first_name": f"Name {item}"}
    return data


def _cart(type: str, item: int, anchor: Id) -> CartRef | None:
    """Carts of one anchor, one cart that any number of them share, and carts without a name."""
    checkout = "co-1" if type == "checkout.started" else None
    name = (f"{anchor}/0", f"{anchor}/1", None, "cart-1", "cart-2", f"{anchor}/2")[item]
    return CartRef(id=name, checkout_id=checkout) if name or checkout else None


def identifiers(registry: Registry) -> list[Id]:
    found = [registry.identify(type, value).id for type, value in UNIVERSE]
    return [id for id in found if id is not None]


def possible(ids: Sequence[Id], type: str, registry: Registry) -> bool:
    """Whether a touchpoint may carry these: one value of each unique type, a pair for a veto."""
    unique = registry.policy.identity.unique
    types = [registry.type(id) for id in set(ids)]
    return all(types.count(name) < 2 for name in unique) and (type != "identity.unlinked" or len(types) == 2)


def history(rnd: Random, size: int, registry: Registry) -> list[Touchpoint]:
    """`size` touchpoints in the order in which they were received."""
    universe = identifiers(registry)
    known = rnd.sample(universe, rnd.randint(2, len(universe)))
    made: list[Touchpoint] = []
    while len(made) < size:
        type = rnd.choice(TYPES) if rnd.random() < 0.6 else rnd.choice(SIGHTINGS)
        ids = rnd.sample(known, min(len(known), rnd.choice((1, 1, 2, 2, 2, 3, 4))))
        if possible(ids, type, registry):
            time, received = _times(rnd)
            channel = rnd.choice(CHANNELS)
            made.append(touchpoint(len(made), type, channel, ids, time, received, rnd.randrange(6), registry))
    return sorted(made, key=lambda tp: tp.received)


def wares(rnd: Random, size: int, registry: Registry) -> list[Touchpoint]:
    """Touchpoints that have to do with the catalogue, to be put among those of a history."""
    universe, made = identifiers(registry), []
    for number in range(1_000, 1_000 + size):
        time, received = _times(rnd)
        type, ids = rnd.choice((*WARES, *FACTS, *FACTS, "order.placed", "cart.item_added")), [rnd.choice(universe)]
        made.append(touchpoint(number, type, "web", ids, time, received, rnd.randrange(6), registry))
    return made


def home(tp: Touchpoint, registry: Registry) -> int:
    """A shard at which a touchpoint may arrive: its home, any for a fact without a person."""
    return registry.home(tp.ids[0]) if tp.ids else tp.time % registry.shards


def _times(rnd: Random) -> tuple[int, int]:
    """Event and received time: over some days or within minutes, to the second or a part of it, mostly in time,
    sometimes late, rarely ahead."""
    time = START + rnd.choice((rnd.randrange(3 * DAY), rnd.randrange(3 * HOUR), rnd.randrange(4) * MINUTE))
    time -= time % (SECOND // rnd.choice((1, 4)))
    delay = rnd.choice((0, 0, rnd.randrange(90) * SECOND, rnd.randrange(DAY), -20 * MINUTE))
    return time, time + delay
