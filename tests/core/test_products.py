"""The products topic: what orders, views, wishes, prices and stocks of SKUs come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.catalogue.top import MOST, Top
from pipeline.core.group import Group
from pipeline.core.identifiers import Registry
from pipeline.core.policy import load
from pipeline.core.replay import replay
from pipeline.core.times import DAY, MINUTE
from pipeline.core.touchpoint import Data, Id, Item, OrderRef, Store, Touchpoint
from tests.core.touchpoints import touchpoint
from tests.published import Published

L1, L2, C1 = Id("loyalty:L-1"), Id("loyalty:L-2"), Id("customer:C-1")
COOKIE = Id("cookie:c-1")
S12 = Store(id="S-12")


def items(skus: str) -> list[Item]:
    """`A B*3`: quantities after a star."""
    split = [one.partition("*") for one in skus.split()]
    return [Item(sku=sku, quantity=Decimal(quantity or 1)) for sku, _, quantity in split]


def said(
    id: str, type: str, minute: float, *ids: Id, skus: str = "", order: str | None = None, **more: Any
) -> Touchpoint:
    late, store, ref = more.pop("late", 0), more.pop("store", None), OrderRef(id=order, **more)
    data = Data(items=items(skus), order=ref if order or more else None, store=store)
    return touchpoint(id, minute, ids=ids, type=type, data=data, late=late)


def bought(id: str, minute: float, skus: str, order: str | None = None, *ids: Id, **more: Any) -> Touchpoint:
    return said(id, "order.placed", minute, *(ids or (L1,)), skus=skus, order=order or id, **more)


def viewed(id: str, minute: float, sku: str, *ids: Id, **more: Any) -> Touchpoint:
    return said(id, "product.viewed", minute, *(ids or (L1,)), skus=sku, **more)


def wished(id: str, minute: float, sku: str, *ids: Id, **more: Any) -> Touchpoint:
    return said(id, "wishlist.item_added", minute, *(ids or (L1,)), skus=sku, **more)


def fact(id: str, minute: float, sku: str, *, price: str = "", stock: str = "", **more: Any) -> Touchpoint:
    item = Item(sku=sku, currency=more.pop("currency", None))
    item.price, item.stock = Decimal(price) if price else None, Decimal(stock) if stock else None
    data = Data(items=[item], store=more.pop("store", None))
    return touchpoint(id, minute, ids=(), type="price.changed" if price else "stock.changed", data=data, **more)


def products(touchpoints: Iterable[Touchpoint], until: int = 0, shards: int = 1, policy: str = "") -> dict[str, Any]:
    made = sorted(touchpoints, key=lambda tp: tp.received)
    end = made[0].received + until if until else 0
    return Published(replay(made, Registry(load(policy), shards=shards), end)).products


def together(touchpoints: Iterable[Touchpoint], sku: str = "A") -> list[tuple[str, int, float]]:
    known = products(touchpoints).get(sku)
    return [] if known is None else [(one["sku"], one["orders"], one["lift"]) for one in known["bought_together"]]


ORDERS = [bought("o1", 0, "A B C"), bought("o2", 1, "A B"), bought("o3", 2, "C"), bought("o4", 3, "A", None, L2)]


def test_bought_together_counts_orders_and_says_how_much_more_often_than_by_chance() -> None:
    assert together(ORDERS) == [("B", 2, round(2 * 4 / (3 * 2), 4)), ("C", 1, round(1 * 4 / (3 * 2), 4))]
    assert together(ORDERS, "C") == [("A", 1, 0.6667), ("B", 1, 1.0)]


def test_a_cancelled_order_counts_nowhere_whenever_that_is_known() -> None:
    cancelled = said("x", "order.cancelled", 10, L1, order="o1")
    without = products([one for one in ORDERS if one.id != "o1"])
    assert products([*ORDERS, cancelled]) == without
    early = said("x", "order.cancelled", -1, L1, order="o1")
    assert products([early, *ORDERS]) == without


def test_an_order_counts_once_however_often_and_by_whomever_it_is_said() -> None:
    again = [bought("o1", 30, "A B C", "o1", COOKIE), bought("p1", 40, "A B C", "o1", C1)]
    assert products([*ORDERS, *again]) == products(ORDERS)


def test_an_update_replaces_the_lines() -> None:
    updated = said("u", "order.updated", 20, L1, order="o1", skus="A D")
    assert [sku for sku, _, _ in together([*ORDERS, updated])] == ["B", "D"]
    assert products([*ORDERS, updated])["B"]["bought_together"][0]["orders"] == 1


def test_units_sold_are_counted_by_store_less_those_returned() -> None:
    sold = [bought("o1", 0, "A*3 B", store=S12), bought("o2", 1, "A", store=Store(id="S-9"))]
    assert products(sold)["A"]["by_store"] == {
        "S-12": {"wished_90d": 0, "sold_90d": 3},
        "S-9": {"wished_90d": 0, "sold_90d": 1},
    }
    back = said("r", "order.returned", 60, L2, order="o1", skus="A*2")
    assert products([*sold, back])["A"]["by_store"]["S-12"]["sold_90d"] == 1
    assert [sku for sku, *_ in together([*sold, back])] == ["B"], "they were bought together all the same"
    all_of_it = said("r", "order.returned", 60, L2, order="o1")
    assert "S-12" not in products([*sold, all_of_it])["A"]["by_store"]


def test_viewed_then_bought_joins_views_and_orders_that_share_an_identifier() -> None:
    history = [viewed("v1", 0, "A", COOKIE), viewed("v2", 1, "B", COOKIE), bought("o1", 60, "B", None, C1, COOKIE)]
    assert products(history)["A"]["viewed_then_bought"] == [{"sku": "B", "orders": 1, "lift": 1.0}]
    assert products(history)["B"]["viewed_then_bought"] == [], "what was viewed and bought itself says nothing"
    late = viewed("v1", 0, "A", COOKIE, late=600)
    assert products([late, *history[1:]]) == products(history)
    after = viewed("v1", 61, "A", COOKIE)
    assert "A" not in products([after, *history[1:]])


def test_a_view_long_before_an_order_says_nothing() -> None:
    month = 31 * DAY / MINUTE
    assert "A" not in products([viewed("v1", 0, "A"), bought("o1", month, "B")])


def test_wishes_count_until_they_are_taken_back_or_ninety_days_old() -> None:
    history = [wished("w1", 0, "A", store=S12), wished("w2", 1, "A", L2), wished("w3", 2, "A", L2)]
    assert products(history)["A"]["wished_90d"] == 2
    assert products(history)["A"]["by_store"] == {"S-12": {"wished_90d": 1, "sold_90d": 0}}
    removed = said("w4", "wishlist.item_removed", 3, L2, skus="A")
    assert products([*history, removed])["A"]["wished_90d"] == 1
    assert products(history, until=89 * DAY)["A"]["wished_90d"] == 2
    assert products(history, until=90 * DAY) == {}


def test_a_day_that_leaves_the_window_is_published_by_time_alone() -> None:
    group, seen = Group(Registry(load("")), "record"), Published()
    group.add(0)
    for tp in [bought("o1", 0, "A", store=S12), fact("p", 1, "A", price="1")]:
        group.touch(0, tp)
    for passed in (0, 89, 92):
        clock = tp.received + passed * DAY
        for output in group.drain(clock, clock).outputs:
            if output.topic == "products":
                seen.take(output)
        assert ("S-12" in seen.products["A"]["by_store"]) == (passed < 90)


def test_the_newest_price_and_the_newest_stock_of_each_store_are_shown() -> None:
    history = [
        fact("p2", 2, "A", price="8.5"),
        fact("p1", 1, "A", price="9.90", late=5),
        fact("s1", 1, "A", stock="3", store=S12),
        fact("s2", 2, "A", stock="40"),
        fact("s3", 0, "A", stock="7", store=S12, late=9),
    ]
    assert products(history)["A"]["price"] == "8.50"
    assert products(history)["A"]["stock"] == {"": 40, "S-12": 3}
    dollars = fact("p3", 3, "A", price="9", currency="USD")
    assert products([*history, dollars])["A"]["price"] == "8.50", "the policy's currency comes first"
    assert products([dollars])["A"]["currency"] == "USD"


def test_of_two_facts_with_one_id_the_one_received_first_counts() -> None:
    assert products([fact("p", 1, "A", price="9"), fact("p", 1, "A", price="7", late=5)])["A"]["price"] == "9.00"


def test_an_unknown_sku_in_a_subscription_is_no_product_until_something_is_known_of_it() -> None:
    subscribed = said("s", "stock.subscribed", 0, L1, skus="NEW")
    assert products([subscribed]) == {}
    assert products([subscribed, fact("f", 1, "NEW", stock="0")])["NEW"]["stock"] == {"": 0}


def test_a_product_is_published_once_per_interval_and_complete_in_the_end() -> None:
    group, outputs = Group(Registry(load('[publish]\nmin_interval = "10s"')), "record"), []
    group.add(0)
    for number in range(60):
        tp = fact(f"p{number}", number / 60, "A", price=str(100 - number))
        group.touch(0, tp)
        outputs += group.drain(tp.received, tp.received).outputs
    outputs += group.drain(tp.received + MINUTE, tp.received + MINUTE).outputs
    assert 6 <= len(outputs) <= 8
    assert Published(outputs).products["A"]["price"] == "41.00"


def test_on_a_clock_that_stands_still_nothing_waits_for_it() -> None:
    group, seen = Group(Registry(load('[publish]\nmin_interval = "10s"')), "record"), Published()
    group.add(0)
    for number in range(3):
        tp = fact(f"p{number}", number / 60, "A", price=str(9 - number))
        group.touch(0, tp)
        for output in group.drain(tp.received, tp.received).outputs:
            seen.take(output)
    assert seen.products["A"]["price"] == "9.00"
    assert group.next_due is not None and group.next_due <= tp.received
    for output in group.drain(tp.received, tp.received).outputs:
        seen.take(output)
    assert seen.products["A"]["price"] == "7.00"
    assert group.next_due is None or group.next_due > tp.received


def test_an_order_of_ten_thousand_lines_is_bounded() -> None:
    long = bought("o1", 0, " ".join(f"S{number}" for number in range(10_000)), store=S12)
    known = products([long])
    assert len(known) == 200 and len(known["S0"]["bought_together"]) == 49
    assert known["S199"]["by_store"] == {"S-12": {"wished_90d": 0, "sold_90d": 1}}


@given(st.lists(st.tuples(st.sampled_from("ABCDEF"), st.booleans()), max_size=40), st.randoms())
def test_a_top_list_is_exact_whatever_the_order_as_long_as_it_is_not_full(
    steps: list[tuple[str, bool]], rnd: Random
) -> None:
    one, other, exact = Top(), Top(), Counter[str]()
    for name, added in steps:
        one.add(name, 1 if added else -1)
        exact[name] += 1 if added else -1
    rnd.shuffle(steps)
    for name, added in steps:
        other.add(name, 1 if added else -1)
    assert (
        one.most(9)
        == other.most(9)
        == sorted(((name, count) for name, count in exact.items() if count > 0), key=lambda pair: (-pair[1], pair[0]))
    )


def test_a_full_top_list_is_off_by_no_more_than_its_share_of_all_counts() -> None:
    rnd, top, exact = Random(3), Top(), Counter[str]()
    for _ in range(20_000):
        name = f"S{int(rnd.paretovariate(0.6))}" if rnd.random() < 0.9 else f"S{rnd.randrange(5_000)}"
        exact[name] += 1
        top.add(name, 1)
    assert top.full and len(top.counts) == MOST
    assert all(abs(count - exact[name]) <= 20_000 / MOST for name, count in top.most(MOST))
    frequent = {name for name, count in exact.items() if count > 20_000 / MOST}
    assert frequent <= top.counts.keys()


def test_orders_are_forgotten_when_no_touchpoint_can_be_about_them_any_more() -> None:
    rows: dict[bytes, bytes] = {}
    for passed in (0, 401):
        group = Group(Registry(load("")), "record")
        group.add(0, list(rows.items()))
        if not passed:
            group.touch(0, bought("o1", 0, "A B"))
        now = bought("o1", 0, "A B").received + passed * DAY
        for key, row in group.drain(now, now).rows[0].items():
            rows.pop(key, None) if row is None else rows.update({key: row})
        kinds = {key[:1] for key in rows}
        assert (b"B" in kinds) == (b"V" in kinds) == (passed == 0)
        assert b"P" in kinds


@pytest.mark.parametrize("shards", [2, 5])
def test_homes_of_skus_and_orders_do_not_show(shards: int) -> None:
    history = [*ORDERS, viewed("v", -5, "C"), wished("w", 4, "B"), fact("p", 5, "A", price="3")]
    assert products(history, shards=shards) == products(history)
