"""Commerce of a person, each number worked out by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from pipeline.core.touchpoint import Id, Item, OrderRef
from tests.core.touchpoints import COOKIE, CUSTOMER, LOYALTY, item, ordered, registry, viewed

EUROS = "EUR"


def placed(order: str, minute: float, *items: Item, anchor: Id = CUSTOMER, source: str = "web/shop", **ref: Any):
    ref = {"currency": EUROS, **ref}
    return ordered(f"{order}@{minute}", minute, _ref(order, ref), *items, ids=(anchor,), source=source)


def returned(order: str, minute: float, *items: Item, anchor: Id = CUSTOMER, source: str = "store/12", **ref: Any):
    event = ordered(f"r-{order}@{minute}", minute, _ref(order, ref), *items, ids=(anchor,), source=source)
    event.type = "order.returned"
    return event


def marked(order: str, minute: float, type: str, *items: Item, anchor: Id = CUSTOMER, **ref: Any):
    return ordered(f"{type}-{order}@{minute}", minute, _ref(order, ref), *items, ids=(anchor,), type=type)


def _ref(order: str, ref: dict[str, Any]) -> OrderRef:
    money = {name: Decimal(ref[name]) for name in ("total", "amount") if name in ref}
    return OrderRef(id=order, **{**ref, **money})


def commerce(history: list, policy: str = "") -> dict[str, Any]:
    return viewed(history, registry(policy)).blocks["commerce"]


def test_orders_of_all_channels_and_fragments_add_up():
    history = [
        placed("o-1", 0, total="100.00"),
        placed("o-2", 60, item("A", "20.05", quantity=Decimal(2)), item("B", "9.90"), anchor=COOKIE),
        placed("o-3", 30, total="30", anchor=LOYALTY, source="store/12"),
    ]
    assert commerce(history) == {
        "currency": "EUR",
        "ltv": "180.00",
        "order_count": 3,
        "aov": "60.00",
        "first_order_at": "2026-03-01T12:00:00Z",
        "last_order_at": "2026-03-01T13:00:00Z",
        "returns": {"count": 0, "value": "0.00", "rate": 0.0},
        "by_channel": {
            "store": {"orders": 1, "value": "30.00"},
            "web": {"orders": 2, "value": "150.00"},
        },
        "rfm": {"recency_days": 69, "frequency_365d": 3, "monetary_365d": "180.00", "score": "333"},
        "ropo": {"flag": False, "count_365d": 0, "reverse_count_365d": 0},
    }


@pytest.mark.parametrize("desk", [COOKIE, CUSTOMER, LOYALTY])
def test_an_order_that_two_producers_report_counts_once_at_its_oldest_placement(desk: Id):
    history = [
        placed("o-1", 5, total="50", source="server/shop"),
        placed("o-1", 1, total="49.99", anchor=desk, source="web/segment"),
    ]
    block = commerce(history)
    assert (block["order_count"], block["ltv"], list(block["by_channel"])) == (1, "49.99", ["web"])
    assert block["first_order_at"] == "2026-03-01T12:01:00Z"


def test_a_return_on_another_fragment_and_channel_finds_its_order():
    history = [
        placed("o-1", 0, total="100"),
        placed("o-2", 1, total="50"),
        returned("o-1", 500, anchor=LOYALTY, amount="39.90"),
    ]
    block = commerce(history)
    assert block["returns"] == {"count": 1, "value": "39.90", "rate": 0.5}
    assert (block["ltv"], block["aov"]) == ("110.10", "55.05")
    assert block["by_channel"] == {"web": {"orders": 2, "value": "110.10"}}


@pytest.mark.parametrize(
    ("back", "value"),
    [
        (returned("o", 9, amount="12.34"), "12.34"),
        (returned("o", 9, item("A", "99"), amount="12.34"), "12.34"),
        (returned("o", 9, item("A", "8.50")), "8.50"),
        (returned("o", 9, item("A", None, quantity=Decimal(2))), "20.00"),
        (returned("o", 9, item("A", None), item("B", "4")), "14.00"),
        (returned("o", 9, item("UNKNOWN", None)), "32.00"),
        (returned("o", 9), "32.00"),
        (returned("o", 9, amount="500"), "32.00"),
        (returned("o", 9, amount="5", currency="USD"), "32.00"),
        (returned("o", 9, item("A", "1", currency="USD")), "10.00"),
    ],
)
def test_a_return_is_worth_its_amount_else_its_items_else_the_orders_price_of_them_else_the_order(back, value: str):
    order = placed("o", 0, item("A", "10", quantity=Decimal(2)), item("B", "7"), total="32")
    block = commerce([order, back])
    assert block["returns"] == {"count": 1, "value": value, "rate": 1.0}
    assert Decimal(block["ltv"]) == 32 - Decimal(value)


def test_of_two_bodies_of_one_return_the_first_received_counts():
    late = returned("o", 5, amount="10", anchor=LOYALTY)
    soon = returned("o", 5, amount="4", anchor=CUSTOMER)
    late.received += 1
    assert commerce([placed("o", 0, total="32"), late, soon])["ltv"] == "28.00"
    late.received -= 2
    assert commerce([placed("o", 0, total="32"), late, soon])["ltv"] == "22.00"


@pytest.mark.parametrize("desk", [COOKIE, LOYALTY])
def test_of_updates_on_several_fragments_the_newest_holds(desk: Id):
    updates = [
        marked("o", 8, "order.updated", total="8", anchor=desk),
        marked("o", 9, "order.updated", total="9", anchor=CUSTOMER),
    ]
    assert commerce([placed("o", 0, total="32"), *updates])["ltv"] == "9.00"


def test_several_returns_of_an_order_add_up_to_one_order_with_a_return():
    history = [placed("o", 0, total="32"), returned("o", 5, amount="10"), returned("o", 6, amount="2.5")]
    assert commerce(history)["returns"] == {"count": 1, "value": "12.50", "rate": 1.0}


def test_the_same_return_on_two_fragments_counts_once():
    history = [placed("o", 0, total="32")] + [returned("o", 5, amount="10", anchor=id) for id in (CUSTOMER, LOYALTY)]
    assert commerce(history)["ltv"] == "22.00"


def test_a_return_of_an_order_that_is_not_known_says_nothing():
    history = [placed("o", 0, total="32"), returned("elsewhere", 5, amount="10")]
    assert commerce(history)["ltv"] == "32.00"
    assert "commerce" not in viewed([returned("elsewhere", 5, amount="10")]).blocks


@pytest.mark.parametrize("desk", [COOKIE, CUSTOMER, LOYALTY])
def test_a_cancelled_order_leaves_count_and_value_wherever_it_was_cancelled(desk: Id):
    history = [
        placed("o-1", 0, total="100"),
        placed("o-2", 5, total="40"),
        marked("o-1", 9, "order.cancelled", anchor=desk),
        returned("o-1", 10, amount="5"),
    ]
    block = commerce(history)
    assert (block["order_count"], block["ltv"], block["returns"]["count"]) == (1, "40.00", 0)
    assert block["first_order_at"] == "2026-03-01T12:05:00Z"


def test_when_every_order_was_cancelled_nothing_remains_but_the_fact_of_none():
    block = commerce([placed("o", 0, total="100"), marked("o", 9, "order.cancelled")])
    assert block == {
        "currency": "EUR",
        "ltv": "0.00",
        "order_count": 0,
        "returns": {"count": 0, "value": "0.00", "rate": 0.0},
        "by_channel": {},
    }


@pytest.mark.parametrize(
    ("update", "ltv"),
    [
        (marked("o", 9, "order.updated", total="80"), "80.00"),
        (marked("o", 9, "order.updated", item("A", "30")), "30.00"),
        (marked("o", 9, "order.updated", status="shipped"), "100.00"),
        (marked("o", -9, "order.updated", total="80"), "100.00"),
        (marked("o", 9, "order.updated", total="80", anchor=LOYALTY), "80.00"),
    ],
)
def test_an_order_is_worth_what_its_newest_update_says(update, ltv: str):
    assert commerce([placed("o", 0, item("A", "120"), total="100"), update])["ltv"] == ltv


def test_an_update_without_a_placement_is_no_order():
    assert "commerce" not in viewed([marked("o", 9, "order.updated", total="80")]).blocks


def test_other_currencies_stand_apart_with_their_own_decimals():
    history = [
        placed("o-1", 0, total="10", currency="EUR"),
        placed("o-2", 1, total="20.5", currency="USD"),
        placed("o-3", 2, total="1999.5", currency="JPY"),
        placed("o-4", 3, total="1.0005", currency="KWD"),
        placed("o-5", 4, total="7", currency="USD"),
        returned("o-5", 9, amount="0.5", currency="USD"),
    ]
    block = commerce(history)
    assert block["other_currencies"] == {
        "JPY": {"orders": 1, "value": "2000"},
        "KWD": {"orders": 1, "value": "1.001"},
        "USD": {"orders": 2, "value": "27.00"},
    }
    assert (block["order_count"], block["ltv"], block["returns"]["count"]) == (1, "10.00", 0)
    assert block["last_order_at"] == "2026-03-01T12:04:00Z"


def test_the_main_currency_is_the_policys_and_that_of_orders_without_one():
    history = [
        placed("o-1", 0, total="1000", currency=None),
        placed("o-2", 0, item("A", "200", currency="JPY"), currency=None),
    ]
    block = commerce(history, '[profile]\ncurrency = "JPY"')
    assert (block["currency"], block["ltv"], block["aov"]) == ("JPY", "1200", "600")


def test_orders_that_are_not_kept_in_detail_still_count():
    history = [placed(f"o-{n}", n, total=f"{n}.10", source="web/shop" if n % 2 else "store/12") for n in range(1, 8)]
    history.insert(3, returned("o-2", 9, amount="1.05"))
    bounded, whole = commerce(history, "[bounds]\norders = 2"), commerce(history)
    for block in (bounded, whole):
        del block["rfm"]
    assert bounded == whole


def test_money_is_exact_and_rounded_half_up_only_at_the_end():
    history = [placed(f"o-{n}", n, total="0.335") for n in range(3)]
    block = commerce(history)
    assert (block["ltv"], block["aov"]) == ("1.01", "0.34")


def test_amounts_of_any_size_are_added_exactly():
    history = [placed("o-1", 0, total="1" + "0" * 40), placed("o-2", 1, total="0.01")]
    assert commerce(history)["ltv"] == "1" + "0" * 40 + ".01"
