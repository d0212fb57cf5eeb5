"""Touchpoints for tests, in minutes after NOON, and fragments folded from them."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from pipeline.core.fold import fold
from pipeline.core.fragment import Fragment
from pipeline.core.identifiers import Registry
from pipeline.core.person import Person
from pipeline.core.policy import Policy, load
from pipeline.core.times import MINUTE, parse
from pipeline.core.touchpoint import CartRef, Data, Id, Item, OrderRef, Touchpoint
from pipeline.core.view import View, view

NOON = parse("2026-03-01T12:00:00Z")
REGISTRY = Registry(Policy())

LOYALTY, CUSTOMER, COOKIE, OTHER_COOKIE = Id("loyalty:L-1"), Id("customer:C-1"), Id("cookie:c-1"), Id("cookie:c-2")


def registry(policy: str = "") -> Registry:
    return Registry(load(policy))


def touchpoint(
    id: str,
    minute: float = 0,
    type: str = "page.viewed",
    ids: tuple[Id, ...] = (COOKIE,),
    source: str = "web/shop",
    *,
    late: float = 0,
    data: Data | None = None,
    **more: Any,
) -> Touchpoint:
    """Received `late` minutes after it happened."""
    time = NOON + round(minute * MINUTE)
    return Touchpoint(
        id=id,
        source=source,
        channel=source.partition("/")[0],
        type=type,
        time=time,
        received=time + round(late * MINUTE),
        ids=ids,
        data=data or Data(),
        **more,
    )


def added(id: str, minute: float, sku: str, cart: str | None = None, **more: Any) -> Touchpoint:
    data = Data(cart=CartRef(id=cart), items=[item(sku)], session=more.pop("session", None))
    return touchpoint(id, minute, more.pop("type", "cart.item_added"), data=data, **more)


def ordered(id: str, minute: float, order: OrderRef, *items: Item, **more: Any) -> Touchpoint:
    return touchpoint(id, minute, more.pop("type", "order.placed"), data=Data(order=order, items=list(items)), **more)


def item(sku: str, price: Any = "10.00", **more: Any) -> Item:
    return Item(sku=sku, price=None if price is None else Decimal(price), **more)


def folded(touchpoints: Iterable[Touchpoint], registry: Registry = REGISTRY) -> Fragment:
    """All of them, in this order, in the fragment of the first one's anchor."""
    fragment: Fragment | None = None
    for tp in touchpoints:
        fragment = fragment or Fragment(tp.ids[0])
        fold(fragment, tp, registry)
    assert fragment is not None
    return fragment


def fragments_of(touchpoints: Iterable[Touchpoint], registry: Registry = REGISTRY) -> list[Fragment]:
    """One fragment per anchor, by id."""
    found: dict[Id, Fragment] = {}
    for tp in touchpoints:
        fold(found.setdefault(tp.ids[0], Fragment(tp.ids[0])), tp, registry)
    return [found[id] for id in sorted(found)]


def viewed(
    touchpoints: Iterable[Touchpoint],
    registry: Registry = REGISTRY,
    *,
    ids: tuple[Id, ...] | None = None,
    minute: float = 100_000,
    **more: Any,
) -> View:
    """The view of one person with all identifiers of the touchpoints, strongest first, or with `ids`."""
    fragments = fragments_of(touchpoints, registry)
    if ids is None:
        seen = {Id(id) for fragment in fragments for key in fragment.sets for id in key.split("\n")}
        ids = tuple(sorted(seen, key=lambda id: (registry.rank(id), id)))
    person = Person(ids, fragments, "00000000-0000-5000-8000-000000000000", **more)
    return view(person, NOON + round(minute * MINUTE), registry, None)
