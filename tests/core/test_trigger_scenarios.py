"""The scenarios that a retailer would ask about first. Minutes; delay 60, grace 2, skew 5.

Each goes through `replay`; what replay cannot show, that a trigger is held and that somebody was killed, through the
shards of a worker on the wall clock.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.core.group import Group
from pipeline.core.touchpoint import Touchpoint
from pipeline.replay import replay as replay_files
from tests.core.shopper import (
    NO_CONSENT_NEEDED,
    Facts,
    Record,
    at,
    clock,
    hindsight,
    live,
    newest,
    replayed,
    told,
)

JANE = "cookie:c-1 email:jane@example.com"
PHONE = "device:d-1 email:jane@example.com"

FIRED = ("fired", None)


def play(facts: Facts, until: float) -> list[Record]:
    """All records up to a minute; the same with hindsight, and by `replay`, also when everything comes twice (S16)."""
    records = live(facts, until)
    assert records == hindsight(facts, until)
    assert records == replayed(facts, until) == replayed(facts, until, times=2)
    newest(records)
    return records


def final(facts: Facts, until: float) -> list[tuple[str, str | None, str]]:
    return told(newest(play(facts, until)))


class Worker:
    """The shards of a worker on the wall clock. rows: what was committed."""

    def __init__(self, rows: Mapping[bytes, bytes | None] | None = None) -> None:
        self.rows = dict(rows or {})
        self._group = Group(Facts().registry)
        self._group.add(0, [(key, row) for key, row in self.rows.items() if row is not None])

    def read(self, tp: Touchpoint) -> None:
        self._group.touch(0, tp)

    def tick(self, minute: float, caught_up_to: float) -> list[Record]:
        effects = self._group.drain(at(minute), at(caught_up_to))
        self.rows |= effects.rows.get(0, {})
        return [msgspec.json.decode(one.value or b"") for one in effects.outputs if one.topic == "triggers"]


def test_s1_an_abandoned_cart_fires_after_the_delay() -> None:
    facts = Facts()
    facts.add(0, JANE)
    (record,) = play(facts, 1000)
    assert record["status"] == "fired"
    assert record["deadline_at"] == clock(60)
    assert record["evaluated_at"] == record["fired_at"] == record["send_not_before"] == clock(62)
    assert record["expires_at"] == clock(62 + 24 * 60)


def test_s2_an_emptied_cart_is_silent() -> None:
    facts = Facts()
    facts.add(0, JANE)
    facts.remove(10, JANE)
    assert play(facts, 1000) == []


def test_s3_two_devices_of_one_person_get_one_trigger() -> None:
    facts = Facts()
    facts.checkout(0, JANE, "A", "cart-pc")
    facts.checkout(20, PHONE, "B", "cart-phone", source="app/shop")
    (record,) = play(facts, 3000)
    assert (record["status"], record["family"], record["deadline_at"]) == ("fired", "checkout", clock(80))
    assert record["cart"]["cart_id"] == "cart-phone"
    assert [cart["cart_id"] for cart in record["other_carts"]] == ["cart-pc"]
    assert record["devices"] == ["web", "app"]


@pytest.mark.parametrize(
    ("late", "expected"),
    [
        (8, []),
        (25, [("fired", None, clock(60)), ("retracted", "late_purchase", clock(60))]),
        (150, [("fired", None, clock(60)), ("retracted", "late_purchase", clock(60))]),
    ],
)
def test_s4_a_till_sale_that_arrives_late_withdraws_the_trigger(
    late: float, expected: list[tuple[str, str | None, str]]
) -> None:
    facts = Facts()
    facts.add(0, JANE + " loyalty:L-1")
    facts.order(50, "loyalty:L-1", "Z", source="store/till", late=late)
    assert told(play(facts, 1000)) == expected


def test_s4_a_till_sale_that_arrives_while_the_trigger_is_held_leaves_it_unsent() -> None:
    facts = Facts()
    worker = Worker()
    worker.read(facts.add(0, JANE + " loyalty:L-1"))
    assert worker.tick(62, caught_up_to=40) == []
    worker.read(facts.order(50, "loyalty:L-1", "Z", source="store/till", late=25))
    assert worker.tick(75, caught_up_to=75) == worker.tick(1000, caught_up_to=1000) == []


def test_s5_a_checkout_that_arrives_after_its_order_is_silent() -> None:
    facts = Facts()
    facts.order(30, JANE, "A", checkout="ch-1")
    facts.checkout(33, JANE, "A", "cart-1", checkout="ch-1", late=20)
    assert play(facts, 1000) == []


def test_s6_a_merge_with_the_buyer_withdraws_the_trigger() -> None:
    facts = Facts()
    facts.add(0, "email:one@example.com")
    facts.order(40, "email:two@example.com", "A")
    facts.observe(300, "email:one@example.com email:two@example.com")
    first, last = play(facts, 1000)
    assert (first["status"], first["fired_at"]) == ("fired", clock(62))
    assert (last["status"], last["reason"], last["evaluated_at"]) == ("retracted", "identity_merge", clock(300))


def test_an_order_that_arrives_after_the_merge_is_a_late_purchase() -> None:
    facts = Facts()
    facts.add(0, "email:one@example.com")
    facts.view(10, "email:two@example.com")
    facts.observe(300, "email:one@example.com email:two@example.com")
    facts.order(40, "email:two@example.com", "A", late=360)
    assert told(play(facts, 1000))[-1][:2] == ("retracted", "late_purchase")


def test_s7_a_guest_who_buys_under_a_new_account_is_silent() -> None:
    facts = Facts()
    facts.add(0, "cookie:c-1")
    facts.checkout(10, "cookie:c-1", "A", checkout="ch-1")
    facts.order(30, "customer:C-9 checkout:ch-1", "A", checkout="ch-1")
    assert play(facts, 1000) == []


def test_s8_an_unverified_address_is_none() -> None:
    facts = Facts()
    facts.add(0, "cookie:c-1", hints=(("email", "somebody@example.com"),))
    assert final(facts, 1000) == [("suppressed", "not_addressable", clock(60))]


def test_s9_an_order_through_the_recovery_link_recovers() -> None:
    facts = Facts()
    facts.add(0, JANE)
    (fired,) = live(facts, 100)
    facts.click(100, "cookie:c-2", fired["trigger_id"])
    facts.snapshot(100, "cookie:c-2", "", "cart-2")
    facts.order(110, "cookie:c-2 email:jane@example.com", "A", "cart-2")
    (record,) = newest(play(facts, 3000))
    assert (record["status"], record["via_link"]) == ("recovered", True)


def test_a_click_that_becomes_known_after_the_order_still_counts() -> None:
    facts = Facts()
    facts.add(0, JANE, url="https://shop.example/r/1")
    facts.click(100, JANE, None, link="https://shop.example/r/1", late=200)
    facts.order(110, JANE)
    records = play(facts, 3000)
    assert [(one["status"], one["via_link"]) for one in records] == [
        ("fired", None),
        ("recovered", False),
        ("recovered", True),
    ]


def test_s10_an_order_without_link_recovers_too() -> None:
    facts = Facts()
    facts.add(0, JANE)
    facts.order(500, JANE)
    (record,) = newest(play(facts, 3000))
    assert (record["status"], record["via_link"]) == ("recovered", False)


def test_s11_a_busy_cart_fires_once_at_its_last_edit() -> None:
    facts = Facts()
    for minute in range(0, 40, 4):
        facts.add(minute, JANE, f"SKU-{minute}")
    (record,) = play(facts, 1000)
    assert (record["status"], record["anchor_at"], record["deadline_at"]) == ("fired", clock(36), clock(96))


def test_s12_nothing_is_sent_again_after_a_wrong_merge_is_undone() -> None:
    facts = Facts()
    facts.add(0, "cookie:c-1 customer:C-1 email:jane@example.com")
    facts.add(5, "cookie:c-2 email:joe@example.com", "B", "cart-2")
    facts.observe(10, "customer:C-1 email:joe@example.com")
    facts.unlink(200, "customer:C-1 email:joe@example.com")
    records = play(facts, 3000)
    assert [(one["status"], one["cart"]["cart_id"]) for one in records] == [("fired", "cart-2"), ("fired", "cart-1")]
    assert [one["channels"][0]["identifier"]["value"] for one in records] == ["joe@example.com", "jane@example.com"]


def test_s13_a_trigger_is_held_until_everything_was_read() -> None:
    worker = Worker()
    worker.read(Facts().add(0, JANE))
    assert worker.tick(63, caught_up_to=-120) == []
    assert told(worker.tick(70, caught_up_to=60)) == [("fired", None, clock(60))]


def test_s13_a_trigger_is_not_held_longer_than_max_hold() -> None:
    worker = Worker()
    worker.read(Facts().add(0, JANE))
    assert worker.tick(1, caught_up_to=-120) == worker.tick(76.9, caught_up_to=-120) == []
    assert told(worker.tick(77, caught_up_to=-120)) == [("fired", None, clock(60))]


@pytest.mark.parametrize("received", [50, 150])
def test_s13_replay_reads_what_stands_in_another_file_before_it_fires(tmp_path: Path, received: int) -> None:
    ahead, behind = tmp_path / "ahead.jsonl", tmp_path / "behind.jsonl"
    ahead.write_text(line(0, 0, "cart.item_added", cart={"id": "cart-1"}) + line(300, 300, "page.viewed"))
    behind.write_text(line(-180, -180, "page.viewed") + line(50, received, "order.placed", order={"id": "o-1"}))
    replay_files([ahead, behind], Facts().registry, tmp_path / "out")
    records = [json.loads(text) for text in (tmp_path / "out" / "triggers.jsonl").read_text().splitlines()]
    fired = [("fired", None, clock(60)), ("retracted", "late_purchase", clock(60))]
    assert told(records) == ([] if received == 50 else fired)


def line(minute: float, received: float, type: str, **data: Any) -> str:
    """As it stands in a file."""
    event = {"specversion": "1.0", "id": f"evt-{minute}", "source": "web/shop", "type": type, "time": clock(minute)}
    who = {"identifiers": [{"type": "email", "value": "jane@example.com"}], "items": [{"sku": "A", "price": "9.00"}]}
    return json.dumps({**event, "recordedtime": clock(received), "data": {**who, **data}}) + "\n"


def test_s14_a_login_elsewhere_moves_the_deadline() -> None:
    facts = Facts()
    facts.add(0, "cookie:c-1")
    facts.observe(50, "cookie:c-1 device:d-1 email:jane@example.com", source="app/shop")
    assert final(facts, 1000) == [("fired", None, clock(110))]


MONTH = 30 * 24 * 60


def test_s15_a_backfill_mails_nobody() -> None:
    facts = Facts()
    for day in range(5):
        facts.add(day * 24 * 60, JANE, f"SKU-{day}", f"cart-{day}", late=MONTH)
    facts.view(MONTH, JANE)
    assert [record[:2] for record in told(play(facts, 2 * MONTH))] == [("suppressed", "too_old")] * 5


def test_s15_a_worker_that_reads_a_topic_of_last_month_mails_nobody() -> None:
    facts, worker = Facts(), Worker()
    for day in range(5):
        worker.read(facts.add(day * 24 * 60, JANE, f"SKU-{day}", f"cart-{day}"))
    records = worker.tick(MONTH, caught_up_to=0) + worker.tick(MONTH + 1, caught_up_to=MONTH + 1)
    assert [record[:2] for record in told(records)] == [("suppressed", "too_old")] * 5


def test_s16_a_cart_that_arrived_twice_at_two_fragments_counts_once() -> None:
    facts = Facts()
    facts.add(0, JANE, id="e-1")
    facts.add(0, "cookie:c-1", id="e-1")
    (record,) = play(facts, 1000)
    assert record["cart"]["lines"][0]["quantity"] == 1


def test_s17_who_was_killed_before_the_commit_says_the_same_again() -> None:
    worker = Worker()
    worker.read(Facts().add(0, JANE))
    worker.tick(1, caught_up_to=1)
    killed, successor = Worker(worker.rows), Worker(worker.rows)
    (lost,) = killed.tick(63, caught_up_to=63)
    (seen,) = successor.tick(63, caught_up_to=63)
    assert lost == seen
    assert Worker(successor.rows).tick(64, caught_up_to=64) == []


QUIET = NO_CONSENT_NEEDED + 'quiet_hours = "21:00-08:00"\n[profile]\ntimezone = "Europe/Berlin"\n'
LATE_EVENING = 9 * 60 + 10
"""22:10 in Berlin in winter, in minutes after 12:00 UTC."""


def test_s18_quiet_hours_put_the_message_off() -> None:
    facts = Facts(QUIET)
    facts.add(LATE_EVENING, JANE)
    (record,) = play(facts, 2000)
    assert record["fired_at"] == "2026-03-02T22:12:00Z"
    assert record["send_not_before"] == "2026-03-03T07:00:00Z"
    assert record["expires_at"] == "2026-03-04T07:00:00Z"


def test_s18_an_order_before_the_message_goes_out_withdraws_it() -> None:
    facts = Facts(QUIET)
    facts.add(LATE_EVENING, JANE)
    facts.order(LATE_EVENING + 530, JANE)
    assert told(play(facts, 2000))[-1][:2] == ("retracted", "purchase_before_send")


def test_quiet_hours_follow_the_shopper() -> None:
    facts = Facts(QUIET)
    facts.traits(0, JANE, timezone="America/New_York")
    facts.add(LATE_EVENING, JANE)
    (record,) = play(facts, 2000)
    assert record["send_not_before"] == record["fired_at"]


def test_a_zone_that_is_none_is_not_followed() -> None:
    facts = Facts(QUIET)
    facts.traits(0, JANE, timezone="Atlantis/Center")
    facts.add(LATE_EVENING, JANE)
    (record,) = play(facts, 2000)
    assert record["send_not_before"] == "2026-03-03T07:00:00Z"
