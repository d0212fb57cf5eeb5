"""Bad input of triggers: each kind has a rule. Minutes; delay 60, grace 2. A zone that is none is in the scenarios,
a policy that contradicts itself is refused."""

from __future__ import annotations

import json
from typing import Any

from pipeline.core.touchpoint import Touchpoint
from pipeline.dialects import Reader
from tests.core.shopper import NO_CONSENT_NEEDED, Facts, Record, at, clock, hindsight, live, replayed

JANE = "cookie:c-1 email:jane@example.com"
DAY = 24 * 60


def play(facts: Facts) -> list[Record]:
    records = live(facts, 3 * DAY)
    assert records == hindsight(facts, 3 * DAY) == replayed(facts, 3 * DAY)
    return records


def sent(facts: Facts, minute: float, received: float, **data: Any) -> None:
    """A touchpoint as a producer sends it, with its own time."""
    identifiers = [{"type": "email", "value": "jane@example.com"}]
    event = {"specversion": "1.0", "id": f"evt-{minute}", "source": "web/shop", "type": "cart.item_added"}
    times = {"time": clock(minute), "recordedtime": clock(received)}
    value = json.dumps({**event, **times, "data": {"identifiers": identifiers, **data}}).encode()
    (found,) = Reader(facts.registry).read(value, at(received))
    assert isinstance(found, Touchpoint)
    facts.all.append(found)


def test_an_event_from_the_future_counts_as_five_minutes_ahead() -> None:
    facts = Facts()
    sent(facts, DAY, 0, cart={"id": "cart-1"}, items=[{"sku": "A"}])
    (record,) = play(facts)
    assert (record["status"], record["anchor_at"], record["deadline_at"]) == ("fired", clock(5), clock(65))


def test_an_order_from_the_future_closes_the_cart_when_it_is_known() -> None:
    facts = Facts()
    facts.add(0, JANE)
    facts.order(64, JANE, late=-5)
    assert play(facts) == []


def test_a_cart_whose_currency_changes_is_worth_what_is_priced_in_the_newest() -> None:
    facts = Facts(NO_CONSENT_NEEDED + 'threshold = { EUR = "1000", USD = "15" }\n')
    facts.add(0, JANE, "A", price="900.00")
    facts.add(1, JANE, "B", price="20.00", currency="USD")
    facts.all[-1].data.items[0].currency = "USD"
    (record,) = play(facts)
    cart = record["cart"]
    assert (record["status"], cart["currency"], cart["value"]) == ("fired", "USD", "20.00")
    assert [(line["sku"], line["price"]) for line in cart["lines"]] == [("A", "900.00"), ("B", "20.00")]


def test_a_snapshot_that_is_older_than_a_delta_does_not_undo_it() -> None:
    facts = Facts()
    facts.add(10, JANE, "B")
    facts.snapshot(5, JANE, "A", late=20)
    (record,) = play(facts)
    assert [line["sku"] for line in record["cart"]["lines"]] == ["A", "B"]
    assert record["deadline_at"] == clock(70)


def test_a_delta_that_is_older_than_a_snapshot_does_not_add_to_it() -> None:
    facts = Facts()
    facts.snapshot(10, JANE, "A")
    facts.add(5, JANE, "B", late=20)
    (record,) = play(facts)
    assert [line["sku"] for line in record["cart"]["lines"]] == ["A"]


def test_what_is_removed_but_never_was_there_leaves_the_cart_alone() -> None:
    facts = Facts()
    facts.add(0, JANE, "A")
    facts.remove(5, JANE, "B*7")
    (record,) = play(facts)
    assert [(line["sku"], line["quantity"]) for line in record["cart"]["lines"]] == [("A", 1)]


def test_a_send_window_that_never_opens_hangs_nothing() -> None:
    windows = 'quiet_hours = "00:00-23:59"\nsend_window = "mon 10:00-11:00"\n'
    facts = Facts(NO_CONSENT_NEEDED + windows)
    facts.add(0, JANE)
    (record,) = play(facts)
    assert record["status"] == "fired"
    assert record["fired_at"] < record["send_not_before"] < record["expires_at"]
