"""Items of a touchpoint as lines of a fragment: money and quantities as exact text."""

from __future__ import annotations

from pipeline.core.facts.bounded import count_dropped
from pipeline.core.fragment import Fragment, Line
from pipeline.core.money import plain
from pipeline.core.touchpoint import ONE, Item


def lines_of(fragment: Fragment, items: list[Item], limit: int, bound: str = "lines_per_cart") -> list[Line]:
    """The first `limit` items that name a product; the others are counted under `bound`. An item without SKU goes by
    its product id, else its name."""
    lines = []
    for item in items:
        sku = item.sku or item.product_id or item.name
        if sku:
            lines.append(_line(item, sku))
    if len(lines) > limit:
        count_dropped(fragment, bound, len(lines) - limit)
        del lines[limit:]
    return lines


def _line(item: Item, sku: str) -> Line:
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
