"""Families on a person's own facts beside carts, and how they make way for one another. Minutes; grace 2."""

from __future__ import annotations

import pytest

from tests.core.shopper import NO_CONSENT_NEEDED, Facts, Record, clock, hindsight, live, newest, replayed, told

JANE = "cookie:c-1 email:jane@example.com"
PHONE = "device:d-1 email:jane@example.com"
HOUR, DAY = 60, 24 * 60
IDLE_AND_DELAY = 30 + 4 * HOUR


def play(facts: Facts, until: float = 20 * DAY) -> list[Record]:
    records = live(facts, until)
    assert records == hindsight(facts, until)
    assert records == replayed(facts, until) == replayed(facts, until, times=2)
    return records


def final(facts: Facts, until: float = 20 * DAY) -> list[tuple[str, str, str | None, str]]:
    return [(one["family"], one["status"], one["reason"], one["deadline_at"]) for one in newest(play(facts, until))]


def skus(record: Record) -> list[str]:
    return [line["sku"] for line in record["cart"]["lines"]]


def only(facts: Facts) -> Record:
    (record,) = newest(play(facts))
    return record


# -- store baskets ---------------------------------------------------------------------------------------------------


def test_a_basket_that_was_not_bought_fires_two_hours_after_its_last_change() -> None:
    facts = Facts()
    facts.scan(0, JANE, "A")
    facts.scan(10, JANE, "B")
    record = only(facts)
    assert (record["family"], record["status"], record["deadline_at"]) == ("store_basket", "fired", clock(130))
    assert (record["cart"]["cart_id"], record["cart"]["stage"], skus(record)) == (None, None, ["A", "B"])


def test_a_saved_basket_replaces_what_was_scanned() -> None:
    facts = Facts()
    facts.scan(0, JANE, "A")
    facts.save(5, JANE, "B C*2")
    record = only(facts)
    assert (record["deadline_at"], record["cart"]["value"], skus(record)) == (clock(125), "30.00", ["B", "C"])


def test_activity_elsewhere_does_not_put_a_basket_off() -> None:
    facts = Facts()
    facts.scan(0, JANE)
    facts.view(100, PHONE)
    assert final(facts) == [("store_basket", "fired", None, clock(120))]


def test_a_basket_that_was_bought_is_silent() -> None:
    facts = Facts()
    facts.scan(0, JANE)
    facts.order(30, PHONE, "A", source="store/S-12")
    assert play(facts) == []


def test_a_till_sale_that_arrives_late_withdraws_a_basket() -> None:
    facts = Facts()
    facts.scan(0, JANE)
    facts.order(30, JANE, "A", source="store/S-12", late=200)
    assert final(facts) == [("store_basket", "retracted", "late_purchase", clock(120))]


# -- wish lists ------------------------------------------------------------------------------------------------------


def test_a_wish_list_fires_a_week_after_its_first_product_was_wished() -> None:
    facts = Facts()
    facts.wish(0, JANE, "A")
    facts.wish(2 * DAY, PHONE, "B")
    record = only(facts)
    assert (record["family"], record["status"]) == ("wishlist", "fired")
    assert (record["anchor_at"], record["deadline_at"], skus(record)) == (clock(0), clock(7 * DAY), ["A", "B"])
    assert record["cart"]["cart_id"] is None


def test_what_was_bought_leaves_the_wish_list() -> None:
    facts = Facts()
    facts.wish(0, JANE, "A B")
    facts.order(3 * DAY, JANE, "A")
    record = only(facts)
    assert (record["deadline_at"], skus(record)) == (clock(7 * DAY), ["B"])


@pytest.mark.parametrize("how", ["order", "unwish"])
def test_an_empty_wish_list_is_silent(how: str) -> None:
    facts = Facts()
    facts.wish(0, JANE, "A B")
    getattr(facts, how)(3 * DAY, JANE, "A B")
    assert play(facts) == []


def test_an_order_of_other_things_leaves_the_wish_list_alone() -> None:
    facts = Facts()
    facts.wish(0, JANE)
    facts.order(3 * DAY, JANE, "Z")
    assert final(facts) == [("wishlist", "fired", None, clock(7 * DAY))]


def test_an_order_of_something_that_was_told_recovers_a_wish_list() -> None:
    facts = Facts()
    facts.wish(0, JANE, "A B")
    facts.order(8 * DAY, JANE, "B")
    assert final(facts) == [("wishlist", "recovered", None, clock(7 * DAY))]


def test_a_wish_list_that_was_bought_out_in_time_is_withdrawn_when_that_becomes_known() -> None:
    facts = Facts()
    facts.wish(0, JANE)
    facts.order(6 * DAY, JANE, late=2 * DAY)
    assert final(facts) == [("wishlist", "retracted", "late_purchase", clock(7 * DAY))]


def test_what_is_left_after_an_order_is_due_again_with_the_next_wish() -> None:
    facts = Facts()
    facts.wish(0, JANE, "A B")
    facts.order(8 * DAY, JANE, "A")
    facts.wish(9 * DAY, JANE, "C")
    first, second = newest(play(facts))
    assert (first["status"], second["status"], second["deadline_at"]) == ("recovered", "fired", clock(16 * DAY))
    assert skus(second) == ["B", "C"]
    assert first["episode_id"] != second["episode_id"]


# -- browsing --------------------------------------------------------------------------------------------------------


def test_a_session_with_two_product_views_fires_after_it_has_ended() -> None:
    facts = Facts()
    facts.look(0, JANE, "A")
    facts.look(10, PHONE, "B")
    facts.view(30, JANE)
    record = only(facts)
    assert (record["family"], record["status"]) == ("browse", "fired")
    assert (record["anchor_at"], record["deadline_at"]) == (clock(30), clock(30 + IDLE_AND_DELAY))
    assert (skus(record), record["evidence"]["last_activity"]) == (["A", "B"], "page.viewed@2")


def test_one_product_view_is_no_browsing() -> None:
    facts = Facts()
    facts.look(0, JANE)
    facts.view(1, JANE)
    facts.look(31, JANE)
    assert play(facts) == []


def test_two_views_of_one_product_are_browsing() -> None:
    facts = Facts()
    facts.look(0, JANE)
    facts.look(29, JANE)
    assert skus(only(facts)) == ["A"]


def test_whoever_ordered_lately_is_not_asked_to_come_back() -> None:
    facts = Facts()
    facts.order(0, JANE, "Z")
    facts.look(9 * DAY, JANE, "A")
    facts.look(9 * DAY + 1, JANE, "B")
    assert play(facts) == []


def test_whoever_ordered_long_ago_is() -> None:
    facts = Facts()
    facts.order(0, JANE, "Z")
    facts.look(10 * DAY, JANE, "A")
    facts.look(10 * DAY + 1, JANE, "B")
    assert final(facts) == [("browse", "fired", None, clock(10 * DAY + 1 + IDLE_AND_DELAY))]


def test_an_earlier_order_that_becomes_known_later_withdraws_browsing() -> None:
    facts = Facts()
    facts.order(0, JANE, "Z", late=3 * DAY)
    facts.look(2 * DAY, JANE, "A")
    facts.look(2 * DAY + 1, JANE, "B")
    assert [one[:3] for one in final(facts)] == [("browse", "retracted", "late_purchase")]


def test_any_order_recovers_browsing() -> None:
    facts = Facts()
    facts.look(0, JANE, "A")
    facts.look(1, JANE, "B")
    facts.order(2 * DAY, JANE, "Z")
    assert [one[:3] for one in final(facts)] == [("browse", "recovered", None)]


def test_views_of_two_devices_are_one_session_once_they_are_one_person() -> None:
    facts = Facts()
    facts.look(0, "cookie:c-1", "A")
    facts.look(10, "email:jane@example.com", "B")
    facts.put("profile.updated", 600, JANE, facts.all[0].data)
    record = only(facts)
    assert (record["status"], record["deadline_at"], record["fired_at"]) == (
        "fired",
        clock(10 + IDLE_AND_DELAY),
        clock(600),
    )


# -- one after the other ---------------------------------------------------------------------------------------------


def test_a_pending_cart_silences_browsing() -> None:
    facts = Facts()
    facts.look(0, JANE, "A")
    facts.look(1, JANE, "B")
    facts.add(230, JANE)
    assert final(facts) == [
        ("browse", "suppressed", "higher_family", clock(1 + IDLE_AND_DELAY)),
        ("cart", "fired", None, clock(290)),
    ]


def test_a_cart_that_was_told_silences_browsing_for_two_days() -> None:
    facts = Facts()
    facts.add(0, JANE)
    for start in (1 * DAY, 3 * DAY):
        facts.look(start, JANE, "A")
        facts.look(start + 1, JANE, "B")
    assert [one[:3] for one in final(facts)] == [
        ("cart", "fired", None),
        ("browse", "suppressed", "higher_family"),
        ("browse", "fired", None),
    ]


def test_a_cart_that_was_suppressed_silences_nobody() -> None:
    facts = Facts(NO_CONSENT_NEEDED + 'threshold = { EUR = "15" }\n')
    facts.look(0, JANE, "A")
    facts.look(1, JANE, "B")
    facts.add(2, JANE, "A")
    assert [one[:3] for one in final(facts)] == [
        ("cart", "suppressed", "below_threshold"),
        ("browse", "fired", None),
    ]


def test_browsing_fires_once_the_cart_in_its_way_is_withdrawn() -> None:
    facts = Facts()
    facts.add(0, JANE)
    facts.look(90, JANE, "A")
    facts.look(91, JANE, "B")
    facts.remove(30, JANE, late=600)
    assert [(one["family"], one["status"], one["reason"]) for one in play(facts)] == [
        ("cart", "fired", None),
        ("browse", "suppressed", "higher_family"),
        ("cart", "retracted", "emptied"),
        ("browse", "fired", None),
    ]


def test_browsing_that_made_way_for_a_pending_cart_does_not_come_back_because_time_passed() -> None:
    facts = Facts(NO_CONSENT_NEEDED + 'threshold = { EUR = "15" }\n')
    facts.look(0, JANE, "A")
    facts.look(1, JANE, "B")
    facts.add(230, JANE, "A")
    facts.traits(400, JANE, first_name="Jane")
    assert [one[:3] for one in final(facts)] == [
        ("browse", "suppressed", "higher_family"),
        ("cart", "suppressed", "below_threshold"),
    ]


def test_caps_count_all_families() -> None:
    facts = Facts()
    facts.wish(0, JANE, "W")
    facts.look(6 * DAY, JANE, "A")
    facts.look(6 * DAY + 1, JANE, "B")
    facts.add(7 * DAY + HOUR, JANE, "C")
    assert [one[:3] for one in final(facts)] == [
        ("browse", "suppressed", "higher_family"),
        ("wishlist", "fired", None),
        ("cart", "suppressed", "cap_24h"),
    ]


def test_of_families_due_at_one_time_the_highest_fires() -> None:
    facts = Facts()
    facts.scan(0, JANE, "A")
    facts.add(60, JANE, "B")
    assert final(facts) == [
        ("cart", "fired", None, clock(120)),
        ("store_basket", "suppressed", "higher_family", clock(120)),
    ]


def test_the_lower_of_two_families_is_withdrawn_when_two_persons_turn_out_to_be_one() -> None:
    facts = Facts()
    facts.add(0, JANE)
    facts.look(DAY, "cookie:c-2 email:joe@example.com", "A")
    facts.look(DAY + 1, "cookie:c-2 email:joe@example.com", "B")
    facts.observe(3 * DAY, "email:jane@example.com email:joe@example.com")
    assert [one[:3] for one in final(facts)] == [
        ("cart", "fired", None),
        ("browse", "retracted", "duplicate_after_merge"),
    ]


def test_families_that_are_off_neither_fire_nor_stand_in_the_way() -> None:
    facts = Facts(NO_CONSENT_NEEDED + 'enabled = ["wishlist", "browse"]\n')
    facts.look(0, JANE, "A")
    facts.look(1, JANE, "B")
    facts.add(2, JANE)
    facts.scan(3, JANE)
    assert [one[:3] for one in final(facts)] == [("browse", "fired", None)]


def test_a_basket_in_a_store_is_told_with_its_own_device() -> None:
    facts = Facts()
    facts.scan(0, JANE, device="Android")
    assert told(play(facts)) == [("fired", None, clock(120))]
    assert only(facts)["devices"] == ["android"]
