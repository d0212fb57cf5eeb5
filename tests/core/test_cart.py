"""Carts: how changes and orders become episodes. Minutes; skew 5, expiry 30 days."""

from __future__ import annotations

from decimal import Decimal

from pipeline.core.cart import episodes
from pipeline.core.episode import Episode, abandoned_at, open_carts, recovered_at, value_of
from tests.core.shopper import NO_CONSENT_NEEDED, Facts, World, at

JANE = "cookie:c-1 email:jane@example.com"
DAY = 24 * 60
KEEP = NO_CONSENT_NEEDED + 'any_order = "keep"\n'


def of(facts: Facts, as_of: float | None = None) -> list[Episode]:
    """The episodes of all facts, as if of one person."""
    world = World(facts.registry)
    for tp in facts.all:
        world.fold(tp)
    fragments = [world.fragments[id] for id in sorted(world.fragments)]
    return episodes(fragments, None if as_of is None else at(as_of), facts.registry.policy)


def lines(episode: Episode) -> dict[str, int]:
    return {sku: int(line.quantity) for sku, line in episode.lines.items()}


def ends(found: list[Episode]) -> list[tuple[str | None, int | None]]:
    return [(one.end, one.ended_at) for one in found]


def test_deltas_add_and_remove_and_never_fall_below_nothing() -> None:
    facts = Facts()
    facts.add(0, JANE, "A*2 B")
    facts.remove(1, JANE, "A B*5 C")
    (episode,) = of(facts)
    assert lines(episode) == {"A": 1}


def test_a_snapshot_replaces_the_lines_and_adds_up_the_same_sku() -> None:
    facts = Facts()
    facts.add(0, JANE, "A")
    facts.snapshot(1, JANE, "B C*2 C*3")
    (episode,) = of(facts)
    assert lines(episode) == {"B": 1, "C": 5}


def test_a_snapshot_older_than_a_delta_does_not_undo_it() -> None:
    facts = Facts()
    facts.add(5, JANE, "B")
    facts.snapshot(0, JANE, "A", late=60)
    (episode,) = of(facts)
    assert lines(episode) == {"A": 1, "B": 1}


def test_an_identical_snapshot_is_activity_and_no_change() -> None:
    facts = Facts()
    facts.add(0, JANE, "A")
    facts.snapshot(30, JANE, "A")
    (episode,) = of(facts)
    assert [point.time for point in episode.points] == [at(0)]
    assert [quiet.anchor_at for quiet in episode.quiet] == [at(30)]


def test_a_line_remembers_when_it_was_added_and_changed() -> None:
    facts = Facts()
    facts.add(0, JANE, "A")
    facts.snapshot(5, JANE, "A B")
    facts.snapshot(9, JANE, "A*2 B")
    (episode,) = of(facts)
    assert (episode.lines["A"].added, episode.lines["A"].changed) == (at(0), at(9))
    assert (episode.lines["B"].added, episode.lines["B"].changed) == (at(5), at(5))


def test_a_cart_is_folded_from_all_fragments() -> None:
    facts = Facts()
    facts.add(0, "cookie:c-1", "A")
    facts.add(5, "email:jane@example.com", "B")
    facts.remove(7, "device:d-1", "A")
    (episode,) = of(facts)
    assert lines(episode) == {"B": 1}
    assert len({point.fragment for point in episode.points}) == 3


def test_an_emptied_cart_opens_anew() -> None:
    facts = Facts()
    facts.add(0, JANE)
    facts.snapshot(5, JANE, "")
    facts.add(9, JANE, "B")
    first, second = of(facts)
    assert (first.end, first.ended_at, lines(first)) == ("emptied", at(5), {})
    assert (second.end, lines(second)) == (None, {"B": 1})


def test_changes_that_leave_nothing_open_no_episode() -> None:
    facts = Facts()
    facts.snapshot(0, JANE, "")
    facts.remove(1, JANE)
    facts.checkout(2, JANE)
    assert of(facts) == []


def test_an_order_with_the_carts_id_takes_everything() -> None:
    facts = Facts()
    facts.add(0, JANE, "A B")
    facts.order(5, JANE, "Z", "cart-1")
    assert ends(of(facts)) == [("converted", at(5))]
    assert open_carts(of(facts), at(6)) == []


def test_an_order_with_the_carts_checkout_takes_everything() -> None:
    facts = Facts()
    facts.add(0, JANE, "A B")
    facts.checkout(2, JANE, checkout="ch-1")
    facts.order(5, JANE, "Z", checkout="ch-1")
    assert ends(of(facts)) == [("converted", at(5))]


def test_an_order_of_all_skus_converts_the_cart_in_any_channel() -> None:
    facts = Facts()
    facts.add(0, JANE, "A B*2")
    facts.order(5, "loyalty:L-1", "A B Z", source="store/till")
    assert ends(of(facts)) == [("converted", at(5))]


def test_an_order_of_some_skus_leaves_the_others_in_the_cart() -> None:
    facts = Facts()
    facts.add(0, JANE, "A B")
    facts.order(5, JANE, "A")
    (episode,) = of(facts)
    assert (episode.end, lines(episode)) == ("converted_partial", {"B": 1})
    assert open_carts([episode], at(6)) == [episode]
    assert open_carts([episode], at(30 * DAY)) == []


def test_any_order_closes_the_cart_and_leaves_its_lines() -> None:
    facts = Facts()
    facts.add(0, JANE, "A")
    facts.order(5, JANE, "Z")
    (episode,) = of(facts)
    assert (episode.end, lines(episode)) == ("cancelled_by_order", {"A": 1})
    assert episode.quiet == []


def test_what_an_order_left_in_the_cart_leaves_with_a_later_one() -> None:
    facts = Facts()
    facts.add(0, JANE, "A B")
    facts.order(5, JANE, "Z")
    facts.order(9, JANE, "A")
    (episode,) = of(facts)
    assert (episode.end, episode.ended_at, lines(episode)) == ("cancelled_by_order", at(5), {"B": 1})


def test_any_order_leaves_the_cart_open_where_the_policy_says_so() -> None:
    facts = Facts(KEEP)
    facts.add(0, JANE, "A")
    facts.order(5, JANE, "Z")
    assert ends(of(facts)) == [(None, None)]


def test_a_change_after_an_order_opens_a_new_episode_with_what_was_left() -> None:
    facts = Facts()
    facts.add(0, JANE, "A")
    facts.order(5, JANE, "Z")
    facts.add(20, JANE, "B")
    first, second = of(facts)
    assert (first.end, lines(first)) == ("cancelled_by_order", {})
    assert (second.end, lines(second)) == (None, {"A": 1, "B": 1})


def test_a_change_shortly_after_its_order_came_out_of_order() -> None:
    facts = Facts()
    facts.order(5, JANE, "A", "cart-1")
    facts.add(10, JANE, "B")
    assert ends(of(facts)) == [("converted", at(10))]


def test_a_change_longer_after_its_order_is_a_new_cart() -> None:
    facts = Facts()
    facts.order(5, JANE, "A", "cart-1")
    facts.add(10.1, JANE, "B")
    assert ends(of(facts)) == [(None, None)]


def test_an_order_at_the_time_of_a_change_comes_after_it() -> None:
    facts = Facts()
    facts.order(5, JANE, "A")
    facts.add(5, JANE, "A")
    assert ends(of(facts)) == [("converted", at(5))]


def test_a_cancelled_order_does_not_reopen_the_cart() -> None:
    facts = Facts()
    facts.add(0, JANE)
    bought = facts.order(5, JANE)
    facts.put("order.cancelled", 9, JANE, bought.data)
    assert ends(of(facts)) == [("converted", at(5))]


def test_an_order_known_twice_counts_once_at_its_oldest_time() -> None:
    facts = Facts()
    facts.add(0, JANE, "A B")
    facts.order(6, "customer:C-1", "A", order="o-1", source="server/shop")
    facts.order(5, JANE, "A", order="o-1")
    (episode,) = of(facts)
    assert (episode.end, episode.ended_at) == ("converted_partial", at(5))


def test_a_cart_expires_when_nothing_changes() -> None:
    facts = Facts()
    facts.add(0, JANE, "A")
    facts.view(29 * DAY, JANE)
    facts.add(30 * DAY, JANE, "B")
    first, second = of(facts)
    assert (first.end, first.ended_at) == ("expired", at(30 * DAY))
    assert lines(second) == {"B": 1}


def test_carts_stay_apart() -> None:
    facts = Facts()
    facts.add(0, JANE, "A", "cart-1")
    facts.add(1, JANE, "A", "cart-2")
    assert [(one.key, lines(one)) for one in of(facts)] == [("cart-1", {"A": 1}), ("cart-2", {"A": 1})]


def test_a_cart_without_id_is_one_per_source_and_cookie() -> None:
    facts = Facts()
    facts.add(0, "cookie:c-1", "A", None)
    facts.add(1, "cookie:c-1 email:jane@example.com", "B", None)
    facts.add(2, "cookie:c-1", "C", None, source="web/other")
    facts.add(3, "cookie:c-2", "D", None)
    assert sorted(tuple(lines(one)) for one in of(facts)) == [("A", "B"), ("C",), ("D",)]
    assert {one.cart_id for one in of(facts)} == {None}


def test_a_cart_without_id_moves_into_the_one_that_shows_its_cookie() -> None:
    facts = Facts()
    facts.add(0, "cookie:c-1", "A", None)
    facts.add(5, "cookie:c-1 email:jane@example.com", "B", "cart-1")
    implicit, real = of(facts)
    assert (implicit.end, implicit.ended_at, lines(implicit)) == ("superseded", at(5), {})
    assert (real.cart_id, lines(real)) == ("cart-1", {"A": 1, "B": 1})


def test_a_snapshot_that_absorbs_a_cart_says_all_that_is_in_it() -> None:
    facts = Facts()
    facts.add(0, "cookie:c-1", "A", None)
    facts.snapshot(5, "cookie:c-1", "A", "cart-1")
    assert lines(of(facts)[1]) == {"A": 1}


def test_what_is_added_without_id_later_is_absorbed_later() -> None:
    facts = Facts()
    facts.add(0, "cookie:c-1", "A", "cart-1")
    facts.add(5, "cookie:c-1", "B", None)
    assert [lines(one) for one in of(facts)] == [{"B": 1}, {"A": 1}]
    facts.checkout(9, "cookie:c-1", "", "cart-1")
    assert [lines(one) for one in of(facts)] == [{}, {"A": 1, "B": 1}]


def test_a_cart_named_by_its_checkout_is_the_cart_that_shows_this_checkout() -> None:
    facts = Facts()
    facts.add(0, JANE, "A", "cart-1")
    facts.checkout(5, JANE, "", "cart-1", checkout="ch-1")
    facts.checkout(9, JANE, "A B", None, checkout="ch-1")
    (episode,) = of(facts)
    assert (episode.key, lines(episode)) == ("cart-1", {"A": 1, "B": 1})


def test_the_stage_rises_once_and_stays() -> None:
    facts = Facts()
    facts.add(0, JANE)
    facts.checkout(5, JANE)
    facts.checkout(6, JANE)
    facts.add(9, JANE, "B")
    (episode,) = of(facts)
    assert [(point.time, point.stage) for point in episode.points] == [
        (at(0), "cart"),
        (at(5), "checkout"),
        (at(9), "checkout"),
    ]


def test_a_new_episode_begins_at_its_own_stage() -> None:
    facts = Facts()
    facts.checkout(0, JANE, "A")
    facts.order(5, JANE, "Z")
    facts.add(20, JANE, "B")
    assert [one.last.stage for one in of(facts)] == ["checkout", "cart"]


def test_the_value_is_of_the_newest_currency() -> None:
    facts = Facts()
    facts.add(0, JANE, "A*2")
    facts.add(1, JANE, "B", currency="USD")
    (episode,) = of(facts)
    assert episode.last.currency == "USD"
    assert value_of(episode.lines.values(), "EUR") == Decimal("30.00")
    assert value_of(episode.lines.values(), "USD") is None


def test_the_shops_value_stands_where_no_line_has_a_price() -> None:
    facts = Facts()
    facts.add(0, JANE, "A", price=None, value=Decimal("12.5"))
    (episode,) = of(facts)
    assert value_of(episode.lines.values(), "EUR", episode.last.value) == Decimal("12.5")


def test_a_cart_is_idle_half_an_hour_after_the_last_activity() -> None:
    facts = Facts()
    facts.add(0, JANE)
    facts.view(29, JANE)
    facts.view(59.5, JANE)
    (episode,) = of(facts)
    assert episode.idle_at == at(59)


def test_activity_on_another_device_moves_the_deadline() -> None:
    facts = Facts()
    facts.add(0, JANE)
    facts.view(59, "device:d-1")
    (episode,) = of(facts)
    assert [(quiet.anchor_at, quiet.deadline_at) for quiet in episode.quiet] == [(at(59), at(119))]


def test_activity_a_whole_delay_later_does_not() -> None:
    facts = Facts()
    facts.add(0, JANE)
    facts.view(60, JANE)
    (episode,) = of(facts)
    assert [quiet.deadline_at for quiet in episode.quiet] == [at(60)]


def test_a_change_at_the_deadline_starts_again() -> None:
    facts = Facts()
    facts.add(0, JANE)
    facts.add(60, JANE, "B")
    (episode,) = of(facts)
    assert [quiet.deadline_at for quiet in episode.quiet] == [at(120)]


def test_every_quiet_point_is_a_deadline() -> None:
    facts = Facts()
    facts.add(0, JANE)
    facts.add(500, JANE, "B")
    (episode,) = of(facts)
    assert [(quiet.deadline_at, quiet.until) for quiet in episode.quiet] == [(at(60), at(500)), (at(560), None)]
    assert [tuple(quiet.point.lines) for quiet in episode.quiet] == [("A",), ("A", "B")]


def test_a_cart_closed_by_its_deadline_has_none() -> None:
    facts = Facts()
    facts.add(0, JANE)
    facts.order(60, JANE)
    (episode,) = of(facts)
    assert episode.quiet == []
    assert recovered_at(episode) is None


def test_a_cart_is_abandoned_at_its_deadline_and_recovered_by_an_order() -> None:
    facts = Facts()
    facts.add(0, JANE)
    facts.order(300, JANE)
    (episode,) = of(facts)
    assert abandoned_at(episode, at(59)) is None
    assert abandoned_at(episode, at(60)) == at(60)
    assert recovered_at(episode) == at(300)


def test_only_what_was_received_counts_as_of_a_time() -> None:
    facts = Facts()
    facts.add(0, JANE)
    facts.add(10, JANE, "B", late=50)
    facts.order(20, JANE, "A", late=70)
    assert [(lines(one), one.end) for one in of(facts, 59)] == [({"A": 1}, None)]
    assert [(lines(one), one.end) for one in of(facts, 60)] == [({"A": 1, "B": 1}, None)]
    assert [(lines(one), one.end) for one in of(facts, 90)] == [({"B": 1}, "converted_partial")]


def test_lines_are_bounded() -> None:
    facts = Facts("[bounds]\nlines_per_cart = 2\n")
    for sku in "ABC":
        facts.add(0, JANE, sku)
    (episode,) = of(facts)
    assert lines(episode) == {"A": 1, "B": 1}
