"""The Reader raises for no bytes at all, and what it accepts can be written and read again."""

from __future__ import annotations

import copy
import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.core.touchpoint import Rejected, Touchpoint
from pipeline.dialects.payload import DEPTH_MAX
from tests.dialects.reading import PAYLOADS, READER, RECEIVED, event, read_all, refused

CODES = {
    "not_json",
    "too_large",
    "too_deep",
    "bad_envelope",
    "bad_field",
    "no_identifier",
    "too_many_identifiers",
    "two_values_of_unique",
}


def check(results: list[Touchpoint | Rejected]) -> None:
    assert results
    for result in results:
        if isinstance(result, Rejected):
            assert result.code in CODES and result.message
        else:
            packed = msgspec.msgpack.encode(result)
            assert msgspec.msgpack.decode(packed, type=Touchpoint) == result
            assert msgspec.json.encode(result)
            assert result.ids or result.type in ("price.changed", "stock.changed")


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (None, "not_json"),
        (b"", "not_json"),
        (b"  ", "not_json"),
        (b"\xef\xbb\xbf", "not_json"),
        (b"\x00\x00\x00\x00\x01", "not_json"),
        (b"\xff\xfe{\x00}\x00", "not_json"),
        (b"hello", "not_json"),
        (b'{"a":NaN}', "not_json"),
        (b'{"a":"\\ud800', "not_json"),
        (b"null", "bad_envelope"),
        (b"5", "bad_envelope"),
        (b"[]", "bad_envelope"),
        (b"{}", "bad_envelope"),
        (b'{"batch":[]}', "bad_envelope"),
        (b'{"type":"track","messageId":"1"}', "bad_envelope"),
        (b'{"method":"GET","path":"//[","body":""}', "bad_envelope"),
        (b'{"specversion":"1.0"}', "bad_envelope"),
        (b'{"a":' + b"9" * 5000 + b"}", "bad_field"),
        (b'{"a":1e99999999999999999999}', "bad_field"),
        (b"[" * 65 + b"]" * 65, "too_deep"),
        (b"[" * 100_000, "too_deep"),
        (b'{"a":' * 50_000, "too_deep"),
        (b'{"a":"' + b"x" * 262_144 + b'"}', "too_large"),
    ],
)
def test_bytes_that_are_no_touchpoint_have_a_reason(raw: bytes | None, code: str) -> None:
    assert refused(raw).code == code


def nested(depth: int) -> bytes:
    """An event whose traits make it nest that deep."""
    value: Any = 1
    for _ in range(depth - 3):
        value = [value]
    return json.dumps(event("profile.updated", traits={"deep": value}, properties={"pad": "x" * 1024})).encode()


def test_depth_is_bounded_exactly() -> None:
    assert isinstance(READER.read(nested(DEPTH_MAX), RECEIVED)[0], Touchpoint)
    assert refused(nested(DEPTH_MAX + 1)).code == "too_deep"


def test_brackets_in_text_do_not_count_as_depth() -> None:
    raw = json.dumps(event(properties={"pad": '[{"' * 1000})).encode()
    assert isinstance(READER.read(raw, RECEIVED)[0], Touchpoint)


@settings(max_examples=300)
@given(st.binary(max_size=200), st.none() | st.integers(-1, 2**62))
def test_no_bytes_make_it_raise(raw: bytes, timestamp: int | None) -> None:
    check(READER.read(raw, timestamp))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(
        ["NaN", "sNaN", "1e9999", "-1", "2026-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "a@b.co", "\ud800"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
SEEDS: list[Any] = [
    *PAYLOADS,
    event(
        "order.placed",
        cart={"id": "c", "checkout_id": "k", "value": 1},
        order={"id": "o", "total": "5", "discount": "-1", "currency": "EUR"},
        items=[{"sku": "S", "price": "1", "quantity": 1, "stock": 3, "currency": "EUR"}],
        consent={"state": "granted", "effective": "2026-01-01T00:00:00Z"},
        traits={"n": 1.5, "l": [1]},
        store={"id": "S-1"},
        list={"id": "l"},
        device={"type": "ios"},
        message={"trigger_id": "t"},
    ),
    {
        "client_id": "1.2",
        "timestamp_micros": "1795330064405000",
        "user_properties": {"loyalty_id": {"value": "L-1"}},
        "user_data": {"sha256_email_address": ["a" * 64]},
        "events": [{"name": "purchase", "params": {"transaction_id": "t", "value": 5, "items": [{"item_id": "S"}]}}],
    },
    {
        "id": 1,
        "token": "t",
        "cart_token": "ct",
        "order_number": 5,
        "total_price": "20.00",
        "customer": {"id": 9, "email": "a@b.co"},
        "line_items": [{"sku": "", "variant_id": 5, "quantity": 2, "price": "10.00"}],
    },
    {
        "order_id": 1,
        "refund_line_items": [{"quantity": 1, "line_item": {"sku": "S", "price": "9"}}],
        "transactions": [{"kind": "refund", "amount": "9.00"}],
        "email": "a@b.co",
    },
]


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """A request as sent, with one to three members replaced or taken out."""
    body = copy.deepcopy(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 3))):
        _mutate(body, draw)
    return body


def _mutate(body: Any, draw: st.DrawFn) -> None:
    while True:
        keys = list(body) if isinstance(body, dict) else list(range(len(body)))
        if not keys:
            return
        key = draw(st.sampled_from(keys))
        inner = body[key]
        if isinstance(inner, (dict, list)) and inner and draw(st.integers(0, 4)):
            body = inner
            continue
        if isinstance(body, dict) and draw(st.booleans()):
            del body[key]
        else:
            body[key] = draw(JSON)
        return


@settings(max_examples=400)
@given(mutated(), st.sampled_from([None, RECEIVED, 0]), st.sampled_from([{}, {"X-Shopify-Topic": "orders/create"}]))
@example({"specversion": "1.0", "batch": [None]}, None, {})
def test_no_request_makes_it_raise(body: Any, timestamp: int | None, headers: dict[str, str]) -> None:
    check(read_all(body, timestamp, **headers))


@settings(max_examples=200)
@given(st.sampled_from(SEEDS), st.data())
def test_no_damaged_request_makes_it_raise(body: Any, data: st.DataObject) -> None:
    raw = bytearray(json.dumps(body).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    check(READER.read(bytes(raw), RECEIVED))


@given(st.lists(st.tuples(st.text(max_size=12), st.binary(max_size=12)), max_size=4))
def test_no_headers_make_it_raise(headers: list[tuple[str, bytes]]) -> None:
    check(READER.read(b"{}", RECEIVED, headers))
