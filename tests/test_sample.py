"""The sample shop: what it promises to hold, and that it is the same every time."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from pipeline.core import times
from pipeline.core.identifiers import Registry
from pipeline.core.policy import Policy
from pipeline.core.touchpoint import Rejected, Touchpoint
from pipeline.dialects import Reader
from pipeline.sample import SHOWCASE, WINDOW_END, WINDOW_START, SampleRecord, generate

CHANNELS = {"web", "app", "store", "kiosk", "call", "email", "voice", "social", "server"}


@pytest.fixture(scope="module")
def shop() -> list[SampleRecord]:
    return list(generate())


@pytest.fixture(scope="module")
def read(shop: list[SampleRecord]) -> list[Touchpoint | Rejected]:
    reader = Reader(Registry(Policy()))
    return [what for record in shop for what in reader.read(record.value, record.received, record.headers)]


@pytest.fixture(scope="module")
def touchpoints(read: list[Touchpoint | Rejected]) -> list[Touchpoint]:
    return [what for what in read if isinstance(what, Touchpoint)]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    small = {"shoppers": 30, "touchpoints": 300}
    assert list(generate(7, **small)) == list(generate(7, **small))
    assert list(generate(7, **small)) != list(generate(8, **small))


def test_records_are_sorted_by_received_time_inside_three_days(shop: list[SampleRecord]) -> None:
    assert all(earlier.received <= later.received for earlier, later in pairwise(shop))
    assert shop[0].received >= WINDOW_START
    assert shop[-1].received <= WINDOW_END
    assert all(record.received % times.MILLISECOND == 0 for record in shop)


def test_every_record_is_one_line_of_a_file(shop: list[SampleRecord]) -> None:
    assert not any(b"\n" in record.value or b"\r" in record.value or not record.value for record in shop)


def test_the_shop_has_the_size_that_was_asked_for(touchpoints: list[Touchpoint]) -> None:
    assert 19_000 < len(touchpoints) < 22_000
    small = list(generate(1, shoppers=100, touchpoints=3_000, cloudevents_only=True))
    assert 2_800 < len(small) < 3_400


def test_every_channel_and_dialect_is_there_and_most_are_cloudevents(touchpoints: list[Touchpoint]) -> None:
    assert {touchpoint.channel for touchpoint in touchpoints} == CHANNELS
    dialects = Counter(touchpoint.dialect for touchpoint in touchpoints)
    assert set(dialects) == {"cloudevents", "segment", "posthog", "snowplow"}
    assert dialects["cloudevents"] > 0.8 * dialects.total()


def test_garbage_is_refused_for_many_reasons_and_nothing_else_is(shop: list[SampleRecord]) -> None:
    reader = Reader(Registry(Policy()))
    reasons: Counter[str] = Counter()
    for record in shop:
        found = reader.read(record.value, record.received, record.headers)
        rejected = [what.code for what in found if isinstance(what, Rejected)]
        assert not rejected or not _is_told(record), (rejected, record.value)
        reasons.update(rejected)
    assert set(reasons) >= {"not_json", "bad_envelope", "bad_field", "no_identifier", "two_values_of_unique"}


def _is_told(record: SampleRecord) -> bool:
    """Whether a shopper did it; garbage has no key."""
    return record.key is not None


def test_a_shop_of_cloudevents_only_is_never_refused() -> None:
    reader = Reader(Registry(Policy()))
    for record in generate(3, shoppers=200, touchpoints=2_000, cloudevents_only=True):
        (found,) = reader.read(record.value, record.received, record.headers)
        assert isinstance(found, Touchpoint)
        assert found.dialect == "cloudevents"


def test_a_file_tells_the_same_received_times_as_kafka_does(shop: list[SampleRecord]) -> None:
    reader = Reader(Registry(Policy()))
    clock = shop[0].received
    for record in shop:
        clock = max(clock, record.received)
        live = reader.read(record.value, record.received, record.headers)
        assert reader.read(record.value, None, fallback=clock) == live
        assert reader.read(record.value, WINDOW_END + times.DAY, record.headers) == live


def test_the_stories_leave_their_marks(touchpoints: list[Touchpoint]) -> None:
    types = Counter(touchpoint.type for touchpoint in touchpoints)
    for type in (
        "identity.unlinked", "order.returned", "order.cancelled", "order.picked_up", "consent.changed",
        "message.clicked", "message.unsubscribed", "cart.item_removed", "store.item_scanned", "profile.updated",
        "wishlist.item_added", "list.shared", "store.basket_saved", "size.recorded",
    ):  # fmt: skip
        assert types[type], type
    assert any(touchpoint.blocked for touchpoint in touchpoints)
    assert any(touchpoint.hints for touchpoint in touchpoints)


def test_some_touchpoints_arrive_twice_and_some_hours_late(touchpoints: list[Touchpoint]) -> None:
    events = Counter((touchpoint.source, touchpoint.id) for touchpoint in touchpoints)
    assert max(events.values()) == 2
    assert sum(touchpoint.received - touchpoint.time > times.HOUR for touchpoint in touchpoints) > 50
    assert any(later.time < earlier.time for earlier, later in pairwise(touchpoints))


def test_a_miswired_till_is_seen_with_many_loyalty_members(touchpoints: list[Touchpoint]) -> None:
    anchors: dict[str, set[str]] = {}
    for touchpoint in touchpoints:
        for id in touchpoint.ids[1:]:
            anchors.setdefault(id, set()).add(touchpoint.ids[0])
    tills = [len(seen) for id, seen in anchors.items() if id.startswith("device:till-")]
    assert max(tills) > Policy().identity.degree_of("device")


def test_the_showcase_shopper_grows_from_a_cookie_to_a_loyalty_member(shop: list[SampleRecord]) -> None:
    steps: list[str] = []
    for record in shop:
        if b"defne" in record.value or b"DEFNE" in record.value:
            known: list[dict[str, Any]] = msgspec.json.decode(record.value)["data"]["identifiers"]
            steps += [one["type"] for one in known if one["type"] not in steps]
    assert steps == ["cookie", "email", "customer", "device", "loyalty"]
    assert {SHOWCASE.cookie, SHOWCASE.loyalty} == {"ck-defne", "L-DEFNE"}
