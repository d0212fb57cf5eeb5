"""What the ledger forgets after 90 days is not told again. Days; carts stay much longer than the ledger."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.shopper import NO_CONSENT_NEEDED, Facts, Record, newest, replayed, told

DAY = 24 * 60
JANE = "cookie:c-1 email:jane@example.com"
PHONE = "device:d-1 email:jane@example.com"


def test_an_old_cart_is_not_told_of_again_once_it_was_forgotten() -> None:
    facts = Facts()
    facts.add(0, JANE, "A")
    facts.add(100 * DAY, JANE, "B", "cart-2")
    facts.add(110 * DAY, JANE, "C", "cart-3")
    records = replayed(facts, 120 * DAY)
    assert [record["cart"]["cart_id"] for record in records] == ["cart-1", "cart-2", "cart-3"]


def test_a_cart_that_was_too_old_is_not_too_old_again() -> None:
    facts = Facts()
    facts.add(0, JANE, "A", late=10 * DAY)
    for day in (120, 140, 240):
        facts.add(day * DAY, JANE, "B", f"cart-{day}")
    assert [status for status, _, _ in told(replayed(facts, 250 * DAY))] == ["suppressed", *["fired"] * 3]


def test_what_was_forgotten_of_two_persons_is_so_of_the_one_they_turn_out_to_be() -> None:
    facts = Facts()
    facts.add(0, "cookie:c-1", "A")
    facts.add(0, "email:jane@example.com", "B", "cart-2")
    for day in (100, 105):
        facts.add(day * DAY, "cookie:c-1", "A", f"cart-{day}")
        facts.add(day * DAY, "email:jane@example.com", "A", f"other-{day}")
    before = replayed(facts, 110 * DAY)
    facts.observe(120 * DAY, JANE)
    facts.add(121 * DAY, JANE, "A", "cart-121")
    after = replayed(facts, 130 * DAY)
    assert {one["cart"]["cart_id"] for one in after[len(before) :]} & {"cart-1", "cart-2"} == set()
    newest(after)


def test_a_cart_that_lives_for_long_keeps_its_id_and_goes_on_counting() -> None:
    facts = Facts()
    for day in range(0, 300, 20):
        facts.add(day * DAY, JANE, f"SKU-{day}")
    records = newest(replayed(facts, 310 * DAY))
    assert len({record["episode_id"] for record in records}) == 1
    assert len(records) == 15


def test_facts_that_are_late_by_months_never_give_a_known_trigger_id_to_another_telling() -> None:
    facts = Facts()
    facts.add(0, JANE, "A")
    facts.add(100 * DAY, JANE, "Z", "cart-2")
    for place, day in enumerate((25, 50, 75, 100)):
        facts.add(day * DAY + 1, JANE, f"B-{place}", late=(126 - day) * DAY)
    facts.add(127 * DAY, JANE, "C")
    records = replayed(facts, 135 * DAY)
    fired = [record["trigger_id"] for record in records if record["status"] == "fired"]
    assert len(fired) == len(set(fired)) == 3
    newest(records)


_acts = st.lists(
    st.tuples(
        st.sampled_from((0, 1, 3, 29, 31, 60, 89, 91, 100, 130, 180)),
        st.integers(0, 3).map(lambda hours: hours * 60),
        st.sampled_from(("cookie:c-1", PHONE, JANE)),
        st.sampled_from(("add", "snapshot", "remove", "look", "scan", "wish", "order", "observe")),
        st.sampled_from(("A", "B", "A B")),
        st.sampled_from(("cart-1", "cart-2")),
        st.sampled_from((0, 0, 60, DAY, 95 * DAY)),
    ),
    min_size=2,
    max_size=14,
)


@settings(max_examples=40, deadline=None)
@given(_acts)
def test_over_a_long_time_revisions_count_up_and_no_contents_are_told_twice(acts: list[tuple[int, ...]]) -> None:
    facts = Facts(NO_CONSENT_NEEDED + "cap_7d = 20\n")
    for day, minute, who, act, skus, cart, late in acts:
        about = () if act == "observe" else (skus, cart) if act in ("add", "snapshot", "remove", "scan") else (skus,)
        getattr(facts, act)(day * DAY + minute, who, *about, late=late)
    records = replayed(facts, 400 * DAY)
    newest(records)
    assert max(_tellings(records).values(), default=1) == 1


def _tellings(records: list[Record]) -> Counter[tuple[object, ...]]:
    return Counter(
        (
            record["evidence"]["last_change"],
            record["step"],
            tuple((line["sku"], line["quantity"]) for line in record["cart"]["lines"]),
        )
        for record in records
        if record["status"] == "fired"
    )
