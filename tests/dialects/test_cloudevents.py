"""CloudEvents in both modes: what is read, what is mended, what is refused and why."""

from __future__ import annotations

import base64
import json
from decimal import Decimal
from typing import Any

import pytest

from pipeline.core import times
from pipeline.core.events import KNOWN, PRIVACY
from pipeline.core.touchpoint import Touchpoint
from tests.dialects.reading import READER, RECEIVED, accepted, event, names, read, read_all, reader, refused

EXAMPLE = {
    "specversion": "1.0",
    "id": "evt-1",
    "source": "web/shop-de",
    "type": "cart.item_added",
    "time": "2026-03-01T10:31:07Z",
    "data": {
        "identifiers": [{"type": "cookie", "value": "c-1"}, {"type": "email", "value": "Jane@Example.com"}],
        "session": "s-1",
        "cart": {"id": "cart-1", "recovery_url": "https://shop.example/r/1"},
        "items": [{"sku": "SKU-1-M", "name": "Trail Shoe", "quantity": 1, "price": "89.90", "currency": "EUR"}],
    },
}


def test_the_example_is_read_whole() -> None:
    tp = accepted(EXAMPLE)
    assert (tp.id, tp.source, tp.channel, tp.type) == ("evt-1", "web/shop-de", "web", "cart.item_added")
    assert (tp.time, tp.received) == (times.parse("2026-03-01T10:31:07Z"), RECEIVED)
    assert [id.partition(":")[0] for id in tp.ids] == ["email", "cookie"]
    assert names(tp) == {"email:jane@example.com", "cookie:c-1"}
    (item,) = tp.data.items
    assert (item.sku, item.quantity, str(item.price), item.currency) == ("SKU-1-M", 1, "89.90", "EUR")
    assert tp.data.identifiers == []


def binary(structured: dict[str, Any], **headers: str) -> Touchpoint:
    attributes = {f"ce_{name}": value for name, value in structured.items() if name != "data"}
    return accepted(structured["data"], **attributes, **headers)


def test_binary_mode_is_the_same_event() -> None:
    assert binary(EXAMPLE) == accepted(EXAMPLE)


def test_binary_mode_needs_no_value() -> None:
    headers = {"ce_id": "1", "ce_source": "store/S-1", "ce_type": "store.visited", "ce_specversion": "1.0"}
    assert refused(None, **headers).code == "no_identifier"
    assert refused(b"\xff", **headers).code == "not_json"


def test_the_slow_path_reads_the_same_as_the_typed_decoder() -> None:
    slowly = json.loads(json.dumps(EXAMPLE))
    slowly["data"] |= {"items": [{**slowly["data"]["items"][0], "price": 89.90, "brand": None}], "order": None}
    fast, slow = accepted(EXAMPLE), accepted(json.dumps(slowly).replace("89.9", "89.90").encode())
    assert fast == slow


@pytest.mark.parametrize(
    "prefix", [b"\xef\xbb\xbf", b"\x00\x00\x00\x00\x07", b"\x00\x00\x00\x00\x07\xef\xbb\xbf", b" \n"]
)
def test_what_stands_before_the_json_is_stripped(prefix: bytes) -> None:
    assert accepted(prefix + json.dumps(EXAMPLE).encode()) == accepted(EXAMPLE)


def test_a_batch_gives_its_events_one_by_one() -> None:
    good, bad = accepted(EXAMPLE), {**EXAMPLE, "source": "nowhere"}
    first, second, third = read_all([EXAMPLE, bad, EXAMPLE])
    assert first == third == good
    assert getattr(second, "code", None) == "bad_envelope"


def test_data_may_be_base64() -> None:
    coded = base64.b64encode(json.dumps(EXAMPLE["data"]).encode()).decode()
    assert accepted({**EXAMPLE, "data": None, "data_base64": coded}) == accepted(EXAMPLE)


# Envelope


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"specversion": "0.3"}, "bad_envelope"),
        ({"specversion": 1}, "bad_envelope"),
        ({"id": ""}, "bad_envelope"),
        ({"id": "x" * 257}, "bad_envelope"),
        ({"id": None}, "bad_envelope"),
        ({"source": "shop"}, "bad_envelope"),
        ({"source": "web/"}, "bad_envelope"),
        ({"source": "web/a\nb"}, "bad_envelope"),
        ({"source": "fax/shop"}, "bad_field"),
        ({"type": ""}, "bad_envelope"),
        ({"time": "yesterday"}, "bad_field"),
        ({"time": 5}, "bad_field"),
        ({"recordedtime": "2026"}, "bad_field"),
        ({"data": []}, "bad_field"),
        ({"data": "{}"}, "bad_field"),
    ],
)
def test_a_bad_envelope_is_named(change: dict[str, Any], code: str) -> None:
    result = refused(EXAMPLE | change)
    assert result.code == code
    assert next(iter(change)) in result.message


def test_a_rejection_says_which_event_it_was_but_not_what_was_in_it() -> None:
    result = refused(event("cart.item_added", items=[{"sku": "SECRET", "price": "jane@example.com"}]))
    assert (result.id, result.source) == ("evt-1", "web/shop-de")
    assert "jane" not in result.message and "SECRET" not in result.message


def test_numbers_are_ids_and_truth_values_are_not() -> None:
    assert accepted({**EXAMPLE, "id": 17}).id == "17"
    tp = accepted(event(identifiers=[{"type": "customer", "value": 17}, {"type": "loyalty", "value": True}]))
    assert tp.ids == ("customer:17",)
    assert tp.blocked == 1


def test_a_huge_number_is_an_id_like_any_other() -> None:
    tp = accepted(event(identifiers=[{"type": "customer", "value": 10**30}]))
    assert tp.ids == (f"customer:{10**30}",)


def test_a_reverse_dns_prefix_is_stripped_and_unknown_types_are_kept() -> None:
    assert accepted(event("com.acme.shop.product.viewed")).type == "product.viewed"
    assert accepted(event("gift.wrapped")).type == "gift.wrapped"


def test_channel_in_the_data_overrides_that_of_the_source() -> None:
    assert accepted(event(channel="kiosk")).channel == "kiosk"
    assert refused(event(channel="fax")).code == "bad_field"


@pytest.mark.parametrize("type", sorted(PRIVACY))
def test_privacy_requests_may_name_two_customers_and_take_no_checkout_for_a_name(type: str) -> None:
    two = [{"type": "customer", "value": "C-1"}, {"type": "customer", "value": "C-2"}]
    request = accepted(event(type, identifiers=two, cart={"checkout_id": "co-1"}))
    assert request.ids == ("customer:C-1", "customer:C-2")
    assert refused(event(type, identifiers=[], cart={"checkout_id": "co-1"})).code == "no_identifier"


# Times


def test_an_event_without_time_happened_when_it_was_received() -> None:
    tp = accepted({**event(), "time": None})
    assert tp.time == tp.received == RECEIVED
    assert tp.client_time is None


def test_times_are_clamped_and_the_original_is_kept() -> None:
    early = accepted({**event(), "time": "2020-01-01T00:00:00Z"})
    assert early.time == RECEIVED - 400 * times.DAY
    assert early.client_time == times.parse("2020-01-01T00:00:00Z")
    late = accepted({**event(), "time": "2030-01-01T00:00:00Z"})
    assert late.time == RECEIVED + 5 * times.MINUTE
    assert accepted({**event(), "time": "2026-03-01T12:04:59Z"}).client_time is None


def test_the_policy_says_how_far_a_clock_may_be_wrong() -> None:
    strict = reader('[identity]\nclamp_past = "2d"\nclamp_future = "0s"')
    assert accepted({**event(), "time": "2026-02-26T00:00:00Z"}, reader=strict).time == RECEIVED - 2 * times.DAY
    assert accepted({**event(), "time": "2026-03-01T12:00:01Z"}, reader=strict).time == RECEIVED


def test_recordedtime_is_the_received_time_unless_it_lies_ahead() -> None:
    assert accepted({**event(), "recordedtime": "2026-03-01T11:59:30Z"}).received == RECEIVED - 30 * times.SECOND
    assert accepted({**event(), "recordedtime": "2026-03-01T12:04:00Z"}).received == RECEIVED + 4 * times.MINUTE
    assert accepted({**event(), "recordedtime": "2026-03-01T12:06:00Z"}).received == RECEIVED
    assert accepted(event(), ce_recordedtime="2026-03-01T11:00:00Z").received == RECEIVED - times.HOUR
    assert refused(event(), ce_recordedtime="soon").code == "bad_field"


def test_a_line_of_a_file_was_received_at_its_own_word() -> None:
    assert accepted({**event(), "recordedtime": "2026-03-01T12:30:00Z"}, None).received == RECEIVED + 30 * times.MINUTE
    assert accepted(event(), None).received == times.parse("2026-03-01T11:59:00Z")
    assert refused({**event(), "time": None}, None).code == "bad_envelope"
    (tp,) = READER.read(json.dumps({**event(), "time": None}).encode(), None, fallback=RECEIVED)
    assert isinstance(tp, Touchpoint) and tp.time == tp.received == RECEIVED


def test_microseconds_are_exact() -> None:
    tp = accepted({**event(), "time": "2026-03-01T11:59:00.123457Z"})
    assert tp.time % times.SECOND == 123457


def test_times_that_nothing_can_be_counted_from_are_refused() -> None:
    for time in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1969-12-31T23:59:59Z"):
        assert refused({**event(), "recordedtime": time}, None).code == "bad_field"


# Data


@pytest.mark.parametrize("type", sorted(KNOWN - PRIVACY))
def test_every_known_type_has_a_shortest_event(type: str) -> None:
    data = {
        "items": [{"sku": "S-1", "price": "1", "stock": 0}],
        "order": {"id": "o-1"},
        "list": {"id": "l-1"},
        "consent": {"state": "granted"},
        "identifiers": [{"type": "cookie", "value": "c-1"}, {"type": "cookie", "value": "c-2"}],
    }
    assert accepted(event(type, **data)).type == type


@pytest.mark.parametrize(
    ("type", "data", "field"),
    [
        ("cart.item_added", {}, "items"),
        ("cart.item_added", {"items": [{"price": "1"}]}, "items[0].sku"),
        ("cart.item_added", {"items": [{"sku": "S", "quantity": 0}]}, "items[0].quantity"),
        ("cart.item_added", {"items": [{"sku": "S", "quantity": -1}]}, "items[0].quantity"),
        ("cart.item_added", {"items": [{"sku": "S"}, {"sku": "T", "price": "-1"}]}, "items[1].price"),
        ("cart.item_added", {"items": [{"sku": "S", "price": "NaN"}]}, "items[0].price"),
        ("cart.item_added", {"items": [{"sku": "S", "price": "sNaN"}]}, "items[0].price"),
        ("cart.item_added", {"items": [{"sku": "S", "price": "Infinity"}]}, "items[0].price"),
        ("cart.item_added", {"items": [{"sku": "S", "price": "1e17"}]}, "items[0].price"),
        ("cart.item_added", {"items": [{"sku": "S", "price": "1e-99999"}]}, "items[0].price"),
        ("cart.item_added", {"items": [{"sku": "S", "price": "1e99999999999999999999"}]}, ""),
        ("cart.item_added", {"items": [{"sku": "S", "price": "0." + "1" * 60}]}, "items[0].price"),
        ("cart.item_added", {"items": [{"sku": "S", "price": "89,90"}]}, "items[0].price"),
        ("cart.item_added", {"items": [{"sku": "S", "currency": "euro"}]}, "items[0].currency"),
        ("cart.item_added", {"items": [{"sku": "S" * 513}]}, "items[0].sku"),
        ("cart.item_added", {"items": [{"sku": True}]}, "items[0].sku"),
        ("cart.item_added", {"items": {"sku": "S"}}, "items"),
        ("cart.snapshot", {"items": [None]}, "items[0]"),
        ("cart.snapshot", {"cart": {"id": "c" * 513}}, "cart.id"),
        ("cart.snapshot", {"cart": {"value": -1}}, "cart.value"),
        ("page.viewed", {"session": "s" * 513}, "session"),
        ("order.placed", {}, "order"),
        ("order.placed", {"order": {"total": "5"}}, "order"),
        ("order.placed", {"order": {"id": ""}}, "order"),
        ("order.returned", {"order": {"id": "o", "amount": "-5"}}, "order.amount"),
        ("wishlist.item_added", {}, "items"),
        ("stock.subscribed", {"items": [{}]}, "items[0].sku"),
        ("price.changed", {"items": [{"sku": "S"}]}, "items[0].price"),
        ("stock.changed", {"items": [{"sku": "S", "price": "1"}]}, "items[0].stock"),
        ("stock.changed", {"items": [{"sku": "S", "stock": -1}]}, "items[0].stock"),
        ("stock.changed", {"items": [{"sku": "S", "stock": "many"}]}, "items[0].stock"),
        ("product.viewed", {"items": [{"sku": "S", "stock": "-1"}]}, "items[0].stock"),
        ("list.shared", {}, "list"),
        ("consent.changed", {}, "consent"),
        ("consent.changed", {"consent": {"channel": "email"}}, "consent.state"),
        ("consent.changed", {"consent": {"state": "maybe"}}, "consent.state"),
        ("consent.changed", {"consent": {"state": "granted", "effective": "today"}}, "consent.effective"),
        ("consent.changed", {"consent": {"state": "granted", "channel": ""}}, "consent.channel"),
        ("profile.updated", {"traits": []}, "traits"),
        ("profile.updated", {"traits": {"": 1}}, "traits"),
        ("profile.updated", {"traits": {"n": 2**64}}, "traits"),
        ("page.viewed", {"identifiers": [{"value": "x"}]}, "identifiers[0]"),
        ("page.viewed", {"identifiers": [{"type": "a b", "value": "x"}]}, "identifiers[0]"),
        ("page.viewed", {"identifiers": [{"type": "cookie", "value": "x" * 513}]}, "identifiers[0]"),
        ("page.viewed", {"identifiers": [{"type": "cookie", "value": {}}]}, "identifiers[0].value"),
    ],
)
def test_one_malformed_member_refuses_the_whole(type: str, data: dict[str, Any], field: str) -> None:
    result = refused(event(type, **data))
    assert result.code == "bad_field", result
    assert field in result.message
    assert result.stage == "VALIDATE"


def test_numbers_of_json_are_money_read_exactly() -> None:
    raw = json.dumps(event("cart.item_added", items=[{"sku": "S", "price": 7}])).replace(
        '"price": 7', '"price": 0.1000000000000000055'
    )
    assert accepted(raw.encode()).data.items[0].price == Decimal("0.1000000000000000055")
    slow = raw.replace('"sku": "S"', '"sku": 5')
    assert accepted(slow.encode()).data.items[0].price == Decimal("0.1000000000000000055")


def test_an_item_without_sku_goes_by_its_product_id() -> None:
    tp = accepted(event("cart.item_added", items=[{"sku": "", "product_id": "P-1"}, {"product_id": 7}]))
    assert [item.sku for item in tp.data.items] == ["P-1", "7"]


def test_no_pieces_are_no_line_of_a_cart() -> None:
    tp = accepted(event("cart.snapshot", items=[{"sku": "S", "quantity": 0}, {"sku": "T", "quantity": "2"}]))
    assert [item.sku for item in tp.data.items] == ["T"]


def test_empty_keys_are_no_keys() -> None:
    tp = accepted(event("cart.snapshot", session="", cart={"id": "", "checkout_id": ""}, items=[]))
    assert tp.data.session is None and tp.data.cart is not None
    assert (tp.data.cart.id, tp.data.cart.checkout_id) == (None, None)


def test_currencies_are_capital_letters() -> None:
    data = {"items": [{"sku": "S", "currency": "eur"}], "order": {"id": "o", "currency": " try "}}
    tp = accepted(event("order.placed", **data))
    assert tp.data.items[0].currency == "EUR"
    assert tp.data.order is not None and tp.data.order.currency == "TRY"


def test_a_consent_takes_effect_when_it_says_but_not_in_the_future() -> None:
    consent = {"channel": " Email ", "state": "denied", "effective": "2019-01-01T00:00:00Z"}
    tp = accepted(event("consent.changed", consent=consent))
    assert tp.effective == times.parse("2019-01-01T00:00:00Z")
    assert tp.data.consent is not None and (tp.data.consent.channel, tp.data.consent.purpose) == ("email", "marketing")
    ahead = accepted(event("consent.changed", consent={"state": "granted", "effective": "2099-01-01T00:00:00Z"}))
    assert ahead.effective == RECEIVED + 5 * times.MINUTE
    assert accepted(event("consent.changed", consent={"state": "granted"})).effective is None


# Identifiers


def test_a_checkout_id_is_an_identifier() -> None:
    assert accepted(event("checkout.started", cart={"checkout_id": "k-1"})).ids == ("cookie:c-1", "checkout:k-1")


def test_ids_are_distinct_and_sorted_by_rank_then_text() -> None:
    given = [("cookie", "z"), ("badge", "1"), ("cookie", "a"), ("loyalty", "L"), ("cookie", "z")]
    tp = accepted(event(identifiers=[{"type": type, "value": value} for type, value in given]))
    assert tp.ids == ("loyalty:L", "cookie:a", "cookie:z", "badge:1")


def test_explicit_nulls_are_no_identifiers() -> None:
    tp = accepted(event(identifiers=[{"type": "customer", "value": None}, {"type": "cookie", "value": "c-1"}]))
    assert tp.ids == ("cookie:c-1",)
    assert tp.blocked == 0


def test_unverified_identifiers_are_hints_and_never_identifiers() -> None:
    given = [{"type": "cookie", "value": "c-1"}, {"type": "email", "value": "Jane@Example.com", "verified": False}]
    tp = accepted(event(identifiers=given))
    assert tp.ids == ("cookie:c-1",)
    assert tp.hints == (("email", "jane@example.com"),)
    assert refused(event(identifiers=given[1:])).code == "no_identifier"


def test_an_address_that_is_none_is_a_hint() -> None:
    given = [{"type": "cookie", "value": "c-1"}, {"type": "email", "value": "jane(at)example"}]
    assert accepted(event(identifiers=given)).hints == (("email", "jane(at)example"),)


def test_two_values_of_a_unique_type_are_refused_after_blocked_ones_are_gone() -> None:
    two = [{"type": "customer", "value": "1"}, {"type": "customer", "value": "2"}]
    assert refused(event(identifiers=two)).code == "two_values_of_unique"
    one = [
        {"type": "customer", "value": "1"},
        {"type": "customer", "value": "guest"},
        {"type": "customer", "value": "1"},
    ]
    tp = accepted(event(identifiers=one))
    assert (tp.ids, tp.blocked) == (("customer:1",), 1)


def test_a_veto_names_exactly_two_identifiers_even_of_a_unique_type() -> None:
    two = [{"type": "customer", "value": "1"}, {"type": "customer", "value": "2"}]
    assert accepted(event("identity.unlinked", identifiers=two)).ids == ("customer:1", "customer:2")
    for given in (two[:1], [*two, {"type": "cookie", "value": "c"}]):
        assert refused(event("identity.unlinked", identifiers=given)).code == "bad_field"


def test_too_many_identifiers_are_refused() -> None:
    given = [{"type": "cookie", "value": f"c-{number}"} for number in range(33)]
    assert refused(event(identifiers=given)).code == "too_many_identifiers"
    assert len(accepted(event(identifiers=given[:32])).ids) == 32


def test_catalogue_facts_need_nobody() -> None:
    tp = accepted(event("price.changed", identifiers=[], items=[{"sku": "S", "price": "9.90"}]))
    assert tp.ids == ()
    assert refused(event("page.viewed", identifiers=[])).code == "no_identifier"


def test_a_policy_may_take_values_as_they_are() -> None:
    plain = reader("[identity]\nnormalise = false\nblocked_defaults = false")
    given = [{"type": "email", "value": "Jane@X"}, {"type": "cookie", "value": "null"}]
    assert accepted(event(identifiers=given), reader=plain).ids == ("email:Jane@X", "cookie:null")


def test_text_cut_in_the_middle_of_a_pair_does_not_cost_the_event() -> None:
    raw = json.dumps(event("cart.item_added", items=[{"sku": "S", "name": "shoe \ud83d"}])).encode()
    assert accepted(raw).data.items[0].name == "shoe \ufffd"


def test_the_same_record_is_read_the_same_twice() -> None:
    assert read(EXAMPLE) == read(EXAMPLE)
