"""Bad input to profiles: each kind has a rule, seen from what a producer sends to what is published."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.core.identifiers import Registry
from pipeline.core.policy import load
from pipeline.core.replay import replay
from pipeline.core.times import parse
from pipeline.core.touchpoint import Rejected, Touchpoint
from pipeline.dialects import Reader

REGISTRY = Registry(load("[bounds]\ntouchpoint_bytes = 4000000"))
NOON = "2026-03-01T12:00:00Z"
LATER = parse("2026-03-01T18:00:00Z")
Document = dict[str, Any]


def event(type: str, minute: int = 0, who: str = "C-1", **data: Any) -> bytes:
    return json.dumps(
        {
            "specversion": "1.0",
            "id": f"{type}@{minute}/{who}",
            "source": "web/shop",
            "type": type,
            "time": NOON.replace("12:00", f"12:{minute:02}"),
            "recordedtime": "2026-03-01T13:00:00Z",
            "data": {"identifiers": [{"type": "customer", "value": who}], **data},
        }
    ).encode()


def read(*events: bytes) -> list[Touchpoint | Rejected]:
    reader = Reader(REGISTRY)
    return [one for text in events for one in reader.read(text, None)]


def profiles(*events: bytes) -> list[Document]:
    """The documents by the order of their ids."""
    touchpoints = [one for one in read(*events) if isinstance(one, Touchpoint)]
    assert len(touchpoints) == len(events), "nothing was refused"
    found: dict[str, Document] = {}
    for output in replay(touchpoints, REGISTRY):
        if output.topic == "profiles":
            found[output.key] = json.loads(output.value or b"")
    return [one for one in found.values() if one["status"] == "active"]


def profile(*events: bytes) -> Document:
    (found,) = profiles(*events)
    return found


def line(sku: str = "A", **more: Any) -> Document:
    return {"sku": sku, "price": "10", "currency": "EUR", **more}


def order(id: str = "o", **more: Any) -> Document:
    return {"id": id, "currency": "EUR", **more}


@pytest.mark.parametrize("money", ["cheap", "", "NaN", "Infinity", "-1", "1e99", "1,50", True, {}, "1" * 60])
def test_money_that_is_not_money_refuses_the_touchpoint_whole(money: Any) -> None:
    for sent in (
        event("order.placed", order=order(total=money), items=[line()]),
        event("cart.item_added", items=[line(), line("B", price=money)]),
        event("wishlist.item_added", items=[line(price=money)]),
        event("order.returned", order=order(amount=money)),
    ):
        (found,) = read(sent)
        assert isinstance(found, Rejected)
        assert found.code == "bad_field"


@pytest.mark.parametrize(
    "type",
    ["cart.item_added", "cart.snapshot", "order.placed", "order.returned", "list.shared", "store.item_scanned"],
)
def test_negative_quantities_refuse_the_touchpoint_whole(type: str) -> None:
    (found,) = read(event(type, items=[line(quantity=-1)], order=order(), list={"id": "l"}))
    assert isinstance(found, Rejected)
    assert (found.code, "quantity" in found.message) == ("bad_field", True)


def test_a_return_larger_than_its_order_takes_back_the_order_and_no_more() -> None:
    commerce = profile(
        event("order.placed", 0, order=order("o-1", total="30")),
        event("order.placed", 1, order=order("o-2", total="50")),
        event("order.returned", 2, order=order("o-1", amount="9999")),
        event("order.returned", 3, order=order("o-1", amount="5")),
        event("order.returned", 4, order=order("o-2"), items=[line(quantity=100)]),
    )["commerce"]
    assert (commerce["ltv"], commerce["order_count"]) == ("0.00", 2)
    assert commerce["returns"] == {"count": 2, "value": "80.00", "rate": 1.0}


def test_an_order_that_changes_its_currency_counts_in_the_newest_alone() -> None:
    commerce = profile(
        event("order.placed", 0, order=order(total="30")),
        event("order.updated", 5, order=order(total="33", currency="USD")),
        event("order.returned", 9, order=order(amount="10")),
    )["commerce"]
    assert (commerce["ltv"], commerce["order_count"]) == ("0.00", 0)
    assert commerce["other_currencies"] == {"USD": {"orders": 1, "value": "0.00"}}, "euros say nothing of dollars"


def test_a_consent_without_a_time_holds_from_the_time_of_its_touchpoint() -> None:
    consent = {"channel": "email", "purpose": "marketing", "state": "granted"}
    consents = profile(event("consent.changed", 7, consent=consent))["consents"]
    assert consents["email"]["marketing"]["since"] == "2026-03-01T12:07:00Z"
    (found,) = read(event("consent.changed", consent={**consent, "effective": "yesterday"}))
    assert isinstance(found, Rejected)


def test_an_order_id_used_by_two_persons_is_an_order_of_each_and_one_order_when_they_are_one() -> None:
    two = [event("order.placed", n, f"C-{n}", order=order("o-1", total="30")) for n in (1, 2)]
    assert [one["commerce"]["ltv"] for one in profiles(*two)] == ["30.00", "30.00"]
    emails = [event("order.placed", n, order=order("o-1", total="30")).replace(b"C-1", b"%d@x.de" % n) for n in (1, 2)]
    emails = [one.replace(b'"customer"', b'"email"') for one in emails]
    both = event("identity.observed", 5).replace(
        b'{"type": "customer", "value": "C-1"}',
        b'{"type": "email", "value": "1@x.de"}, {"type": "email", "value": "2@x.de"}',
    )
    assert profile(*emails, both)["commerce"]["ltv"] == "30.00"


def test_a_stock_subscription_for_an_unknown_sku_waits_and_is_news_once_the_sku_is_there() -> None:
    asked = event("stock.subscribed", 0, items=[{"sku": "NOSUCH"}])
    assert profile(asked)["lineage"]["touchpoints"] == 1, "asking is nothing but a touchpoint"
    facts = [event("stock.changed", minute, items=[{"sku": "NOSUCH", "stock": n}]) for minute, n in ((5, 0), (9, 4))]
    facts = [fact.replace(b'{"identifiers": [{"type": "customer", "value": "C-1"}], ', b"{") for fact in facts]
    for told, expected in ((facts[:1], set()), (facts, {"back_in_stock"})):
        outputs = replay([one for one in read(asked, *told) if isinstance(one, Touchpoint)], REGISTRY, LATER)
        records = [json.loads(one.value or b"") for one in outputs if one.topic == "triggers"]
        assert {one["family"] for one in records} == expected
        assert [one.key for one in outputs if one.topic == "products"] == ["NOSUCH"]


MANY = [line(f"S-{n:05}") for n in range(10_000)]


def test_of_a_list_of_ten_thousand_items_the_first_are_kept_and_the_others_counted() -> None:
    found = profile(event("list.shared", list={"id": "l"}, items=MANY))
    assert [item["sku"] for item in found["lists"][0]["items"]] == [f"S-{n:05}" for n in range(200)]
    assert found["lineage"]["dropped"] == {"lines_per_cart": 9_800}


def test_of_a_cart_of_ten_thousand_lines_the_first_are_kept_and_the_others_counted() -> None:
    found = profile(event("cart.snapshot", cart={"id": "c"}, items=MANY))
    assert len(found["carts"]["open"][0]["lines"]) == 200
    assert found["lineage"]["dropped"] == {"lines_per_cart": 9_800}


def test_of_ten_thousand_wishes_and_orders_of_as_many_lines_the_bound_is_kept_and_the_worth_is_whole() -> None:
    found = profile(event("wishlist.item_added", items=MANY), event("order.placed", 1, order=order(), items=MANY))
    assert len(found["wishlist"]) == 200
    assert found["commerce"]["ltv"] == "100000.00"
    assert found["lineage"]["dropped"] == {"lines_per_cart": 9_800, "wishlist": 9_800}


def test_a_touchpoint_beyond_the_bound_of_bytes_is_a_dead_letter() -> None:
    (found,) = Reader(Registry(load(""))).read(event("list.shared", list={"id": "l"}, items=MANY), None)
    assert isinstance(found, Rejected)
    assert found.code == "too_large"
