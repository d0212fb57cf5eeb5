"""Laws of triggers on random stories, against the oracle of carts where they speak of the full history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings

from pipeline.core.times import DAY, parse
from pipeline.core.touchpoint import Touchpoint
from tests.core.cart_oracle import Life, deadlines, lives
from tests.core.shopper import Facts, Record, World, at, hindsight, instants, live, newest, told
from tests.core.stories import punctual_stories, stories

UNTIL = 8 * 24 * 60
WITH_ID = ("cart-1", "cart-2")


@settings(max_examples=200, deadline=None)
@given(stories())
def test_what_is_published_depends_on_what_was_known_and_not_on_what_was_folded(facts: Facts) -> None:
    assert _judged(live(facts, UNTIL)) == _judged(hindsight(facts, UNTIL))


def _judged(records: list[Record]) -> list[Record]:
    """Without the profile's id: it is made from the oldest anchor, however late that was received."""
    return [{**record, "profile_id": None} for record in records]


@settings(max_examples=200, deadline=None)
@given(stories(carts=WITH_ID))
def test_the_full_history_bears_out_every_live_trigger(facts: Facts) -> None:
    known = {event: life for _, _, life in _history(facts) for event in life.events}
    for record in newest(live(facts, UNTIL)):
        if record["status"] in ("fired", "recovered"):
            life, fired_at = known[record["evidence"]["last_change"]], parse(record["fired_at"])
            assert life.state(fired_at) is not None, "it was not open"
            assert life.ordered_at is None or life.ordered_at > fired_at, "it had been bought"


@settings(max_examples=200, deadline=None)
@given(stories(carts=WITH_ID))
def test_every_cart_left_alone_is_told_of_or_has_a_reason(facts: Facts) -> None:
    records, policy = newest(live(facts, UNTIL)), facts.registry.policy.triggers
    about = {record["evidence"]["last_change"] for record in records}
    for touchpoints, covered, life in _history(facts, records):
        due = [time for time in deadlines(life, touchpoints, policy) if time + policy.grace <= at(UNTIL)]
        if due and life.end is None:
            assert about & life.events or life.cart in covered, f"nothing was said of {life}"


@settings(max_examples=100, deadline=None)
@given(stories())
def test_nobody_is_told_twice_of_the_same_contents_and_step(facts: Facts) -> None:
    fired = Counter(
        (
            record["episode_id"],
            record["step"],
            tuple(sorted((line["sku"], line["quantity"]) for line in record["cart"]["lines"])),
        )
        for record in live(facts, UNTIL)
        if record["status"] == "fired"
    )
    assert not fired or max(fired.values()) == 1


@settings(max_examples=100, deadline=None)
@given(stories())
def test_at_no_instant_is_anybody_told_more_often_than_the_caps_allow(facts: Facts) -> None:
    triggers = facts.registry.policy.triggers
    for world in instants(facts, UNTIL):
        for person in world.persons():
            known = {one.trigger_id: one for id in person.ids for one in world.seats.get(id, {}).values()}
            times = sorted(told.deadline_at for told in known.values() if told.status == "fired")
            for window, cap in ((DAY, triggers.cap_24h), (7 * DAY, triggers.cap_7d)):
                assert all(later - time >= window for time, later in zip(times, times[cap:], strict=False))


@settings(max_examples=150, deadline=None)
@given(punctual_stories())
def test_facts_late_by_no_more_than_grace_change_nothing(facts: Facts) -> None:
    in_time = Facts()
    in_time.registry = facts.registry
    in_time.all = [_received_at_once(tp) for tp in facts.all]
    assert sorted(told(newest(live(facts, UNTIL)))) == sorted(told(newest(live(in_time, UNTIL))))


def _received_at_once(tp: Touchpoint) -> Touchpoint:
    copied: dict[str, Any] = {name: getattr(tp, name) for name in tp.__struct_fields__}
    return Touchpoint(**{**copied, "received": tp.time})


def _history(facts: Facts, records: list[Record] | None = None) -> Iterator[tuple[list[Touchpoint], set[str], Life]]:
    """Each life of a cart with its person: touchpoints, and the carts that live triggers tell of beside their own."""
    world = World(facts.registry)
    for tp in facts.all:
        world.fold(tp)
    for person in world.persons():
        own = [tp for tp in facts.all if tp.ids[0] in person.ids and tp.type != "identity.unlinked"]
        events = {tp.id for tp in own}
        covered = {
            cart["cart_id"]
            for record in records or ()
            if record["status"] in ("fired", "recovered") and record["evidence"]["last_change"] in events
            for cart in record["other_carts"]
        }
        for life in lives(own, facts.registry.policy.triggers):
            yield own, covered, life
