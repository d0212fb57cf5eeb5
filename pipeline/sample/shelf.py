"""What the shop says of its wares: their prices and stocks at first, then sales, shortages and new deliveries.

Facts without a person. A small shop tells of fewer wares, so that facts stay about a hundredth of all that is told.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from pipeline.core.times import DAY, HOUR, MILLISECOND, MINUTE
from pipeline.sample.people import CATALOGUE, STORES, WINDOW_START, Event, Product

SOURCE = "server/erp"
TOUCHPOINTS_PER_PRODUCT = 400
SALE_SHARE, SHORT_SHARE, OUT_SHARE = 0.35, 0.3, 0.4
PLENTY, FEW = 40, 2


def shelf(seed: int, touchpoints: int) -> Iterator[Event]:
    """The facts about each product, not in the order of time."""
    for product in CATALOGUE[: touchpoints // TOUCHPOINTS_PER_PRODUCT]:
        yield from _facts(product, Random(f"{seed}/{product.sku}"))


def _facts(product: Product, random: Random) -> Iterator[Event]:
    opening = WINDOW_START + random.randrange(HOUR // MILLISECOND) * MILLISECOND
    yield _price(product, opening, product.price)
    yield _stock(product, opening, PLENTY)
    yield _stock(product, opening, random.randrange(1, 9), random.choice(STORES))
    if random.random() < SALE_SHARE:
        yield _price(product, _moment(random, 1.0, 2.6), product.price * random.choice((70, 80, 85)) // 100)
    if random.random() < SHORT_SHARE:
        yield _stock(product, _moment(random, 0.8, 2.2), FEW)
    if random.random() < OUT_SHARE:
        sold_out = _moment(random, 0.5, 1.5)
        yield _stock(product, sold_out, 0)
        yield _stock(product, sold_out + random.randrange(6 * 60, 30 * 60) * MINUTE, PLENTY)


def _moment(random: Random, least: float, most: float) -> int:
    """So many days after the window begins."""
    return WINDOW_START + int(random.uniform(least, most) * DAY) // MILLISECOND * MILLISECOND


def _price(product: Product, time: int, cents: int) -> Event:
    price = f"{cents // 100}.{cents % 100:02}"
    return _fact("price.changed", product, time, {"price": price, "currency": "EUR"})


def _stock(product: Product, time: int, stock: int, store: str = "") -> Event:
    return _fact("stock.changed", product, time, {"stock": stock}, store)


def _fact(type: str, product: Product, time: int, said: dict[str, object], store: str = "") -> Event:
    data: dict[str, object] = {"items": [{"sku": product.sku, **said}]}
    if store:
        data["store"] = {"id": store}
    return Event(f"{type}/{product.sku}/{store}/{time}", time, SOURCE, type, (), data)
