"""Rules of triggers one by one: grouping, caps, steps, addresses, consent, withdrawal. Minutes; delay 60, grace 2."""

from __future__ import annotations

from decimal import Decimal

import pytest

from pipeline.core.fragment import Fragment
from pipeline.core.identifiers import Registry
from pipeline.core.ledger import outlived
from pipeline.core.person import Person
from pipeline.core.policy import load
from pipeline.core.touchpoint import Data, Id
from pipeline.core.trigger import Outcome, evaluate
from pipeline.core.triggers import known
from pipeline.core.triggers.reasons import is_held_out
from tests.core.shopper import (
    NO_CONSENT_NEEDED,
    Facts,
    Record,
    World,
    at,
    clock,
    hindsight,
    live,
    newest,
    replayed,
    told,
)

JANE = "cookie:c-1 email:jane@example.com"
JOE = "cookie:c-2 email:joe@example.com"
BOTH = "email:jane@example.com email:joe@example.com"
DAY = 24 * 60


def play(facts: Facts, until: float = 10 * DAY) -> list[Record]:
    """All records; the same with hindsight."""
    records = live(facts, until)
    assert records == hindsight(facts, until)
    newest(records)
    return records


def final(facts: Facts, until: float = 10 * DAY) -> list[tuple[str, str | None, str]]:
    return told(newest(play(facts, until)))


def only(facts: Facts) -> Record:
    (record,) = newest(play(facts))
    return record


# -- nothing to do ---------------------------------------------------------------------------------------------------


def test_a_person_without_carts_costs_nothing() -> None:
    person = Person((Id("cookie:c-1"),), [Fragment(Id("cookie:c-1"))], "p-1")
    assert evaluate(person, {}, at(0), at(0), Registry(load("")), None, 1) == Outcome()


def test_a_cart_asks_to_be_woken_no_later_than_it_is_due() -> None:
    facts = Facts()
    world = World(facts.registry)
    world.fold(facts.add(0, JANE))
    world.evaluate(at(1))
    assert world.wake == at(62)
    world.fold(facts.view(30, JANE))
    world.evaluate(at(62))
    assert world.wake == at(92)


def test_nobody_looks_closely_at_who_is_still_busy_or_has_bought(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[object] = []
    monkeypatch.setattr(known, "episodes", lambda *given: looked.append(given))
    for act in (Facts.view, Facts.order):
        facts = Facts()
        world = World(facts.registry)
        for minute in (0, 30, 55):
            world.fold(facts.add(minute, JANE, "A"))
        world.fold(act(facts, 90, JANE))
        assert world.evaluate(at(62)) == world.evaluate(at(120)) == []
    assert looked == []


def test_what_is_held_says_so() -> None:
    facts = Facts()
    world = World(facts.registry)
    world.fold(facts.add(0, JANE))
    (person,) = world.persons()
    outcome = evaluate(person, {}, at(63), at(10), facts.registry, None, 1)
    assert (outcome.held, outcome.wake) == (at(60), at(77))
    outcome = evaluate(person, {}, at(200), at(10), facts.registry, None, 1, hold_from=at(190))
    assert (outcome.held, outcome.wake) == (at(60), at(205))


# -- the record ------------------------------------------------------------------------------------------------------


def test_a_record_has_the_published_shape() -> None:
    facts = Facts()
    facts.snapshot(0, JANE, "A B*2", url="https://shop.example/r/1", device="iOS")
    facts.view(3, JANE, id="evt-view")
    record = only(facts)
    assert list(record) == [
        "trigger_id", "episode_id", "family", "step", "status", "revision", "reason", "reasons", "via_link",
        "profile_id", "profile_revision", "anchor_at", "deadline_at", "evaluated_at", "fired_at", "send_not_before",
        "expires_at", "addressable", "channels", "excluded_channels", "cart", "other_carts", "devices", "evidence",
    ]  # fmt: skip
    assert record["cart"] == {
        "cart_id": "cart-1",
        "stage": "cart",
        "source": "web/shop",
        "value": "30.00",
        "currency": "EUR",
        "recovery_url": "https://shop.example/r/1",
        "lines": [
            {
                "sku": sku,
                "name": f"Item {sku}",
                "variant": None,
                "quantity": quantity,
                "price": "10.00",
                "url": None,
                "image_url": None,
                "stock": None,
            }
            for sku, quantity in (("A", 1), ("B", 2))
        ],
    }
    assert record["channels"] == [
        {"channel": "email", "rank": 1, "identifier": {"type": "email", "value": "jane@example.com"}}
    ]
    assert record["excluded_channels"] == [
        {"channel": "push", "reason": "not_addressable"},
        {"channel": "sms", "reason": "not_addressable"},
    ]
    assert record["devices"] == ["ios"]
    assert record["evidence"] == {
        "last_change": "cart.snapshot@0",
        "last_activity": "evt-view",
        "progress": clock(65),
    }


def test_a_withdrawal_repeats_what_it_withdraws() -> None:
    facts = Facts()
    facts.add(0, JANE)
    facts.order(50, JANE, late=100)
    fired, retracted = play(facts)
    changed = {"status": "retracted", "revision": 2, "reason": "late_purchase", "reasons": ["late_purchase"]}
    assert retracted == {**fired, **changed, "evaluated_at": clock(150)}


def test_a_record_of_something_not_sent_has_no_times_of_sending() -> None:
    facts = Facts()
    facts.add(0, "cookie:c-1")
    record = only(facts)
    assert (record["fired_at"], record["send_not_before"], record["expires_at"]) == (None, None, None)


# -- groups, caps, steps ---------------------------------------------------------------------------------------------


def test_the_lead_is_the_highest_stage_then_the_latest_change_then_the_highest_value() -> None:
    facts = Facts()
    facts.checkout(0, JANE, "A", "checkout")
    facts.add(10, JANE, "B*2", "dear")
    facts.add(10, JANE, "C", "cheap")
    record = only(facts)
    assert record["family"] == "checkout"
    assert [cart["cart_id"] for cart in (record["cart"], *record["other_carts"])] == ["checkout", "dear", "cheap"]


def test_when_the_lead_is_suppressed_the_next_is_tried() -> None:
    facts = Facts(NO_CONSENT_NEEDED + 'threshold = { EUR = "15" }\n')
    facts.add(0, JANE, "A*2", "enough")
    facts.add(10, JANE, "B", "too-little")
    records = play(facts)
    assert [(one["status"], one["reason"], one["cart"]["cart_id"]) for one in records] == [
        ("suppressed", "below_threshold", "too-little"),
        ("fired", None, "enough"),
    ]


def test_a_cart_due_within_a_day_of_a_trigger_is_capped() -> None:
    facts = Facts()
    facts.add(0, JANE, "A", "cart-1")
    facts.add(500, JANE, "B", "cart-2")
    assert final(facts) == [("fired", None, clock(60)), ("suppressed", "cap_24h", clock(560))]


def test_a_cart_due_soon_after_a_trigger_is_part_of_its_group_whatever_the_caps() -> None:
    facts = Facts(NO_CONSENT_NEEDED + "cap_24h = 2\n")
    facts.add(0, JANE, "A", "cart-1")
    facts.add(500, JANE, "B", "cart-2")
    assert final(facts) == [("fired", None, clock(60)), ("suppressed", "cap_24h", clock(560))]


def test_a_later_step_of_the_same_cart_is_no_second_message_of_the_group() -> None:
    facts = Facts(NO_CONSENT_NEEDED + 'cap_24h = 2\nsteps = ["0m", "12h"]\n')
    facts.add(0, JANE)
    assert [status for status, _, _ in final(facts)] == ["fired", "fired"]


def test_a_cart_bought_after_the_deadline_does_not_travel_with_the_lead() -> None:
    facts = Facts(NO_CONSENT_NEEDED + 'any_order = "keep"\n')
    facts.add(0, JANE, "A", "cart-1")
    facts.add(0, JANE, "B", "cart-2")
    facts.order(61, JANE, "B")
    record = only(facts)
    assert (record["cart"]["cart_id"], record["other_carts"]) == ("cart-1", [])


def test_a_cart_due_a_day_after_a_trigger_is_not() -> None:
    facts = Facts()
    facts.add(0, JANE, "A", "cart-1")
    facts.add(DAY, JANE, "B", "cart-2")
    assert [status for status, _, _ in final(facts)] == ["fired", "fired"]


def test_no_more_than_three_in_a_week() -> None:
    facts = Facts()
    for day in (0, 2, 4, 6, 7):
        facts.add(day * DAY, JANE, f"SKU-{day}", f"cart-{day}")
    assert [reason for _, reason, _ in final(facts)] == [None, None, None, "cap_7d", None]


def test_a_retracted_trigger_lets_the_next_one_out() -> None:
    facts = Facts(NO_CONSENT_NEEDED + 'any_order = "keep"\n')
    facts.add(0, JANE, "A", "cart-1")
    facts.add(500, JANE, "B", "cart-2")
    facts.order(30, JANE, "A", late=600)
    records = play(facts)
    assert [(one["status"], one["reason"]) for one in records] == [
        ("fired", None),
        ("suppressed", "cap_24h"),
        ("retracted", "late_purchase"),
        ("fired", None),
    ]
    assert records[3]["trigger_id"] == records[1]["trigger_id"]
    assert records[3]["fired_at"] == clock(630)


def test_a_cart_that_was_only_mentioned_fires_when_its_lead_is_withdrawn() -> None:
    facts = Facts(NO_CONSENT_NEEDED + 'any_order = "keep"\n')
    facts.add(0, JANE, "A", "cart-1")
    facts.add(1, JANE, "B", "cart-2")
    facts.order(30, JANE, "B", late=100)
    records = play(facts)
    assert [(one["status"], one["cart"]["cart_id"]) for one in records] == [
        ("fired", "cart-2"),
        ("retracted", "cart-2"),
        ("fired", "cart-1"),
    ]
    assert records[0]["other_carts"][0]["cart_id"] == "cart-1"
    assert records[2]["other_carts"] == []


def test_a_changed_cart_fires_again_under_another_id_when_the_caps_allow() -> None:
    facts = Facts()
    facts.add(0, JANE, "A")
    facts.add(DAY, JANE, "B")
    first, second = play(facts)
    assert first["episode_id"] == second["episode_id"]
    assert first["trigger_id"] != second["trigger_id"]
    assert [line["sku"] for line in second["cart"]["lines"]] == ["A", "B"]


def test_the_same_contents_do_not_fire_twice() -> None:
    facts = Facts()
    facts.add(0, JANE, "A")
    facts.add(2 * DAY, JANE, "B")
    facts.remove(2 * DAY + 1, JANE, "B")
    assert final(facts) == [("fired", None, clock(60))]


def test_late_additions_leave_the_trigger_as_it_is() -> None:
    facts = Facts()
    facts.add(0, JANE, "A")
    facts.add(30, JANE, "B", late=100)
    assert final(facts) == [("fired", None, clock(60))]


def test_a_suppressed_trigger_is_revised_under_its_id() -> None:
    facts = Facts()
    facts.add(0, "cookie:c-1", "A")
    facts.add(500, "cookie:c-1", "B")
    records = play(facts)
    assert told(records) == [
        ("suppressed", "not_addressable", clock(60)),
        ("suppressed", "not_addressable", clock(560)),
    ]
    assert [one["revision"] for one in records] == [1, 2]
    assert len({one["trigger_id"] for one in records}) == 1


def test_an_address_that_becomes_known_lets_a_suppressed_trigger_fire() -> None:
    facts = Facts()
    facts.add(0, "cookie:c-1")
    facts.put("profile.updated", 200, JANE, Data())
    assert told(play(facts))[-1] == ("fired", None, clock(60))


def test_an_address_that_becomes_known_too_late_does_not() -> None:
    facts = Facts()
    facts.add(0, "cookie:c-1")
    facts.put("profile.updated", 60 + 72 * 60 + 1, JANE, Data())
    assert final(facts) == [("suppressed", "not_addressable", clock(60))]


def test_steps_follow_while_the_cart_stays_as_it_is() -> None:
    facts = Facts(NO_CONSENT_NEEDED + 'steps = ["0m", "24h", "72h"]\n')
    facts.add(0, JANE)
    records = play(facts)
    assert [(one["step"], one["status"], one["deadline_at"]) for one in records] == [
        (1, "fired", clock(60)),
        (2, "fired", clock(60 + DAY)),
        (3, "fired", clock(60 + 3 * DAY)),
    ]
    assert len({one["trigger_id"] for one in records}) == 3


def test_a_change_moves_the_later_steps_with_it() -> None:
    facts = Facts(NO_CONSENT_NEEDED + 'steps = ["0m", "24h"]\n')
    facts.add(0, JANE)
    facts.add(500, JANE, "B")
    assert [(one["step"], one["status"], one["deadline_at"]) for one in play(facts)] == [
        (1, "fired", clock(60)),
        (1, "suppressed", clock(560)),
        (2, "fired", clock(560 + DAY)),
    ]


def test_an_order_cancels_later_steps() -> None:
    facts = Facts(NO_CONSENT_NEEDED + 'steps = ["0m", "24h"]\n')
    facts.add(0, JANE)
    facts.order(DAY, JANE)
    assert final(facts) == [("recovered", None, clock(60))]


def test_families_that_are_off_are_silent() -> None:
    facts = Facts(NO_CONSENT_NEEDED + 'enabled = ["checkout"]\n')
    facts.add(0, JANE)
    facts.checkout(200, JANE)
    assert [one["family"] for one in play(facts)] == ["checkout"]


# -- reasons ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "skus", "reasons"),
    [
        ("", "A*300", ["robot"]),
        ("", "A*299", []),
        ("robot_value = 50\n", "A*5", ["robot"]),
        ('threshold = { EUR = "10.01" }\n', "A", ["below_threshold"]),
        ('threshold = { EUR = "10" }\n', "A", []),
        ('threshold = { USD = "1000" }\n', "A", []),
        ("holdout = 1.0\n", "A", ["holdout"]),
        ('robot_items = 1\nholdout = 1.0\nthreshold = { EUR = "99" }\n', "A", ["robot", "below_threshold", "holdout"]),
    ],
)
def test_a_reason_not_to_send_is_named(policy: str, skus: str, reasons: list[str]) -> None:
    facts = Facts(NO_CONSENT_NEEDED + policy)
    facts.add(0, JANE, skus)
    record = only(facts)
    assert record["reasons"] == reasons
    assert record["reason"] == next(iter(reasons), None)
    assert record["status"] == ("suppressed" if reasons else "fired")


def test_a_shared_identifier_is_never_addressed() -> None:
    facts = Facts(NO_CONSENT_NEEDED + "[identity]\nhub_degree = 1\n")
    world = World(facts.registry)
    world.fold(facts.add(0, "device:till"))
    fragment = world.fragments[Id("device:till")]
    fragment.hub = at(1)
    (record,) = world.evaluate(at(62))
    assert (record["status"], record["reason"]) == ("suppressed", "shared")


STAFF = f"""{NO_CONSENT_NEEDED}exclude_segments = ["staff"]
[profile.segments]
staff = "traits.role.value == 'staff'"
"""


def test_segments_that_are_excluded_are_never_addressed() -> None:
    facts = Facts(STAFF)
    facts.traits(0, JANE, role="staff")
    facts.add(1, JANE)
    facts.add(1, JOE, "B", "cart-2")
    assert sorted(final(facts)) == [("fired", None, clock(61)), ("suppressed", "excluded", clock(61))]


def test_who_leaves_an_excluded_segment_is_addressed_again() -> None:
    facts = Facts(STAFF)
    facts.traits(0, JANE, role="staff")
    facts.add(1, JANE)
    facts.traits(300, JANE, role="former")
    known = [("suppressed", "excluded", clock(61)), ("fired", None, clock(61))]
    assert told(live(facts, 400)) == told(replayed(facts, 400)) == known


def test_the_control_group_is_a_share_of_all_persons() -> None:
    registry = Registry(load("[triggers]\nholdout = 0.3\n"))
    held = sum(is_held_out(f"profile-{number}", registry) for number in range(2000))
    assert 500 < held < 700


def test_an_old_deadline_does_not_become_too_old_by_waiting() -> None:
    facts = Facts()
    facts.add(0, "cookie:c-1")
    facts.view(5 * DAY, "cookie:c-1")
    assert final(facts) == [("suppressed", "not_addressable", clock(60))]


def test_an_expired_cart_of_a_backfill_is_too_old() -> None:
    facts = Facts()
    facts.add(0, JANE, late=60 * DAY)
    assert final(facts, 61 * DAY) == [("suppressed", "too_old", clock(60))]


def test_a_converted_cart_of_a_backfill_is_silent() -> None:
    facts = Facts()
    facts.add(0, JANE, late=60 * DAY)
    facts.order(500, JANE, late=60 * DAY - 500)
    assert final(facts, 61 * DAY) == []


def test_of_several_deadlines_due_at_once_the_newest_counts() -> None:
    facts, world = Facts(), World(Facts().registry)
    for tp in (facts.add(0, JANE), facts.add(200, JANE, "B"), facts.add(400, JANE, "C")):
        world.fold(tp)
    assert told(world.evaluate(at(600))) == [("fired", None, clock(460))]


def test_a_cart_closed_between_its_deadline_and_the_evaluation_is_silent() -> None:
    facts = Facts()
    facts.add(0, JANE)
    facts.remove(61, JANE)
    assert play(facts) == []


# -- whom it reaches -------------------------------------------------------------------------------------------------


def test_channels_are_used_in_the_policys_order() -> None:
    facts = Facts(NO_CONSENT_NEEDED + 'permitted = ["sms", "push", "email"]\n')
    facts.observe(0, JANE + " phone:+493012345678")
    facts.view(0, "email:jane@example.com device:d-1", source="app/shop")
    facts.add(1, JANE)
    record = only(facts)
    assert [(one["channel"], one["rank"], one["identifier"]["type"]) for one in record["channels"]] == [
        ("sms", 1, "phone_sha256"),
        ("push", 2, "device"),
        ("email", 3, "email"),
    ]


def test_a_device_that_was_not_seen_on_the_app_gets_no_push() -> None:
    facts = Facts()
    facts.add(0, JANE + " device:d-1")
    assert [one["channel"] for one in only(facts)["channels"]] == ["email"]


def test_other_channels_come_from_a_trait() -> None:
    facts = Facts(NO_CONSENT_NEEDED + 'permitted = ["whatsapp", "pigeon"]\n')
    facts.traits(0, JANE, channels=["whatsapp"])
    facts.add(1, JANE)
    record = only(facts)
    assert record["channels"] == [{"channel": "whatsapp", "rank": 1, "identifier": None}]
    assert record["excluded_channels"] == [{"channel": "pigeon", "reason": "not_addressable"}]


def test_the_carts_own_address_goes_before_a_newer_one() -> None:
    facts = Facts()
    facts.add(0, JANE)
    facts.observe(5, BOTH)
    facts.view(6, JOE)
    assert only(facts)["channels"][0]["identifier"]["value"] == "jane@example.com"


def test_without_one_of_its_own_the_newest_address_is_used() -> None:
    facts = Facts()
    facts.observe(0, "cookie:c-1 customer:C-1")
    facts.add(1, "customer:C-1")
    facts.observe(2, "customer:C-1 email:jane@example.com")
    facts.observe(3, "customer:C-1 email:joe@example.com")
    assert only(facts)["channels"][0]["identifier"]["value"] == "joe@example.com"


@pytest.mark.parametrize(
    ("how", "expected"),
    [("raw", "email"), ("sha256", "email_sha256"), ("omit", None)],
)
def test_an_address_is_shown_as_the_policy_publishes_it(how: str, expected: str | None) -> None:
    facts = Facts(f'[publish]\nidentifiers = {{ email = "{how}" }}\n{NO_CONSENT_NEEDED}')
    facts.add(0, JANE)
    identifier = only(facts)["channels"][0]["identifier"]
    assert (identifier and identifier["type"]) == expected


def test_an_unverified_address_is_used_for_its_own_cart_where_the_policy_says_so() -> None:
    facts = Facts(NO_CONSENT_NEEDED + 'contact_hints = "own_cart"\n')
    facts.add(0, "cookie:c-1", hints=(("email", "typed@example.com"),))
    assert only(facts)["channels"][0]["identifier"] == {
        "type": "email",
        "value": "typed@example.com",
        "verified": False,
    }


def test_an_address_that_bounced_is_none() -> None:
    facts = Facts()
    facts.put("message.bounced", 0, "email:jane@example.com", Data(), source="email/ses")
    facts.add(1, JANE)
    assert only(facts)["reason"] == "not_addressable"


def test_another_address_stands_in_for_one_that_bounced() -> None:
    facts = Facts()
    facts.add(0, JANE)
    facts.observe(5, BOTH)
    facts.put("message.bounced", 6, JANE, Data(), source="email/ses")
    assert only(facts)["channels"][0]["identifier"]["value"] == "joe@example.com"


def test_a_bounce_withdraws_nothing_that_was_sent() -> None:
    facts = Facts()
    facts.add(0, JANE)
    facts.put("message.bounced", 70, JANE, Data(), source="email/ses")
    assert final(facts) == [("fired", None, clock(60))]


def test_an_unverified_address_that_bounced_is_none_either() -> None:
    facts = Facts(NO_CONSENT_NEEDED + 'contact_hints = "own_cart"\n')
    hints = (("email", "typed@example.com"),)
    facts.add(0, "cookie:c-1", hints=hints)
    facts.put("message.bounced", 5, "cookie:c-1", Data(), hints=hints, source="email/ses")
    assert only(facts)["reason"] == "not_addressable"


@pytest.mark.parametrize("what", ["message.unsubscribed", "message.complained"])
def test_who_unsubscribes_or_complains_has_revoked_the_consent(what: str) -> None:
    facts = Facts("")
    facts.consent(0, JANE, "granted")
    facts.add(1, JANE)
    facts.put(what, 90, JANE, Data(), source="email/ses")
    assert final(facts) == [("retracted", "consent", clock(61))]


def test_a_channel_needs_a_consent_by_default() -> None:
    facts = Facts("")
    facts.add(0, JANE)
    record = only(facts)
    assert (record["reason"], record["excluded_channels"][0]) == ("consent", {"channel": "email", "reason": "consent"})


@pytest.mark.parametrize("channel", ["email", "*"])
def test_a_granted_consent_opens_the_channel(channel: str) -> None:
    facts = Facts("")
    facts.consent(0, JANE, "granted", channel)
    facts.add(1, JANE)
    assert only(facts)["status"] == "fired"


def test_a_consent_of_another_device_opens_the_channel() -> None:
    facts = Facts("")
    facts.consent(0, "device:d-1 email:jane@example.com", "granted")
    facts.add(1, JANE)
    assert only(facts)["status"] == "fired"


def test_a_consent_given_later_lets_a_suppressed_trigger_fire() -> None:
    facts = Facts("")
    facts.add(0, JANE)
    facts.consent(300, JANE, "granted")
    record = only(facts)
    assert (record["status"], record["fired_at"], record["revision"]) == ("fired", clock(302), 2)


def test_a_consent_given_with_an_order_fires_nothing() -> None:
    facts = Facts("")
    facts.add(0, JANE)
    facts.consent(300, JANE, "granted")
    facts.order(300.5, JANE, late=1)
    assert final(facts) == [("suppressed", "consent", clock(60))]


@pytest.mark.parametrize("state", ["denied", "revoked"])
def test_a_refusal_closes_the_channel_even_where_no_consent_is_needed(state: str) -> None:
    facts = Facts()
    facts.consent(0, JANE, state)
    facts.add(1, JANE)
    assert only(facts)["reason"] == "consent"


def test_refused_profiling_closes_all_channels() -> None:
    facts = Facts()
    facts.consent(0, JANE, "denied", "*", purpose="profiling")
    facts.add(1, JANE)
    assert only(facts)["reason"] == "consent"


def test_a_revocation_withdraws_what_was_sent() -> None:
    facts = Facts("")
    facts.consent(0, JANE, "granted")
    facts.add(1, JANE)
    facts.consent(300, JANE, "revoked")
    assert final(facts) == [("retracted", "consent", clock(61))]


def test_a_revocation_after_the_trigger_expired_withdraws_nothing() -> None:
    facts = Facts("")
    facts.consent(0, JANE, "granted")
    facts.add(1, JANE)
    facts.consent(63 + DAY, JANE, "revoked")
    assert final(facts) == [("fired", None, clock(61))]


def test_a_revocation_of_another_channel_withdraws_nothing() -> None:
    facts = Facts()
    facts.add(1, JANE)
    facts.consent(300, JANE, "revoked", "sms")
    assert final(facts) == [("fired", None, clock(61))]


# -- what comes later ------------------------------------------------------------------------------------------------


def test_a_late_removal_withdraws() -> None:
    facts = Facts()
    facts.add(0, JANE)
    facts.remove(30, JANE, late=100)
    assert final(facts) == [("retracted", "emptied", clock(60))]


def test_a_removal_after_the_trigger_fired_withdraws_nothing() -> None:
    facts = Facts()
    facts.add(0, JANE)
    facts.remove(100, JANE)
    assert final(facts) == [("fired", None, clock(60))]


def test_an_order_after_the_cart_was_cleared_recovers() -> None:
    facts = Facts()
    facts.add(0, JANE)
    facts.snapshot(100, JANE, "")
    facts.order(101, JANE, "A", "cart-1")
    assert final(facts) == [("recovered", None, clock(60))]


def test_a_revocation_withdraws_what_was_recovered() -> None:
    facts = Facts()
    facts.add(0, JANE)
    facts.order(100, JANE)
    facts.consent(200, JANE, "revoked")
    assert final(facts) == [("retracted", "consent", clock(60))]


def test_a_trigger_whose_cart_stays_with_the_other_side_of_a_split_is_withdrawn() -> None:
    facts = Facts()
    facts.observe(0, BOTH)
    facts.add(1, "email:jane@example.com", "A")
    facts.checkout(2, "email:joe@example.com")
    facts.unlink(200, BOTH)
    facts.view(201, "email:joe@example.com")
    assert {(one["status"], one["reason"], one["family"]) for one in newest(play(facts))} == {
        ("retracted", "emptied", "checkout"),
        ("fired", None, "cart"),
    }


def test_a_late_absorption_withdraws_and_the_lines_are_not_told_again() -> None:
    facts = Facts()
    facts.add(0, JANE, "A", None)
    facts.snapshot(30, JANE, "A", "cart-1", late=100)
    assert final(facts) == [("retracted", "superseded", clock(60))]


def test_an_order_of_the_cart_that_absorbed_the_told_one_recovers_it() -> None:
    facts = Facts()
    facts.add(0, JANE, "A", None)
    facts.snapshot(100, JANE, "A", "cart-1")
    facts.order(200, JANE, "Z", "cart-1")
    assert final(facts) == [("recovered", None, clock(60))]


def test_a_recovered_trigger_is_withdrawn_by_an_earlier_order() -> None:
    facts = Facts()
    facts.add(0, JANE)
    facts.order(100, JANE)
    facts.order(30, JANE, late=200)
    assert [one["status"] for one in play(facts)] == ["fired", "recovered", "retracted"]


def test_an_order_after_the_recovery_window_recovers_nothing() -> None:
    facts = Facts()
    facts.add(0, JANE)
    facts.order(62 + 7 * DAY + 1, JANE)
    assert final(facts) == [("fired", None, clock(60))]


def test_a_click_after_the_order_is_no_way_back() -> None:
    facts = Facts()
    facts.add(0, JANE)
    (fired,) = live(facts, 100)
    facts.order(110, JANE)
    facts.click(120, JANE, fired["trigger_id"])
    assert only(facts)["via_link"] is False


def test_when_both_sides_of_a_merge_were_told_the_earliest_stays() -> None:
    facts = Facts()
    facts.add(10, JANE, "A", "cart-1")
    facts.add(0, JOE, "B", "cart-2")
    facts.observe(300, BOTH)
    assert final(facts) == [("fired", None, clock(60)), ("retracted", "duplicate_after_merge", clock(70))]


def test_a_recovered_trigger_is_no_duplicate() -> None:
    facts = Facts(NO_CONSENT_NEEDED + 'any_order = "keep"\n')
    facts.add(0, JANE, "A", "cart-1")
    facts.add(10, JOE, "B", "cart-2")
    facts.order(100, JOE, "B")
    facts.observe(300, BOTH)
    assert final(facts) == [("retracted", "duplicate_after_merge", clock(60)), ("recovered", None, clock(70))]


def test_persons_told_days_apart_may_merge() -> None:
    facts = Facts()
    facts.add(0, JANE, "A", "cart-1")
    facts.add(2 * DAY, JOE, "B", "cart-2")
    facts.observe(3 * DAY, BOTH)
    assert [status for status, _, _ in final(facts)] == ["fired", "fired"]


def test_tighter_caps_withdraw_nothing_of_one_person() -> None:
    loose, tight = (f"{NO_CONSENT_NEEDED}cap_7d = {cap}\n" for cap in (3, 1))
    facts = Facts(loose)
    facts.add(0, JANE, "A", "cart-1")
    facts.add(2 * DAY, JANE, "B", "cart-2")
    world = World(facts.registry)
    for tp in facts.all:
        world.fold(tp)
        world.evaluate(tp.time + 62 * 60_000_000)
    world.registry = Registry(load(tight))
    assert world.evaluate(at(3 * DAY)) == []


def test_a_merge_before_the_deadline_gives_one_deadline() -> None:
    facts = Facts()
    facts.add(0, JANE, "A", "cart-1")
    facts.add(30, JOE, "B", "cart-2")
    facts.put("profile.updated", 40, BOTH, Data())
    record = only(facts)
    assert (record["deadline_at"], len(record["other_carts"])) == (clock(90), 1)


def test_each_side_of_a_split_keeps_what_it_was_told() -> None:
    facts = Facts()
    facts.add(0, "customer:C-1 email:jane@example.com", "A", "cart-1")
    facts.observe(1, BOTH)
    facts.unlink(200, BOTH)
    facts.view(300, "email:joe@example.com")
    assert final(facts) == [("fired", None, clock(61))]


def test_sides_of_a_split_that_shared_a_cart_publish_under_different_ids() -> None:
    facts = Facts()
    facts.add(0, "cookie:c-1", "A")
    facts.add(5, "cookie:c-1 email:jane@example.com", "B")
    facts.observe(200, "customer:C-2 cookie:c-1 email:joe@example.com")
    facts.observe(201, "customer:C-1 email:jane@example.com")
    facts.add(2 * DAY, "customer:C-2 cookie:c-1", "C")
    records = newest(play(facts))
    assert len({one["trigger_id"] for one in records}) == len(records) >= 2


def test_both_sides_of_a_split_go_on_without_using_each_others_ids() -> None:
    facts = Facts()
    facts.add(0, JOE, "A")
    facts.add(180, "customer:C-2 cookie:c-2", "B")
    facts.observe(0, "customer:C-1 email:joe@example.com", late=300)
    facts.add(2 * DAY, "email:joe@example.com", "D")
    facts.add(2 * DAY + 90, "customer:C-2 cookie:c-2", "E")
    records = newest(play(facts))
    assert len({one["episode_id"] for one in records}) == 2


def test_the_side_of_a_split_that_has_the_change_knows_what_it_was_told() -> None:
    facts = Facts()
    facts.observe(0, "customer:C-2 cookie:c-2 email:jane@example.com")
    facts.add(1, "cookie:c-2", "A")
    facts.add(2 * DAY, "customer:C-2", "B")
    facts.observe(3 * DAY, "customer:C-3 cookie:c-2 email:joe@example.com")
    records = play(facts)
    assert [one["deadline_at"] for one in records] == [clock(61), clock(2 * DAY + 60)]


def test_the_side_of_a_split_that_goes_on_with_the_id_knows_the_numbers_used() -> None:
    facts = Facts()
    facts.observe(0, "customer:C-2 cookie:c-2 email:jane@example.com")
    facts.add(1, "cookie:c-2", "A")
    facts.add(2 * DAY, "customer:C-2", "B")
    facts.observe(3 * DAY, "customer:C-3 cookie:c-2 email:joe@example.com")
    facts.add(5 * DAY, "cookie:c-2", "C")
    fired = [one["trigger_id"] for one in play(facts) if one["status"] == "fired"]
    assert len(fired) == len(set(fired)) == 3


def test_an_entry_is_kept_as_long_as_it_can_matter() -> None:
    facts = Facts()
    facts.add(0, JANE)
    world = World(facts.registry)
    world.fold(facts.all[0])
    world.evaluate(at(62))
    (entries,) = world.seats.values()
    (entry,) = entries.values()
    assert not outlived(entry, at(90 * DAY + 62))
    assert outlived(entry, at(90 * DAY + 63))


def test_the_value_of_a_cart_without_prices_is_the_shops_own() -> None:
    facts = Facts(NO_CONSENT_NEEDED + 'threshold = { EUR = "10" }\n')
    facts.add(0, JANE, "A", price=None, value=Decimal("9.99"))
    record = only(facts)
    assert (record["reason"], record["cart"]["value"]) == ("below_threshold", "9.99")
