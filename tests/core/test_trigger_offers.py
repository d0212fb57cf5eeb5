"""Families on prices and stocks of what a person holds, and what stock says of carts. Minutes; grace 2."""

from __future__ import annotations

from typing import Any

import pytest

from tests.core.shopper import Facts, Record, clock, hindsight, live, newest, replayed

JANE = "cookie:c-1 email:jane@example.com"
PHONE = "device:d-1 email:jane@example.com"
DAY = 24 * 60


def play(facts: Facts, until: float = 6 * DAY) -> list[Record]:
    records = live(facts, until)
    assert records == hindsight(facts, until)
    assert records == replayed(facts, until) == replayed(facts, until, times=2)
    return records


def news(facts: Facts, until: float = 6 * DAY) -> list[tuple[str, str, str | None, str]]:
    """Of prices and stocks alone."""
    families = ("price_drop", "low_stock", "back_in_stock")
    found = [one for one in newest(play(facts, until)) if one["family"] in families]
    return [(one["family"], one["status"], one["reason"], one["deadline_at"]) for one in found]


def drop(minute: float, status: str = "fired", reason: str | None = None) -> tuple[Any, ...]:
    return "price_drop", status, reason, clock(minute)


def wished(sku: str = "A", who: str = JANE) -> Facts:
    facts = Facts()
    facts.wish(0, who, sku)
    return facts


# -- prices ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("price", "fires"), [("9.00", True), ("9.01", False), ("10.00", False), ("2", True)])
def test_a_price_of_at_most_nine_tenths_of_the_item_s_own_is_news(price: str, fires: bool) -> None:
    facts = wished()
    facts.price(100, "A", price)
    assert news(facts) == ([drop(100)] if fires else [])


def test_the_record_shows_the_item_at_its_new_price() -> None:
    facts = wished()
    facts.stock(50, "A", 5)
    facts.price(100, "A", "8")
    (record,) = newest(play(facts))
    assert record["cart"]["cart_id"] is None and record["cart"]["stage"] is None
    assert record["cart"]["value"] == "8.00"
    line = record["cart"]["lines"][0]
    assert (line["sku"], line["price"], line["stock"], line["name"]) == ("A", "8.00", 5, "Item A")
    assert record["anchor_at"] == record["deadline_at"] == clock(100)


def test_a_further_drop_is_news_only_after_the_price_rose() -> None:
    facts = wished()
    facts.price(100, "A", "8")
    facts.price(2 * DAY, "A", "7")
    assert news(facts) == [drop(100)]
    facts.price(3 * DAY, "A", "9")
    facts.price(4 * DAY, "A", "8")
    assert news(facts) == [drop(100), drop(4 * DAY)]


def test_what_the_person_paid_attention_to_last_is_what_counts() -> None:
    facts = wished()
    facts.wish(50, JANE, "A", price="8.50")
    facts.price(100, "A", "8")
    assert news(facts) == []


def test_a_price_in_another_currency_says_nothing() -> None:
    facts = wished()
    facts.price(100, "A", "5", currency="USD")
    assert news(facts) == []


def test_a_price_of_another_sku_or_before_the_item_says_nothing() -> None:
    facts = wished()
    facts.price(-5, "A", "5")
    facts.price(100, "B", "5")
    assert news(facts) == []


@pytest.mark.parametrize("late", [0, 1, 300])
def test_it_does_not_show_whether_the_price_or_the_item_came_first(late: float) -> None:
    facts = Facts()
    facts.wish(0, JANE, "A", late=late)
    facts.price(10, "A", "8")
    assert news(facts) == [drop(10)]


def test_a_cart_that_is_pending_comes_before_its_prices() -> None:
    facts = Facts()
    facts.add(0, JANE, "A")
    facts.price(20, "A", "8")
    assert news(facts) == [drop(20, "suppressed", "higher_family")]


def test_an_item_that_was_bought_or_taken_off_is_no_longer_held() -> None:
    facts = wished()
    facts.order(50, JANE, "A", source="store/S-12")
    facts.price(100, "A", "8")
    assert news(facts) == []
    facts = wished()
    facts.unwish(50, JANE, "A")
    facts.price(100, "A", "8")
    assert news(facts) == []


def test_an_order_of_the_item_withdraws_or_recovers() -> None:
    facts = wished()
    facts.price(100, "A", "8")
    facts.order(90, PHONE, "A", late=120)
    assert news(facts) == [drop(100, "retracted", "late_purchase")]
    facts = wished()
    facts.price(100, "A", "8")
    facts.order(200, PHONE, "A")
    assert news(facts) == [drop(100, "recovered")]
    facts = wished()
    facts.price(100, "A", "8")
    facts.order(200, PHONE, "Z")
    assert news(facts) == [drop(100)]


def test_an_item_taken_off_before_the_trigger_fired_withdraws_it() -> None:
    facts = wished()
    facts.price(100, "A", "8")
    facts.unwish(90, JANE, "A", late=60)
    assert news(facts) == [drop(100, "retracted", "emptied")]
    facts = wished()
    facts.price(100, "A", "8")
    facts.unwish(101, JANE, "A")
    assert news(facts) == []
    facts = wished()
    facts.price(100, "A", "8")
    facts.unwish(200, JANE, "A")
    assert news(facts) == [drop(100)]


def test_what_another_order_left_in_a_cart_is_still_held() -> None:
    facts = Facts()
    facts.add(0, JANE, "A")
    facts.order(10, JANE, "Z")
    facts.price(3 * DAY, "A", "8")
    assert news(facts) == [drop(3 * DAY)]


def test_a_backfilled_price_mails_nobody() -> None:
    facts = wished()
    facts.price(100, "A", "8", late=4 * DAY)
    assert news(facts) == [drop(100, "suppressed", "too_old")]


# -- stocks ----------------------------------------------------------------------------------------------------------


def test_stock_that_falls_to_three_is_news() -> None:
    facts = wished()
    for minute, count in ((10, 9), (20, 4), (30, 3), (40, 2)):
        facts.stock(minute, "A", count)
    assert news(facts) == [("low_stock", "fired", None, clock(30))]


def test_the_first_stock_known_is_no_change_and_that_of_a_store_says_nothing() -> None:
    facts = wished()
    facts.stock(10, "A", 2)
    facts.stock(20, "A", 9, store="S-12")
    facts.stock(30, "A", 1, store="S-12")
    assert news(facts) == []


def test_who_subscribed_hears_when_it_is_back() -> None:
    facts = Facts()
    facts.stock(-10, "A", 0)
    facts.subscribe(0, JANE, "A")
    facts.stock(600, "A", 4)
    assert news(facts) == [("back_in_stock", "fired", None, clock(600))]


def test_a_subscription_for_an_unknown_sku_waits_until_it_was_out_of_stock() -> None:
    facts = Facts()
    facts.subscribe(0, JANE, "NEW")
    assert news(facts) == []
    facts.stock(10, "NEW", 4)
    assert news(facts) == []
    facts.stock(20, "NEW", 0)
    facts.stock(30, "NEW", 4)
    assert [one for one in news(facts) if one[0] == "back_in_stock"] == [("back_in_stock", "fired", None, clock(30))]


@pytest.mark.parametrize(("before", "fires"), [(0, True), (5, False)])
def test_who_wished_it_hears_only_if_it_was_out_of_stock_then(before: int, fires: bool) -> None:
    facts = Facts()
    facts.stock(-10, "A", before)
    facts.wish(0, JANE, "A")
    facts.stock(10, "A", 0)
    facts.stock(600, "A", 4)
    found = [one for one in news(facts) if one[0] == "back_in_stock"]
    assert found == ([("back_in_stock", "fired", None, clock(600))] if fires else [])


def test_no_trigger_of_what_is_out_of_stock_and_a_new_delivery_is_in_time_for_the_next() -> None:
    facts = Facts()
    facts.stock(-10, "A", 0)
    facts.add(0, JANE, "A")
    (record,) = newest(play(facts))
    assert (record["status"], record["reason"]) == ("suppressed", "out_of_stock")
    facts.add(30, JANE, "B")
    (record,) = newest(play(facts))
    assert (record["status"], [line["stock"] for line in record["cart"]["lines"]]) == ("fired", [0, None])


@pytest.mark.parametrize(("minute", "late", "status"), [(59, 0, "suppressed"), (61, 0, "fired"), (59, 60, "fired")])
def test_stock_counts_as_of_the_deadline(minute: float, late: float, status: str) -> None:
    facts = Facts()
    facts.add(0, JANE, "A")
    facts.stock(minute, "A", 0, late=late)
    assert [one["status"] for one in newest(play(facts)) if one["family"] == "cart"] == [status]


def test_a_late_delivery_frees_a_cart_that_was_held_back_for_stock() -> None:
    facts = Facts()
    facts.stock(-10, "A", 0)
    facts.add(0, JANE, "A")
    facts.stock(50, "A", 7, late=200)
    found = {one["family"]: (one["status"], one["reason"]) for one in newest(play(facts))}
    assert found["cart"] == ("fired", None)
