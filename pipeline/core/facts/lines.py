"""Items of a touchpoint as lines of a fragment: money and quantities as exact text."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from pipeline.core.facts.bounded import count_dropped
from pipeline.core.fragment import Fragment, Line
from pipeline.core.money import plain
from pipeline.core.touchpoint import ONE, Item


def lines_of(fragment: Fragment, items: list[Item], limit: int, bound: str = "lines_per_cart") -> list[Line]:
    """The first `limit` items that name a product; the others are counted under `bound`. An item without SKU goes by
    its product id, else its name."""
    lines = [line for item in items if (line := line_of(item)) is not None]
    if len(lines) > limit:
        count_dropped(fragment, bound, len(lines) - limit)
        del lines[limit:]
    return lines


def sku_of(item: Item) -> str | None:
    return item.sku or item.product_id or item.name


def skus_of(items: list[Item], limit: int) -> Iterator[str]:
    """Of the first `limit` items that name a product."""
    return islice(filter(None, map(sku_of, items)), limit)


def line_of(item: Item) -> Line | None:
    """None for an item that names no product."""
    sku = item.sku or item.product_id or item.name
    if not sku:
        return None
    quantity, price = item.quantity, item.price
    return Line(
        sku,
        "1" if quantity is ONE else plain(quantity),
        None if price is None else plain(price),
        item.currency,
        item.name,
        item.variant,
        item.product_id,
        item.size,
        item.brand,
        item.category,
        item.url,
        item.image_url,
    )
