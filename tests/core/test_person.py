"""The view of a person: who it is, what is known of it, when it was here."""

from __future__ import annotations

import hashlib

import pytest

from pipeline.core.fragment import Fragment
from pipeline.core.ledger import Told
from pipeline.core.person import Person
from pipeline.core.times import DAY, MINUTE, parse
from pipeline.core.touchpoint import ConsentRef, Data, Id, OrderRef
from pipeline.core.view import view
from tests.core.touchpoints import (
    COOKIE,
    CUSTOMER,
    LOYALTY,
    NOON,
    OTHER_COOKIE,
    REGISTRY,
    added,
    ordered,
    registry,
    touchpoint,
    viewed,
)

EMAIL, CHECKOUT = REGISTRY.identify("email", "Jane@Example.com").id, Id("checkout:k-1")
assert EMAIL
HEX = EMAIL.partition(":")[2]
HOUR, DAY_MINUTES = 60, 24 * 60


def said(id: str, minute: float, value: object, source: str = "web/shop", anchor: Id = COOKIE):
    return touchpoint(id, minute, "profile.updated", (anchor,), source, data=Data(traits={"name": value}))


def wished(id: str, minute: float, state: str, anchor: Id = COOKIE):
    consent = ConsentRef(channel="email", state=state, proof=f"proof {id}")
    return touchpoint(id, minute, "consent.changed", (anchor,), data=Data(consent=consent))


# -- header and identifiers ------------------------------------------------------------------------------------------


def test_the_blocks_come_in_the_order_of_the_document():
    history = [
        touchpoint("a", 0, "product.viewed", (CUSTOMER, COOKIE), data=Data(traits={"name": "Jane"}, session="s")),
        wished("b", 1, "granted", CUSTOMER),
        added("c", 2, "S", "cart", ids=(CUSTOMER,)),
        ordered("d", -5, OrderRef(id="o"), ids=(CUSTOMER,)),
    ]
    assert list(viewed(history, minute=30).blocks) == [
        "created_at",
        "identity",
        "identifiers",
        "traits",
        "consents",
        "commerce",
        "preferences",
        "engagement",
        "carts",
        "lineage",
    ]


def test_blocks_without_content_are_left_out():
    assert list(viewed([touchpoint("a")]).blocks) == [
        "created_at",
        "identity",
        "identifiers",
        "engagement",
        "lineage",
    ]


def test_an_identifier_shows_when_how_often_and_where_it_was_seen_over_all_fragments():
    history = [
        touchpoint("a", 0, ids=(COOKIE,)),
        touchpoint("b", 9, ids=(CUSTOMER, COOKIE), source="app/ios"),
        touchpoint("c", 5, ids=(CUSTOMER,), source="store/12"),
    ]
    customer, cookie = viewed(history).blocks["identifiers"]
    assert customer == {
        "type": "customer",
        "value": "C-1",
        "first_seen": "2026-03-01T12:05:00Z",
        "last_seen": "2026-03-01T12:09:00Z",
        "count": 2,
        "sources": ["app/ios", "store/12"],
        "verified": True,
        "shared": False,
    }
    assert (cookie["first_seen"], cookie["count"]) == ("2026-03-01T12:00:00Z", 2)
    assert cookie["sources"] == ["app/ios", "web/shop"]


def test_identifiers_that_a_bound_dropped_from_the_sets_still_count():
    history = [touchpoint(str(n), n, ids=(CUSTOMER, COOKIE) if n % 2 else (CUSTOMER, OTHER_COOKIE)) for n in range(10)]
    everybody = (CUSTOMER, COOKIE, OTHER_COOKIE)
    narrow = registry("[bounds]\nsets_per_fragment = 1")
    whole, cut = viewed(history, ids=everybody), viewed(history, narrow, ids=everybody)
    for name in ("created_at", "identifiers"):
        assert cut.blocks[name] == whole.blocks[name]
    assert cut.blocks["lineage"]["touchpoints"] == 10


@pytest.mark.parametrize(
    ("policy", "plain", "expected"),
    [
        ("", True, {"email": "jane@example.com", "cookie": "c-1"}),
        ("", False, {"email_sha256": HEX, "cookie": "c-1"}),
        ('identifiers = { email = "sha256" }', True, {"email_sha256": HEX, "cookie": "c-1", "checkout": "k-1"}),
        ('identifiers = { email = "omit", checkout = "omit" }', True, {"cookie": "c-1"}),
        (
            'identifiers = { cookie = "sha256", checkout = "omit" }',
            True,
            {"email": "jane@example.com", "cookie_sha256": hashlib.sha256(b"c-1").hexdigest()},
        ),
    ],
)
def test_identifiers_are_shown_as_the_policy_says(policy: str, plain: bool, expected: dict[str, str]):
    readable = {EMAIL: "jane@example.com"} if plain else None
    history = [touchpoint("a", ids=(EMAIL, COOKIE, CHECKOUT), plain=readable)]
    rows = viewed(history, registry(f"[publish]\n{policy}")).blocks["identifiers"]
    assert {row["type"]: row["value"] for row in rows} == expected


def test_values_that_are_not_normalised_are_shown_as_they_are():
    policy = registry("[identity]\nnormalise = false")
    rows = viewed([touchpoint("a", ids=(Id("email:jane@example.com"),))], policy).blocks["identifiers"]
    assert [(row["type"], row["value"]) for row in rows] == [("email", "jane@example.com")]


@pytest.mark.parametrize(
    ("ids", "order", "kind"),
    [
        ((LOYALTY, COOKIE), None, "known"),
        ((Id("phone:" + "0" * 64),), None, "known"),
        ((Id("device:d"), COOKIE), None, "anonymous"),
        ((CHECKOUT,), None, "anonymous"),
        ((Id("passport:1"),), None, "anonymous"),
        ((EMAIL,), ["email", "cookie"], "known"),
        ((COOKIE,), ["email", "cookie"], "anonymous"),
        ((COOKIE,), ["cookie", "device"], "anonymous"),
    ],
)
def test_known_is_who_has_a_phone_or_something_stronger(ids: tuple[Id, ...], order: list[str] | None, kind: str):
    policy = registry(f"[identity]\norder = {order}".replace("'", '"') if order else "")
    assert viewed([touchpoint("a", ids=ids)], policy).blocks["identity"]["kind"] == kind


def test_a_hub_that_never_anchored_was_never_seen():
    fragment = Fragment(COOKIE, hub=NOON)
    seen = view(Person((COOKIE,), [fragment], "p", shared=True), NOON, REGISTRY, None)
    assert seen.blocks["identifiers"] == [
        {"type": "cookie", "value": "c-1", "count": 0, "sources": [], "verified": True, "shared": True}
    ]
    assert list(seen.blocks) == ["identity", "identifiers", "lineage"]
    assert (seen.blocks["lineage"]["touchpoints"], seen.updated_at, seen.next_change) == (0, NOON, None)


def test_conflicts_size_and_oversize_are_told():
    identity = viewed([touchpoint("a", ids=(CUSTOMER, COOKIE))], conflicts=2, oversize=True).blocks["identity"]
    assert identity == {"kind": "known", "size": 2, "conflicts": 2, "oversize": True}


def test_the_document_is_as_new_as_its_newest_receipt():
    assert viewed([touchpoint("a", 0, late=50), touchpoint("b", 9)]).updated_at == NOON + 50 * MINUTE


# -- traits and consents ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ([said("a", 1, "Jane"), said("b", 0, "Janet", anchor=CUSTOMER)], "Jane"),
        ([said("b", 1, "Jane"), said("a", 1, "Janet", "server/crm", CUSTOMER)], "Janet"),
        ([said("b", 1, "Jane"), said("a", 1, "Janet", "server/crm")], "Janet"),
        ([said("b", 2, "Jane"), said("a", 1, "Janet", "server/crm")], "Jane"),
        ([said("a", 1, "Jane"), said("b", 1, "Janet", anchor=CUSTOMER)], "Janet"),
    ],
)
def test_a_trait_is_the_newest_then_that_of_the_better_source_then_of_the_greater_event(history, expected):
    assert viewed(history).blocks["traits"]["name"]["value"] == expected


def test_a_null_unsets_a_trait_until_it_is_set_again():
    assert "traits" not in viewed([said("a", 1, "Jane"), said("b", 2, None, anchor=CUSTOMER)]).blocks
    assert viewed([said("a", 3, "Jane"), said("b", 2, None)]).blocks["traits"]["name"] == {
        "value": "Jane",
        "time": "2026-03-01T12:03:00Z",
        "source": "web/shop",
    }


@pytest.mark.parametrize(
    ("history", "state"),
    [
        ([wished("a", 5, "revoked"), wished("b", 4, "granted", CUSTOMER)], "revoked"),
        ([wished("b", 5, "granted"), wished("a", 5, "denied", CUSTOMER)], "denied"),
        ([wished("b", 5, "denied"), wished("a", 5, "revoked", CUSTOMER)], "revoked"),
        ([wished("a", 5, "revoked"), wished("b", 6, "granted", CUSTOMER)], "granted"),
    ],
)
def test_the_newest_consent_of_the_whole_person_holds(history, state: str):
    assert viewed(history).blocks["consents"]["email"]["marketing"]["state"] == state


def test_a_consent_shows_since_when_and_its_proof():
    assert viewed([wished("a", 5, "granted")]).blocks["consents"] == {
        "email": {
            "marketing": {
                "state": "granted",
                "since": "2026-03-01T12:05:00Z",
                "source": "web/shop",
                "proof": "proof a",
            }
        }
    }


# -- engagement and lineage ------------------------------------------------------------------------------------------


def test_engagement_counts_over_all_fragments():
    history = [
        touchpoint("a", 0, "product.viewed", data=Data(session="s-1")),
        touchpoint("b", 9, "product.viewed", (CUSTOMER, COOKIE), "app/ios", data=Data(session="s-1")),
        touchpoint("c", 10, "page.viewed", (CUSTOMER,), data=Data(session="s-2")),
        added("d", 11, "S", "cart", ids=(CUSTOMER,), session="s-2"),
        ordered("e", 12, OrderRef(id="o"), ids=(CUSTOMER,), source="server/shop"),
        ordered("f", 13, OrderRef(id="o"), ids=(COOKIE,)),
        touchpoint("g", 14, "message.sent", (CUSTOMER,), "email/esp"),
    ]
    assert viewed(history, minute=20).blocks["engagement"] == {
        "first_seen": "2026-03-01T12:00:00Z",
        "last_seen": "2026-03-01T12:14:00Z",
        "last_channel": "email",
        "sessions_30d": 3,
        "views_30d": 2,
        "cart_adds_30d": 1,
        "days": {"2026-03-01": {"views": 2, "cart_adds": 1, "orders": 1}},
    }


def test_activity_without_a_session_id_is_one_session_until_a_gap():
    minutes = [0, 29, 58, 88, 200, 229.9]
    history = [touchpoint(str(m), m, ids=(COOKIE,) if m % 2 else (CUSTOMER,)) for m in minutes]
    assert viewed(history, minute=300).blocks["engagement"]["sessions_30d"] == 3


def test_the_windows_of_thirty_days_roll():
    history = [touchpoint("a", 0, "product.viewed", data=Data(session="s"))]
    day_ends = parse("2026-03-30T21:00:00Z")  # midnight in Istanbul, 30 days later
    assert viewed(history, minute=1).next_fade == day_ends
    after = viewed(history, minute=(day_ends - NOON) / MINUTE)
    assert (after.blocks["engagement"]["views_30d"], after.blocks["engagement"]["sessions_30d"]) == (0, 1)
    assert after.next_fade == NOON + 30 * DAY
    last = viewed(history, minute=30 * DAY_MINUTES)
    assert (last.blocks["engagement"]["sessions_30d"], last.next_fade) == (0, None)


def test_of_the_days_the_newest_are_shown():
    policy = registry("[bounds]\nday_buckets = 2")
    history = [touchpoint(str(n), n * DAY_MINUTES, "product.viewed", (COOKIE, CUSTOMER)[n % 2 :]) for n in range(4)]
    assert list(viewed(history, policy).blocks["engagement"]["days"]) == ["2026-03-03", "2026-03-04"]


def test_lineage_says_what_the_document_was_made_from():
    history = [touchpoint("a", 5), touchpoint("b", 5, ids=(CUSTOMER,), source="store/12"), touchpoint("z", 1)]
    assert viewed(history).blocks["lineage"] == {
        "touchpoints": 3,
        "sources": {"store/12": 1, "web/shop": 2},
        "last_event": "b",
        "policy": REGISTRY.policy.digest,
    }


# -- carts and triggers ----------------------------------------------------------------------------------------------


def test_an_open_cart_shows_its_lines_and_when_it_falls_idle():
    history = [added("a", 0, "S", "cart-1"), touchpoint("b", 10)]
    fresh = viewed(history, minute=39)
    assert fresh.blocks["carts"] == {
        "open": [
            {
                "cart_id": "cart-1",
                "stage": "cart",
                "channel": "web",
                "value": "10.00",
                "currency": "EUR",
                "last_change": "2026-03-01T12:00:00Z",
                "idle": False,
                "lines": [{"sku": "S", "name": None, "quantity": 1, "price": "10.00"}],
            }
        ],
        "abandoned_90d": 0,
        "recovered_90d": 0,
    }
    assert fresh.next_change == NOON + 40 * MINUTE
    idle = viewed(history, minute=40)
    assert idle.blocks["carts"]["open"][0]["idle"] is True
    assert idle.next_fade == NOON + 70 * MINUTE
    assert viewed(history, minute=70).blocks["carts"]["abandoned_90d"] == 1


def test_a_cart_that_was_abandoned_and_bought_is_recovered_for_ninety_days():
    history = [added("a", 0, "S", "cart-1"), ordered("b", 2 * HOUR, OrderRef(id="o"))]
    carts = viewed(history, minute=3 * HOUR).blocks["carts"]
    assert (carts["abandoned_90d"], carts["recovered_90d"]) == (1, 1)
    assert "carts" not in viewed(history, minute=91 * DAY_MINUTES).blocks


def told(family: str, status: str, minute: float) -> Told:
    at = NOON + round(minute * MINUTE)
    return Told(
        trigger_id="t",
        episode_id="e",
        family=family,
        step=1,
        n=0,
        status=status,
        reason=None,
        reasons=(),
        via_link=None,
        revision=1,
        anchor_at=at,
        deadline_at=at,
        evaluated_at=at,
        origin=COOKIE,
        covers=(),
        fired_at=0 if status == "suppressed" else at,
    )


def test_triggers_that_stand_are_counted_for_seven_days():
    ledger = {
        "1": told("cart", "fired", 0),
        "2": told("cart", "recovered", 5),
        "3": told("checkout", "retracted", 9),
        "4": told("checkout", "suppressed", 9),
    }
    person = Person((COOKIE,), [], "p")
    seen = view(person, NOON + HOUR * MINUTE, REGISTRY, ledger)
    assert seen.blocks["triggers"] == {
        "last_fired": {"cart": "2026-03-01T12:05:00Z"},
        "sent_7d": 2,
        "suppressed_7d": 1,
    }
    assert (seen.next_change, seen.next_fade) == (None, NOON + 7 * DAY)
    later = view(person, NOON + 8 * DAY, REGISTRY, ledger)
    assert later.blocks["triggers"] == {
        "last_fired": {"cart": "2026-03-01T12:05:00Z"},
        "sent_7d": 0,
        "suppressed_7d": 0,
    }
    assert later.next_fade is None
