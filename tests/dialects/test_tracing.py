"""The distributed trace of a touchpoint: found wherever producers put it, and never a reason to refuse one."""

from __future__ import annotations

import pytest

from pipeline.core.touchpoint import Touchpoint
from pipeline.dialects.tracing import trace
from tests.dialects.reading import accepted, event, read_all

ONE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
OTHER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
STATE = "rojo=00f067aa0ba902b7,tenant@vendor=a b"
SEGMENT = {"type": "track", "event": "Product Viewed", "messageId": "m-1", "anonymousId": "a-1", "channel": "web"}


@pytest.mark.parametrize(
    ("parent", "state", "found"),
    [
        (ONE, None, ONE),
        (f" {ONE} ", "", ONE),
        (ONE, STATE, f"{ONE} {STATE}"),
        (ONE, " rojo=1 ,, congo=2 ", f"{ONE} rojo=1,congo=2"),
        (ONE, "no member", ONE),
        (ONE, "a=" + "x" * 600, ONE),
        (ONE, ",".join(f"k{number}=1" for number in range(33)), ONE),
        (ONE, "a=1,b=\u00e9", ONE),
        (ONE.replace("00-", "cc-", 1) + "-more", None, ONE),
        (ONE + "-more", None, None),
        (ONE.replace("00-", "ff-", 1), None, None),
        (ONE.upper(), None, None),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", None, None),
        (f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01", None, None),
        (ONE[:-1], None, None),
        (ONE + "\n", None, ONE),
        ("", STATE, None),
        (None, STATE, None),
    ],
)
def test_only_what_is_well_formed_is_a_trace(parent: str | None, state: str | None, found: str | None) -> None:
    assert trace(parent, state) == found


def test_an_event_says_its_trace_in_either_mode_and_any_dialect_by_the_header() -> None:
    attributes = {f"ce_{name}": value for name, value in event().items() if name != "data"}
    assert accepted({**event(), "traceparent": ONE, "tracestate": STATE}).trace == f"{ONE} {STATE}"
    assert accepted(event()["data"], **attributes, ce_traceparent=ONE, ce_tracestate=STATE).trace == f"{ONE} {STATE}"
    assert accepted(event(), traceparent=ONE, tracestate=STATE).trace == f"{ONE} {STATE}"
    assert accepted(SEGMENT, Traceparent=ONE).trace == ONE
    assert accepted({"method": "POST", "path": "/v1/t", "headers": {"TraceParent": ONE}, "body": SEGMENT}).trace == ONE
    assert accepted(event()).trace is None


def test_the_trace_under_which_an_event_began_comes_before_that_of_its_way() -> None:
    assert accepted({**event(), "traceparent": ONE}, traceparent=OTHER).trace == ONE
    batch = read_all([{**event(), "traceparent": ONE}, event()], traceparent=OTHER)
    assert [result.trace for result in batch if isinstance(result, Touchpoint)] == [ONE, OTHER]
    assert accepted({**event(), "traceparent": "garbage"}, traceparent=OTHER).trace == OTHER


@pytest.mark.parametrize("wrong", ["garbage", "", 7, None, ["x"], "\u0000", "9" * 5_000])
def test_what_is_no_trace_costs_no_touchpoint(wrong: object) -> None:
    assert accepted({**event(), "traceparent": wrong, "tracestate": wrong}) == accepted(event())
    assert accepted(event(), traceparent=str(wrong)) == accepted(event())
