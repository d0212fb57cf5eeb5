"""Preferences, wishes, lists, attribution, stores, segments, and what of commerce follows from views and time."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from pipeline.core.policy import PolicyError
from pipeline.core.times import HOUR, MINUTE, text
from pipeline.core.touchpoint import Campaign, ConsentRef, Data, Id, Item, ListRef, OrderRef, Store, Touchpoint
from tests.core.touchpoints import COOKIE, CUSTOMER, LOYALTY, NOON, item, ordered, registry, touchpoint, viewed

DAY_MINUTES = 24 * 60
YEAR_MINUTES = 365 * DAY_MINUTES


def clock(minute: float) -> str:
    return text(NOON + round(minute * MINUTE))


def said(type: str, minute: float, *items: Item, anchor: Id = CUSTOMER, source: str = "web/shop", **data: Any):
    return touchpoint(
        f"{type}@{minute}/{source}", minute, type, (anchor,), source, data=Data(items=list(items), **data)
    )


def looked(minute: float, sku: str, anchor: Id = COOKIE, source: str = "web/shop", **more: Any) -> Touchpoint:
    return said("product.viewed", minute, item(sku, **more), anchor=anchor, source=source)


def bought(minute: float, order: str, *items: Item, source: str = "store/12", anchor: Id = LOYALTY, **ref: Any):
    ref = {"currency": "EUR", **ref}
    return ordered(f"{order}@{minute}", minute, OrderRef(id=order, **ref), *items, ids=(anchor,), source=source)


def of_order(type: str, minute: float, order: str, *items: Item, anchor: Id = CUSTOMER, **ref: Any):
    return ordered(f"{type}/{order}", minute, OrderRef(id=order, **ref), *items, ids=(anchor,), type=type)


def block(name: str, history: list[Touchpoint], minute: float = 50_000, policy: str = "") -> Any:
    return viewed(history, registry(policy), minute=minute).blocks.get(name)


# -- rfm -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "score"), [(0, "5"), (7, "5"), (8, "4"), (30, "4"), (31, "3"), (91, "2"), (180, "2"), (181, "1")]
)
def test_recency_loses_a_point_with_each_cut_point_that_is_passed(days: int, score: str) -> None:
    rfm = block("commerce", [bought(0, "o", item("A"))], days * DAY_MINUTES + 1)["rfm"]
    assert (rfm["recency_days"], rfm["score"][0]) == (days, score)


@pytest.mark.parametrize(
    ("orders", "total", "expected"),
    [(1, "49.99", "21"), (2, "25", "32"), (4, "37.50", "43"), (8, "50", "54"), (8, "125", "55")],
)
def test_frequency_and_value_win_a_point_with_each_cut_point_that_is_reached(orders: int, total: str, expected: str):
    history = [bought(n, f"o{n}", total=Decimal(total)) for n in range(orders)]
    assert block("commerce", history, 60)["rfm"]["score"][1:] == expected


def test_frequency_and_value_are_of_a_year_and_net() -> None:
    history = [
        bought(0, "old", total=Decimal(500)),
        bought(10, "new", total=Decimal(80)),
        bought(20, "dollars", total=Decimal(10), currency="USD"),
        of_order("order.returned", 30, "new", amount=Decimal(20)),
    ]
    rfm = block("commerce", history, YEAR_MINUTES + 5)["rfm"]
    assert (rfm["frequency_365d"], rfm["monetary_365d"], rfm["recency_days"]) == (1, "60.00", 364)


def test_without_an_order_there_is_neither_rfm_nor_ropo() -> None:
    commerce = block("commerce", [bought(0, "o"), of_order("order.cancelled", 1, "o")])
    assert not commerce.keys() & {"rfm", "ropo", "click_and_collect"}


# -- click and collect -----------------------------------------------------------------------------------------------


def test_click_and_collect_goes_from_placed_to_ready_to_picked_up() -> None:
    placed = bought(0, "o-9", item("A"), source="web/shop", fulfilment="pickup", store="S-12")
    ready = of_order("order.ready_for_pickup", 60, "o-9", anchor=CUSTOMER)
    fetched = of_order("order.picked_up", 90, "o-9", anchor=LOYALTY)
    waiting = {"order_id": "o-9", "store": "S-12", "ready": False}
    assert block("commerce", [placed])["click_and_collect"] == {"open": [waiting], "count_365d": 1}
    assert block("commerce", [placed, ready])["click_and_collect"]["open"] == [waiting | {"ready": True}]
    assert block("commerce", [fetched, ready, placed])["click_and_collect"] == {"open": [], "count_365d": 1}
    assert "click_and_collect" not in block("commerce", [placed, ready, fetched], YEAR_MINUTES)
    assert "rfm" not in block("commerce", [placed, of_order("order.cancelled", 5, "o-9")])


# -- ropo ------------------------------------------------------------------------------------------------------------


def test_what_was_viewed_online_and_bought_in_a_store_is_ropo_on_whatever_fragments() -> None:
    history = [looked(0, "A"), looked(30, "A"), bought(41 * 60, "o", item("A"), store="S-12")]
    assert block("commerce", history)["ropo"] == {
        "flag": True,
        "last": {
            "sku": "A",
            "researched_at": clock(30),
            "bought_at": clock(41 * 60),
            "lag_hours": 40,
            "store": "S-12",
        },
        "count_365d": 1,
        "reverse_count_365d": 0,
    }


@pytest.mark.parametrize(
    ("research", "found"),
    [
        (looked(0, "A"), True),
        (looked(0, "B", product_id="P"), True),
        (looked(0, "B"), False),
        (looked(0, "A", source="app/ios"), True),
        (looked(0, "A", source="kiosk/1"), False),
        (looked(0, "A", source="server/shop"), False),
        (said("cart.item_added", 0, item("A")), True),
        (said("cart.snapshot", 0, item("A")), True),
        (said("cart.item_removed", 0, item("A")), False),
        (said("page.viewed", 0, item("A")), False),
        (looked(-30 * DAY_MINUTES + 100, "A"), True),
        (looked(-30 * DAY_MINUTES + 99, "A"), False),
        (looked(101, "A"), False),
    ],
)
def test_research_is_a_view_or_cart_online_of_the_sku_or_product_in_the_thirty_days_before(research, found: bool):
    history = [research, bought(100, "o", item("A", product_id="P"), item("C"))]
    assert block("commerce", history)["ropo"]["flag"] is found


@pytest.mark.parametrize("source", ["web/shop", "server/shop", "call/centre"])
def test_the_store_of_an_order_alone_does_not_make_it_one_of_a_store(source: str) -> None:
    history = [looked(0, "A"), bought(10, "o", item("A"), source=source, store="S-12")]
    assert block("commerce", history)["ropo"]["flag"] is False


@pytest.mark.parametrize(
    ("visit", "count"),
    [
        (said("store.visited", 0, source="store/12"), 1),
        (said("store.item_scanned", 0, item("X"), source="app/ios"), 1),
        (said("store.visited", -30 * DAY_MINUTES, source="store/12"), 0),
        (said("store.visited", 20, source="store/12"), 0),
    ],
)
def test_an_order_online_after_a_visit_to_a_store_is_the_reverse(visit, count: int) -> None:
    history = [visit, bought(10, "o", item("A"), source="web/shop")]
    assert block("commerce", history)["ropo"]["reverse_count_365d"] == count


def test_ropo_counts_lines_of_a_year() -> None:
    history = [looked(0, "A"), looked(1, "B"), bought(5, "o", item("A"), item("B"), item("C"))]
    assert block("commerce", history)["ropo"]["count_365d"] == 2
    late = block("commerce", history, YEAR_MINUTES + 5)["ropo"]
    assert (late["flag"], late["count_365d"]) == (True, 0)


# -- preferences -----------------------------------------------------------------------------------------------------


def test_channel_and_hour_are_those_with_most_activity() -> None:
    history = [touchpoint(f"w{n}", n, ids=(COOKIE,)) for n in range(3)]
    history += [touchpoint(f"a{n}", 60 + n, "store.visited", (CUSTOMER,), "store/1") for n in range(2)]
    history += [touchpoint("s", 70, "message.sent", (CUSTOMER,), "email/crm")]
    assert block("preferences", history) == {
        "channel": {"value": "web", "support": 3, "share": 0.6},
        "hour": {"value": 15, "support": 3, "share": 0.6},
    }


def test_a_preference_needs_its_number_of_observations() -> None:
    history = [touchpoint("a", 0), touchpoint("b", 60, source="app/ios")]
    assert block("preferences", history) is None
    assert block("preferences", history, policy="[profile]\npreference_min = 1")["channel"]["value"] == "app"


def shoe(size: str, sku: str = "", **more: Any) -> Item:
    return item(sku or f"shoe-{size}", size=size, category="Shoes", **more)


def test_the_size_is_that_of_what_was_kept() -> None:
    history = [
        bought(0, "o-1", shoe("42"), shoe("43"), shoe("41")),
        bought(10, "o-2", shoe("42"), shoe("43"), source="web/shop"),
        bought(20, "o-3", shoe("43")),
        of_order("order.returned", 30, "o-1", item("shoe-43", None), anchor=COOKIE),
        of_order("order.returned", 40, "o-2", shoe("43"), anchor=CUSTOMER),
        of_order("order.cancelled", 50, "o-3"),
    ]
    assert block("preferences", history)["size"] == {"Shoes": {"value": "42", "support": 2, "share": 0.6667}}


def test_a_return_without_items_takes_nothing_unless_it_is_of_everything() -> None:
    history = [bought(0, "o-1", shoe("42", price="50"), shoe("42", "x", price="50"), total=Decimal(100))]
    part = of_order("order.returned", 9, "o-1", amount=Decimal(10))
    whole = of_order("order.returned", 9, "o-1", amount=Decimal(100))
    unsaid = of_order("order.returned", 9, "o-1")
    assert [bool((block("preferences", [*history, one]) or {}).get("size")) for one in (part, whole, unsaid)] == [
        True,
        False,
        False,
    ]


def test_a_size_that_somebody_said_to_have_counts() -> None:
    history = [said("size.recorded", n, Item(category="Shoes", size="42")) for n in range(2)]
    assert block("preferences", history)["size"]["Shoes"]["value"] == "42"


def test_likes_fade_by_half_in_a_half_life() -> None:
    half = 60 * DAY_MINUTES
    shirts = [looked(n / 60, f"s{n}", category="Shirts", brand="Acme") for n in range(2)]
    shoes = [looked(half + n / 60, f"t{n}", category="Shoes", brand="Ada") for n in range(2)]
    found = block("preferences", [*shoes, *shirts])
    assert found["categories"] == [{"name": "Shoes", "weight": 0.6667}, {"name": "Shirts", "weight": 0.3333}]
    assert [one["name"] for one in found["brands"]] == ["Ada", "Acme"]
    assert block("preferences", [*shoes, *shirts], 5 * half)["categories"] == found["categories"], "not by time alone"


# -- wish list and lists ---------------------------------------------------------------------------------------------


def wish(minute: float, sku: str, added: bool = True, price: str | None = "59.9", anchor: Id = CUSTOMER):
    return said(f"wishlist.item_{'added' if added else 'removed'}", minute, item(sku, price, name=sku), anchor=anchor)


def test_the_newest_word_on_an_sku_holds_over_all_fragments() -> None:
    history = [
        wish(0, "A"),
        wish(1, "B", price=None),
        wish(2, "A", False, anchor=LOYALTY),
        wish(3, "C", False),
        wish(-1, "C"),
    ]
    assert block("wishlist", history) == [
        {"sku": "B", "name": "B", "added_at": clock(1), "price": None, "currency": None}
    ]
    again = block("wishlist", [*history, wish(9, "A", price="1", anchor=COOKIE)])
    assert again[-1] == {"sku": "A", "name": "A", "added_at": clock(9), "price": "1.00", "currency": "EUR"}


def test_the_list_made_with_store_staff_is_the_list_at_home() -> None:
    made = said(
        "list.shared", 0, item("A"), item("B"), source="store/12", shared_list=ListRef("l-1"), store=Store("S-12")
    )
    home = said("list.shared", 60, item("B"), item("B"), item("C"), anchor=LOYALTY, shared_list=ListRef("l-1"))
    other = said("list.shared", 5, item("Z"), shared_list=ListRef("l-2"))
    assert block("lists", [made]) == [
        {
            "list_id": "l-1",
            "items": [{"sku": "A", "quantity": 1}, {"sku": "B", "quantity": 1}],
            "updated_at": clock(0),
            "store": "S-12",
        }
    ]
    shown = block("lists", [home, made, other])
    assert [one["list_id"] for one in shown] == ["l-2", "l-1"]
    assert shown[1]["items"] == [{"sku": "B", "quantity": 2}, {"sku": "C", "quantity": 1}]


# -- attribution -----------------------------------------------------------------------------------------------------


def touched(minute: float, source: str, medium: str = "cpc", anchor: Id = COOKIE) -> Touchpoint:
    return said("page.viewed", minute, anchor=anchor, campaign=Campaign(source=source, medium=medium, name="x"))


def test_credit_is_shared_by_four_rules_among_the_touches_before_the_last_order() -> None:
    history = [
        touched(0, "google"),
        touched(1, "crm", "email", CUSTOMER),
        touched(2, "google", anchor=LOYALTY),
        bought(5, "o", item("A")),
        touched(9, "insta"),
    ]
    found = block("attribution", history)
    assert found["first"] == {"channel": "web", "source": "google", "medium": "cpc", "campaign": "x", "time": clock(0)}
    assert found["last"]["source"] == "insta"
    assert [one["source"] for one in found["path"]] == ["google", "crm", "google", "insta"]
    assert found["credit"] == {
        "first": {"web/google/cpc": 1.0},
        "last": {"web/google/cpc": 1.0},
        "linear": {"web/crm/email": 0.3333, "web/google/cpc": 0.6667},
        "position": {"web/crm/email": 0.2, "web/google/cpc": 0.8},
    }


def test_without_an_order_there_is_no_credit() -> None:
    assert "credit" not in block("attribution", [touched(0, "google")])
    assert "credit" not in block("attribution", [touched(9, "google"), bought(5, "o", item("A"))])
    cancelled = [touched(0, "google"), bought(5, "o", item("A")), of_order("order.cancelled", 6, "o")]
    assert "credit" not in block("attribution", cancelled)
    assert block("attribution", [said("page.viewed", 0, campaign=Campaign())]) is None


@pytest.mark.parametrize("count", [1, 2, 3, 7, 24])
def test_shares_add_up_to_one(count: int) -> None:
    history = [touched(n, f"s{n}") for n in range(count)] + [bought(99, "o", item("A"))]
    for shares in block("attribution", history)["credit"].values():
        assert sum(round(share * 10_000) for share in shares.values()) == 10_000
    position = block("attribution", history)["credit"]["position"]
    assert position["web/s0/cpc"] == {1: 1.0, 2: 0.5}.get(count, 0.4)


def test_of_many_touches_the_first_and_the_newest_are_known() -> None:
    found = viewed([touched(n, f"s{n:02}") for n in range(40)])
    path = [one["source"] for one in found.blocks["attribution"]["path"]]
    assert path == [f"s{n:02}" for n in (*range(5), *range(20, 40))]
    assert found.blocks["lineage"]["dropped"] == {"touches": 15}


# -- store -----------------------------------------------------------------------------------------------------------


def test_home_is_the_store_with_most_days_then_the_latest() -> None:
    def named(day: int, store: str, **more: Any) -> Touchpoint:
        return said("page.viewed", day * DAY_MINUTES, store=Store(store), **more)

    history = [named(0, "S-1"), named(0, "S-1", anchor=COOKIE), named(1, "S-2"), named(2, "S-2"), named(3, "S-1")]
    assert block("store", history, 10_000)["home"] == "S-1"
    assert block("store", [*history, bought(4 * DAY_MINUTES, "o", item("A"), store="S-2")])["home"] == "S-2"
    online = bought(4 * DAY_MINUTES, "o", item("A"), source="web/shop", store="S-2")
    assert block("store", [*history, online])["home"] == "S-1"
    assert block("store", history[:4], 365 * DAY_MINUTES)["home"] == "S-2", "S-1 is too long ago"
    assert block("store", history, 366 * DAY_MINUTES)["home"] == "S-1", "of two with one day the latest"
    assert block("store", history, 400 * DAY_MINUTES) is None


def test_the_last_visit_is_the_newest_activity_in_a_store() -> None:
    history = [
        said("store.visited", 5, source="app/ios", store=Store("S-1")),
        said("page.viewed", 9, store=Store("S-2")),
        said("order.returned", 20, source="store/1", order=OrderRef(id="o")),
    ]
    assert block("store", history)["last_visit"] == clock(5)
    assert block("store", [*history, touchpoint("k", 30, source="kiosk/1")])["last_visit"] == clock(30)


def test_a_basket_that_was_saved_and_not_bought_is_shown() -> None:
    scanned = said("store.item_scanned", 0, item("A", name="Lamp"), source="store/12")
    saved = said("store.basket_saved", 5, item("A", name="Lamp"), item("B", quantity=Decimal(2)), source="store/12")
    assert "basket" not in block("store", [scanned], 20)
    assert block("store", [scanned, saved], 20)["basket"] == {
        "saved_at": clock(5),
        "lines": [
            {"sku": "A", "name": "Lamp", "quantity": 1, "price": "10.00"},
            {"sku": "B", "name": None, "quantity": 2, "price": "10.00"},
        ],
    }
    assert "basket" not in block("store", [scanned, saved, bought(9, "o", item("A"), item("B"))], 20)
    half = block("store", [scanned, saved, bought(9, "o", item("A"))], 20)["basket"]["lines"]
    assert [line["sku"] for line in half] == ["B"]
    assert "basket" not in (block("store", [scanned, saved], 31 * DAY_MINUTES) or {})


# -- segments and profiling ------------------------------------------------------------------------------------------

RULES = """
[profile.segments]
big = "commerce.ltv >= 1000"
exact = "commerce.ltv == 1000.5"
likes_shoes = "preferences.categories.exists(one, one.name == 'Shoes')"
buyer_or_viewer = "commerce.order_count > 0 || engagement.views_30d > 1"
wishlist_waiting = "size(wishlist) > 0"
nowhere = "nothing.of.this.kind > 1"
named = 'traits.name.value == "Jane"'
idle = 'timestamp(as_of) - timestamp(engagement.last_seen) > duration("48h")'
"""


def test_segments_are_the_rules_that_hold() -> None:
    views = [looked(n, f"s{n}", category="Shoes") for n in range(2)]
    assert block("segments", views, 5, RULES) == ["buyer_or_viewer", "likes_shoes"]
    rich = [bought(0, "o", total=Decimal("1000.50")), wish(1, "A")]
    assert block("segments", rich, 5, RULES) == ["big", "buyer_or_viewer", "exact", "wishlist_waiting"]
    assert block("segments", [touchpoint("a")], 5, RULES) is None
    assert block("segments", rich, 5) is None


def test_money_compares_as_a_number_and_not_as_text() -> None:
    assert "big" not in (block("segments", [bought(0, "o", total=Decimal("900"))], 5, RULES) or [])
    assert "big" in block("segments", [bought(0, "o", total=Decimal("10000"))], 5, RULES)


def test_a_rule_may_ask_for_the_time_and_is_asked_again_the_next_day() -> None:
    """It is told the start of the day, in the policy's zone at 21:00 UTC, so that it says the same all day."""
    policy, history = registry(RULES), [touchpoint("a")]
    now = viewed(history, policy, minute=60)
    assert now.blocks.get("segments") is None
    assert now.next_fade == NOON + 9 * HOUR
    midnight = 2 * DAY_MINUTES + 9 * 60
    assert viewed(history, policy, minute=midnight - 1).blocks.get("segments") is None
    for minute in (midnight, midnight + DAY_MINUTES - 1):
        assert viewed(history, policy, minute=minute).blocks["segments"] == ["idle"]


@pytest.mark.parametrize(
    ("rule", "word"), [("commerce.ltv >=", "Syntax"), ("1 + 1", "true or false"), ("nosuch(1)", "nosuch"), ("", "")]
)
def test_a_rule_that_does_not_compile_is_an_error_that_names_its_key(rule: str, word: str) -> None:
    with pytest.raises(PolicyError) as error:
        registry(f"[profile.segments]\nbig = '{rule}'")
    assert (error.value.key, error.value.line) == ("profile.segments.big", 2)
    assert word in str(error.value)


@pytest.mark.parametrize("state", ["denied", "revoked"])
def test_who_refuses_profiling_has_no_segments_and_no_affinities(state: str) -> None:
    history = [looked(n, f"s{n}", category="Shoes", brand="Acme") for n in range(3)]
    refusal = said("consent.changed", 9, consent=ConsentRef("*", "profiling", state))
    blocks = viewed([*history, refusal], registry(RULES), minute=20).blocks
    assert "segments" not in blocks
    assert blocks["preferences"].keys() == {"channel", "hour"}
    granted = said("consent.changed", 10, anchor=LOYALTY, consent=ConsentRef("*", "profiling", "granted"))
    blocks = viewed([*history, refusal, granted], registry(RULES), minute=20).blocks
    assert "segments" in blocks and "categories" in blocks["preferences"]


# -- what the policy does not show -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("how", "shown"), [("raw", True), ("sha256", False), ("omit", False)])
def test_a_trait_by_the_name_of_an_identifier_is_shown_only_where_that_is_shown_as_it_is(how: str, shown: bool) -> None:
    history = [touchpoint("a", data=Data(traits={"email": "jane@example.com", "city": "Ankara"}))]
    traits = block("traits", history, policy=f'[publish]\nidentifiers = {{ email = "{how}" }}')
    assert ("email" in traits) is shown
    assert "city" in traits
