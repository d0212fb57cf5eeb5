"""One touchpoint into one fragment: what each type leaves, and what the bounds keep."""

from __future__ import annotations

from decimal import Decimal

import pytest

from pipeline.core.fold import fold
from pipeline.core.fragment import Fragment, Mark, Older
from pipeline.core.purchases import purchases
from pipeline.core.times import DAY, MINUTE
from pipeline.core.touchpoint import CartRef, ConsentRef, Data, Device, Id, Item, MessageRef, OrderRef
from tests.core.touchpoints import (
    COOKIE,
    CUSTOMER,
    LOYALTY,
    NOON,
    OTHER_COOKIE,
    REGISTRY,
    added,
    folded,
    item,
    ordered,
    registry,
    touchpoint,
)

EMAIL = REGISTRY.identify("email", "jane@example.com").id
PHONE = REGISTRY.identify("phone", "+905321234567").id
assert EMAIL and PHONE


def consent(id: str, minute: float, state: str, effective: float | None = None, channel: str = "email"):
    return touchpoint(
        id,
        minute,
        "consent.changed",
        data=Data(consent=ConsentRef(channel=channel, state=state)),
        effective=None if effective is None else NOON + round(effective * MINUTE),
    )


def changes(fragment: Fragment, cart: str) -> list[tuple[str, str, list[str]]]:
    return [(change.event, change.kind, [line.sku for line in change.lines]) for change in fragment.carts[cart].changes]


# -- who was seen ----------------------------------------------------------------------------------------------------


def test_identifiers_seen_together_are_counted_with_first_and_last_sighting():
    ids = (CUSTOMER, COOKIE)
    fragment = folded(
        [
            touchpoint("b", 5, ids=ids, source="app/ios"),
            touchpoint("c", 9, ids=ids),
            touchpoint("a", 1, ids=ids, late=20),
        ]
    )
    sighting = fragment.sets["customer:C-1\ncookie:c-1"]
    assert (sighting.first, sighting.first_event) == (NOON + MINUTE, "a")
    assert (sighting.last, sighting.last_event, sighting.last_channel) == (NOON + 9 * MINUTE, "c", "web")
    assert (sighting.count, sighting.sources) == (3, {"app/ios": 1, "web/shop": 2})
    assert (fragment.born, fragment.received) == (NOON + MINUTE, NOON + 21 * MINUTE)


def test_at_equal_time_event_ids_decide_what_was_first_and_last():
    for order in ("abc", "cab", "bca"):
        sighting = folded(touchpoint(id) for id in order).sets[COOKIE]
        assert (sighting.first_event, sighting.last_event) == ("a", "c")
        placed = folded(ordered(id, 0, OrderRef(id="o")) for id in order).orders["o"].placed
        assert placed and placed.event == "a"
        updated = folded(ordered(id, 0, OrderRef(id="o"), type="order.updated") for id in order).orders["o"].updated
        assert updated and updated.event == "c"


def test_an_identifier_is_new_to_a_fragment_once():
    fragment = Fragment(LOYALTY)
    assert fold(fragment, touchpoint("a", ids=(LOYALTY, CUSTOMER, COOKIE)), REGISTRY) == [CUSTOMER, COOKIE]
    assert fold(fragment, touchpoint("b", ids=(LOYALTY, COOKIE)), REGISTRY) == []
    assert fold(fragment, touchpoint("c", ids=(LOYALTY, OTHER_COOKIE)), REGISTRY) == [OTHER_COOKIE]
    assert fold(fragment, touchpoint("d", ids=(LOYALTY,)), REGISTRY) == []


def test_an_identifier_that_begins_like_a_known_one_is_new():
    fragment = Fragment(CUSTOMER)
    fold(fragment, touchpoint("a", ids=(CUSTOMER, Id("cookie:c-10"))), REGISTRY)
    assert fold(fragment, touchpoint("b", ids=(CUSTOMER, COOKIE)), REGISTRY) == [COOKIE]


def test_a_clamped_touchpoint_is_born_when_it_was_received():
    fragment = folded([touchpoint("a", -60, late=60, client_time=12345)])
    assert fragment.born == NOON
    assert fragment.sets[COOKIE].first == NOON - 60 * MINUTE


def test_the_times_of_a_set_are_kept_with_when_they_were_first_received():
    fragment = folded([touchpoint("a", 1, late=5), touchpoint("b", 1, late=2), touchpoint("c", 0, late=9)])
    assert fragment.sets[COOKIE].seen == [(NOON, NOON + 9 * MINUTE), (NOON + MINUTE, NOON + 3 * MINUTE)]


def test_observations_are_remembered_with_the_times_of_their_receipt():
    observed = [touchpoint(str(minute), minute, "identity.observed", late=7) for minute in (3, 1)]
    seen = [(NOON + minute * MINUTE, NOON + (minute + 7) * MINUTE) for minute in (1, 3)]
    assert folded([*observed, touchpoint("x", 9)]).sets[COOKIE].observed == seen


def test_an_order_is_known_by_a_newer_placement_until_an_older_one_is_received():
    placements = [ordered("a", 9, OrderRef(id="o")), ordered("b", 5, OrderRef(id="o"), late=8)]
    for order in (placements, placements[::-1]):
        fragment = folded(order)
        for asked, known in ((9, 9), (12, 9), (13, 5)):
            assert purchases([fragment], NOON + asked * MINUTE)[0].time == NOON + known * MINUTE


def test_a_veto_neither_anchors_nor_counts_as_seen():
    pair = (CUSTOMER, COOKIE)
    fragment = Fragment(CUSTOMER)
    assert fold(fragment, touchpoint("a", 5, "identity.unlinked", pair, late=9), REGISTRY) == [COOKIE]
    assert fold(fragment, touchpoint("b", 5, "identity.unlinked", pair, late=2), REGISTRY) == []
    assert fragment.vetoes == {"customer:C-1\ncookie:c-1": [(NOON + 5 * MINUTE, NOON + 7 * MINUTE)]}
    assert (fragment.born, fragment.sets, fragment.activity) == (0, {}, {})
    assert fold(fragment, touchpoint("c", 6, ids=pair), REGISTRY) == [COOKIE]


def test_unverified_contacts_are_noted_apart():
    fragment = folded([touchpoint(id, ids=(COOKIE,), hints=(("email", "x@y.z"),)) for id in "ab"])
    assert fragment.hints["email:x@y.z"].count == 2
    assert list(fragment.sets) == [COOKIE]


def test_readable_values_of_addresses_are_kept():
    assert folded([touchpoint("a", ids=(EMAIL,), plain={EMAIL: "jane@example.com"})]).plain == {
        EMAIL: "jane@example.com"
    }


# -- that somebody was there -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type", "source", "is_activity"),
    [
        ("page.viewed", "web/shop", True),
        ("order.placed", "server/shop", True),
        ("message.opened", "email/esp", True),
        ("message.sent", "email/esp", False),
        ("order.updated", "web/shop", False),
        ("stock.subscribed", "web/shop", False),
        ("quiz.finished", "web/shop", True),
        ("quiz.finished", "server/shop", False),
    ],
)
def test_activity_is_what_shows_that_a_person_is_there(type: str, source: str, is_activity: bool):
    assert bool(folded([touchpoint("a", 0, type, source=source)]).activity) is is_activity


def test_of_activities_at_one_time_the_first_received_stays():
    data = Data(session="s-1", device=Device(type="phone", os="iOS"))
    fragment = folded([touchpoint("b", 0, late=3), touchpoint("a", 0, late=1, data=data)])
    moment = fragment.activity[NOON]
    assert (moment.event, moment.received, moment.session, moment.device) == ("a", NOON + MINUTE, "s-1", "ios")
    assert fragment.sessions == {"s-1": NOON}
    assert set(fragment.devices) == {"web\n", "web\nios"}


def test_days_are_those_of_the_policys_time_zone():
    late_evening = 10 * 60
    views = [touchpoint("a", late_evening, "product.viewed"), touchpoint("b", late_evening, "page.viewed")]
    day = NOON // DAY
    assert folded(views).days == {day + 1: {"views": 1}}
    assert folded(views, registry('[profile]\ntimezone = "America/New_York"')).days == {day: {"views": 1}}


# -- facts -----------------------------------------------------------------------------------------------------------


def test_the_newest_trait_wins_and_sources_of_one_time_are_all_kept():
    def told(id: str, minute: float, value: object, source: str = "web/shop"):
        return touchpoint(id, minute, "profile.updated", source=source, data=Data(traits={"name": value}))

    fragment = folded([told("b", 5, "Jo"), told("a", 5, "Joe"), told("c", 5, "J", "server/crm"), told("d", 4, "Old")])
    assert [(trait.source, trait.value) for trait in fragment.traits["name"]] == [
        ("server/crm", "J"),
        ("web/shop", "Jo"),
    ]


@pytest.mark.parametrize("value", [{"a": 1}, "x" * 513, [["nested"]], 2**70, list(range(17))])
def test_a_trait_that_is_no_short_value_is_left_out_and_counted(value: object):
    fragment = folded([touchpoint("a", data=Data(traits={"odd": value, "good": [1, "two"]}))])
    assert list(fragment.traits) == ["good"]
    assert fragment.dropped == {"trait_values": 1}


def test_the_newest_effective_consent_holds_and_a_tie_goes_against_sending():
    fragment = folded([consent("a", 9, "granted", effective=1), consent("b", 2, "denied"), consent("c", 2, "granted")])
    assert [known.state for known in fragment.consents["email\nmarketing"]] == ["granted", "granted", "denied"]


def test_an_unsubscription_revokes_the_consent_of_the_channel_of_its_address():
    fragment = folded(
        [
            touchpoint("a", 0, "message.unsubscribed", (EMAIL,), "email/esp"),
            touchpoint("b", 0, "message.complained", (PHONE,), "server/sms"),
        ]
    )
    assert {key: known[-1].state for key, known in fragment.consents.items()} == {
        "email\nmarketing": "revoked",
        "sms\nmarketing": "revoked",
    }


def test_messages_are_kept_by_event():
    data = Data(message=MessageRef(trigger_id="t-1", link="https://shop.example/r"), session="s-1")
    fragment = folded([touchpoint(id, 0, "message.clicked", source="email/esp", data=data) for id in "aa"])
    (click,) = fragment.clicks.values()
    assert (click.kind, click.trigger, click.link, click.session) == (
        "message.clicked",
        "t-1",
        "https://shop.example/r",
        "s-1",
    )


def test_an_order_keeps_its_oldest_placement_newest_update_and_oldest_marks():
    ref = OrderRef(id="o-1", total=Decimal("1E+2"), currency="EUR")
    fragment = folded(
        [
            ordered("b", 5, ref, source="web/segment"),
            ordered("a", 4, ref, item("S"), source="server/shop"),
            ordered("c", 6, ref, type="order.updated"),
            ordered("d", 8, ref, type="order.updated"),
            ordered("f", 8, ref, type="order.cancelled"),
            ordered("e", 7, ref, type="order.cancelled"),
        ]
    )
    (order,) = fragment.orders.values()
    assert order.placed and order.updated
    assert (order.placed.event, order.placed.channel, order.placed.total) == ("a", "server", "100")
    assert order.updated.event == "d"
    assert order.cancelled == Mark(NOON + 7 * MINUTE, "e", NOON + 7 * MINUTE)


def test_an_order_without_id_is_known_by_its_event():
    fragment = folded([ordered("a", 1, OrderRef(total=Decimal(5))), ordered("b", 1, OrderRef(total=Decimal(5)))])
    assert len(fragment.orders) == 2


def test_a_mark_without_an_order_id_says_nothing():
    for type in ("order.cancelled", "order.returned", "order.updated", "order.picked_up"):
        fragment = folded([ordered("a", 1, OrderRef(), type=type)])
        assert (fragment.orders, fragment.returns) == ({}, {})


def test_a_cut_order_still_knows_what_all_its_lines_are_worth():
    policy = registry("[bounds]\nlines_per_cart = 1")
    fragment = folded(
        [ordered("a", 1, OrderRef(id="o"), item("S", "1.50"), item("T", "2.25", quantity=Decimal(2)))], policy
    )
    placed = fragment.orders["o"].placed
    assert placed and (len(placed.lines), placed.total) == (1, "6.00")
    assert fragment.dropped["lines_per_cart"] >= 1


def test_lines_cut_from_an_update_are_counted_whether_or_not_it_is_the_newest():
    policy = registry("[bounds]\nlines_per_cart = 1")
    long = ordered("a", 1, OrderRef(id="o"), item("S", "1"), item("T", "2"), type="order.updated")
    newer = ordered("b", 2, OrderRef(id="o"), type="order.updated")
    assert folded([long, newer], policy).dropped == folded([newer, long], policy).dropped == {"lines_per_cart": 1}


def test_orders_beyond_the_bound_leave_their_sums():
    policy = registry("[bounds]\norders = 1")
    back = ordered("r", 9, OrderRef(id="o-1", amount=Decimal("2.50")), type="order.returned")
    orders = [ordered(f"p{n}", n, OrderRef(id=f"o-{n}", total=Decimal(10 * n), currency="EUR")) for n in (1, 2, 3)]
    fragment = folded(
        [orders[0], back, *orders[1:], ordered("c", 9, OrderRef(id="o-3"), type="order.cancelled")], policy
    )
    assert list(fragment.orders) == ["o-3"]
    assert fragment.older == {"EUR\nweb": Older(2, "27.50", 1, "2.50", NOON + MINUTE, NOON + 2 * MINUTE)}
    assert fragment.dropped == {"orders": 2}


# -- carts -----------------------------------------------------------------------------------------------------------


def test_changes_of_a_cart_are_sorted_by_time_then_event():
    fragment = folded([added("b", 5, "B", "c"), added("a", 5, "A", "c"), added("c", 1, "C", "c")])
    assert [event for event, _, _ in changes(fragment, "c")] == ["c", "a", "b"]


def test_a_repeated_change_counts_once_and_the_first_received_stays():
    fragment = folded(
        [added("a", 5, "X", "c", late=9), added("a", 5, "Y", "c", late=1), added("a", 5, "X", "c", late=9)]
    )
    assert changes(fragment, "c") == [("a", "add", ["Y"])]


@pytest.mark.parametrize(
    ("type", "items", "expected"),
    [
        ("cart.item_added", [], None),
        ("cart.item_added", [Item()], None),
        ("cart.item_removed", [item("S")], ("remove", "cart", ["S"])),
        ("cart.snapshot", [], ("set", "cart", [])),
        ("cart.snapshot", [Item()], None),
        ("cart.snapshot", [Item(product_id="P"), Item(name="N")], ("set", "cart", ["P", "N"])),
        ("checkout.started", [item("S")], ("set", "checkout", ["S"])),
        ("checkout.step", [], ("checkout", "checkout", [])),
    ],
)
def test_each_type_changes_a_cart_in_its_way(type: str, items: list[Item], expected: tuple | None):
    fragment = folded([touchpoint("a", 0, type, data=Data(cart=CartRef(id="c"), items=items))])
    found = [
        (change.kind, change.stage, [line.sku for line in change.lines])
        for cart in fragment.carts.values()
        for change in cart.changes
    ]
    assert found == ([] if expected is None else [expected])


@pytest.mark.parametrize(
    ("cart", "ids", "session", "key"),
    [
        (CartRef(id="c-1", checkout_id="k-1"), (CUSTOMER, COOKIE), "s", "c-1"),
        (CartRef(checkout_id="k-1"), (CUSTOMER, COOKIE), "s", "k-1"),
        (None, (CUSTOMER, Id("device:d"), COOKIE), "s", "~web/shop\ncookie:c-1"),
        (None, (CUSTOMER, Id("device:d")), "s", "~web/shop\ndevice:d"),
        (None, (LOYALTY, CUSTOMER), "s", "~web/shop\nsession:s"),
        (CartRef(), (LOYALTY, CUSTOMER), None, "~web/shop\nloyalty:L-1"),
    ],
)
def test_a_cart_goes_by_the_shops_id_else_by_what_it_hangs_on(cart, ids, session, key):
    data = Data(cart=cart, session=session, items=[item("S")])
    assert list(folded([touchpoint("a", 0, "cart.item_added", ids, data=data)]).carts) == [key]


# -- bounds ----------------------------------------------------------------------------------------------------------


def test_of_the_sets_the_newest_are_kept_and_the_others_counted_by_identifier():
    policy = registry("[bounds]\nsets_per_fragment = 2")
    touchpoints = [touchpoint(str(n), n, ids=(CUSTOMER, Id(f"cookie:{n}"))) for n in (3, 1, 2, 0)]
    fragment = folded(touchpoints, policy)
    assert sorted(fragment.sets) == ["customer:C-1\ncookie:2", "customer:C-1\ncookie:3"]
    share = fragment.rest[CUSTOMER]
    assert (share.count, share.first, share.last) == (2, NOON, NOON + MINUTE)
    assert fold(fragment, touchpoint("x", 9, ids=(CUSTOMER, Id("cookie:0"))), policy) == []


def test_of_the_changes_the_newest_are_kept():
    policy = registry("[bounds]\nchanges_per_cart = 2")
    fragment = folded([added(str(n), n, "S", "c") for n in (3, 1, 2, 0)], policy)
    assert [event for event, _, _ in changes(fragment, "c")] == ["2", "3"]
    assert fragment.dropped == {"changes_per_cart": 2}


def test_of_the_day_buckets_the_newest_are_kept():
    policy = registry("[bounds]\nday_buckets = 2")
    fragment = folded([touchpoint(str(n), n * 1440, "product.viewed") for n in (3, 1, 2, 0, 1)], policy)
    assert [day - NOON // DAY for day in fragment.days] == [2, 3]
    assert fragment.dropped == {"day_buckets": 3}


def test_nothing_grows_for_ever():
    fragment = Fragment(COOKIE)
    for n in sorted(range(1100), key=lambda n: n * 7919 % 1100):
        data = Data(session=f"s-{n}", device=Device(os=f"os-{n}"), message=MessageRef(trigger_id="t"))
        tp = touchpoint(str(n), n, "message.opened", data=data, hints=(("email", f"{n}@x.y"),))
        fold(fragment, tp, REGISTRY)
    sizes = {name: len(getattr(fragment, name)) for name in ("activity", "sessions", "devices", "clicks", "hints")}
    assert sizes == {"activity": 500, "sessions": 200, "devices": 32, "clicks": 200, "hints": 32}
    assert min(fragment.activity) == NOON + 600 * MINUTE
    assert set(fragment.dropped) == {"activity", "sessions", "devices", "clicks", "hints"}
