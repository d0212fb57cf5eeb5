"""`watch` shows committed records as readable lines or JSON, whatever is in them, and leaves no trace."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from functools import partial
from itertools import islice

import pytest
from confluent_kafka import Producer
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from pipeline.kafka.connect import BrokerAbsent
from pipeline.kafka.embedded import EmbeddedBroker
from pipeline.kafka.follow import Record, follow
from pipeline.kafka.topics import TopicsWrong, apply
from pipeline.kafka.watch import TOPICS, line, watch
from pipeline.settings import Settings
from tests.kafka.conftest import SHARDS

PROFILE = {
    "profile_id": "p-1",
    "revision": 3,
    "status": "active",
    "identity": {"kind": "known", "size": 2, "conflicts": 0, "oversize": False},
    "identifiers": [{"type": "email", "value": "jane@example.com"}, {"type": "cookie", "value": "c-1"}],
    "commerce": {"currency": "EUR", "ltv": "89.90", "order_count": 1},
    "carts": {"open": [{"cart_id": "k", "value": "10.00", "currency": "EUR", "idle": True}]},
    "lineage": {"touchpoints": 7},
}
REDIRECT = {"profile_id": "p-2", "revision": 4, "status": "merged", "merged_into": "p-1"}
PRODUCT = {
    "sku": "SKU-1",
    "bought_together": [{"sku": "SKU-9", "orders": 2, "lift": 1.5}],
    "viewed_then_bought": [],
    "wished_90d": 4,
    "by_store": {},
    "price": "89.90",
    "stock": {"": 12, "S-12": 3},
}
IDENTITY = {"type": "cookie", "value": "c-1", "profile_id": "p-1", "since": "2026-03-01T10:31:07Z", "shared": True}
CHANGE = {
    "profile_id": "p-1",
    "revision": 4,
    "kind": "merged",
    "changed": ["identifiers", "commerce"],
    "cause": "evt-1",
    "merged_from": ["p-2"],
}
TRIGGER = {
    "trigger_id": "t-1",
    "episode_id": "e-1",
    "family": "cart",
    "step": 1,
    "status": "retracted",
    "reason": "late_purchase",
    "profile_id": "p-1",
    "deadline_at": "2026-03-01T11:31:07Z",
    "channels": [{"channel": "email"}],
    "cart": {"cart_id": "cart-1", "value": "89.90", "currency": "EUR"},
}
SUPPRESSED = TRIGGER | {
    "family": "browse",
    "status": "suppressed",
    "reason": "not_addressable",
    "reasons": ["not_addressable", "cap_24h"],
    "channels": [],
    "cart": {"cart_id": None, "value": "10.00", "currency": "EUR", "lines": [{"sku": "SKU-1"}, {"sku": "SKU-2"}]},
}
ERRORS = {
    "topic": "selvedge.touchpoints",
    "partition": "3",
    "offset": "17",
    "exception.class.name": "not_json",
    "exception.message": "is not JSON",
}


def record(value: object, **more: object) -> Record:
    encoded = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
    return Record(**{"key": "k-1", "value": encoded, "headers": {}, "partition": 0, "offset": 0} | more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("topic", "value", "shown"),
    [
        (
            "profiles",
            PROFILE,
            "profile k-1 r3 known email:jane@example.com cookie:c-1 orders 1, ltv 89.90 EUR cart 10.00 EUR idle "
            "touchpoints 7",
        ),
        ("profiles", REDIRECT, "profile k-1 r4 merged into p-1"),
        ("profiles", None, "erased k-1"),
        ("products", PRODUCT, "product SKU-1 89.90 stock 12 S-12:3 wished 4 with SKU-9 (2)"),
        ("products", None, "forgotten k-1"),
        ("identities", IDENTITY, "identity cookie:c-1 is of p-1 shared"),
        ("profile-changes", CHANGE, "merged p-1 r4 from p-2 identifiers, commerce because of evt-1"),
        (
            "triggers",
            TRIGGER,
            "retracted cart/1 because bought before it fired (late_purchase) cart cart-1 89.90 EUR by email "
            "profile p-1 due 2026-03-01T11:31:07Z t-1",
        ),
        (
            "triggers",
            SUPPRESSED,
            "suppressed browse/1 because no address (not_addressable), something was said within a day (cap_24h) "
            "of SKU-1, SKU-2 10.00 EUR profile p-1 due 2026-03-01T11:31:07Z t-1",
        ),
        ("triggers", {"status": "new"}, '? k-1 {"status": "new"}'),
    ],
)
def test_a_record_is_one_readable_line(topic: str, value: object, shown: str) -> None:
    assert line(topic, record(value)).plain == shown


def test_a_dead_letter_shows_its_reason_its_place_and_its_beginning() -> None:
    headers = {f"__connect.errors.{name}": value for name, value in ERRORS.items()}
    letter = record(b"\x1b[31mgarbage\xff" + b"x" * 500, headers=headers)
    shown = line("dead-letters", letter).plain
    assert shown.startswith("not_json is not JSON selvedge.touchpoints:3:17 \N{REPLACEMENT CHARACTER}[31mgarbage")
    assert len(shown) < 300


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def mutilated(document: dict[str, object]) -> st.SearchStrategy[dict[str, object]]:
    """The document with some members replaced by anything."""
    return st.fixed_dictionaries({name: st.just(value) | JSON for name, value in document.items()})


@given(
    topic=st.sampled_from(TOPICS),
    value=st.none()
    | st.binary()
    | JSON.map(lambda value: json.dumps(value).encode())
    | st.one_of([mutilated(one) for one in (PROFILE, REDIRECT, IDENTITY, CHANGE, TRIGGER)]).map(
        lambda value: json.dumps(value).encode()
    ),
    key=st.text(),
    headers=st.dictionaries(st.sampled_from([f"__connect.errors.{name}" for name in ERRORS]), st.text()),
)
def test_anything_is_shown_in_one_line_without_control_characters(
    topic: str, value: bytes | None, key: str, headers: dict[str, str]
) -> None:
    shown = line(topic, Record(key, value, headers, 0, 0)).plain
    assert shown.isprintable() or not any(ord(character) < 32 or 0x7F <= ord(character) < 0xA0 for character in shown)
    shown.encode("utf-8")


def send(settings: Settings, topic: str, values: dict[str, object]) -> None:
    producer = Producer(settings.librdkafka())
    for key, value in values.items():
        producer.produce(settings.topic(topic), json.dumps(value).encode(), key)
    assert producer.flush(10) == 0


def quiet(line: str) -> None:
    """Nobody listens."""


def shown(settings: Settings, topic: str, **how: object) -> list[str]:
    output = io.StringIO()
    watch(settings, topic, quiet, console=Console(file=output, width=20), **how)  # type: ignore[arg-type]
    return output.getvalue().splitlines()


def test_from_the_beginning_all_records_are_shown_one_line_each(place: Settings) -> None:
    send(place, "identities", {f"cookie:c-{index}": IDENTITY for index in range(10)})
    lines = shown(place, "identities", from_beginning=True, limit=10)
    assert lines == ["identity cookie:c-1 is of p-1 shared"] * 10


def test_from_now_on_only_what_comes_is_shown(place: Settings) -> None:
    send(place, "profiles", {"old": PROFILE})

    def when_following(line: str) -> None:
        send(place, "profiles", {"new": PROFILE})

    records = follow(place, "profiles", when_following)
    assert next(records).key == "new"
    records.close()


def test_records_of_one_key_are_shown_as_json_for_programs(place: Settings) -> None:
    send(place, "triggers", {"e-1": TRIGGER, "e-2": TRIGGER | {"episode_id": "e-2"}})
    (text,) = shown(place, "triggers", from_beginning=True, as_json=True, key="e-2", limit=1)
    seen = json.loads(text)
    assert (seen["key"], seen["value"]["episode_id"], seen["headers"]) == ("e-2", "e-2", {})


def test_records_about_one_person_are_shown(place: Settings) -> None:
    send(place, "triggers", {"e-1": TRIGGER, "e-2": TRIGGER | {"profile_id": "p-2", "trigger_id": "t-2"}})
    (line,) = shown(place, "triggers", from_beginning=True, profile="p-2", limit=1)
    assert line.endswith("profile p-2 due 2026-03-01T11:31:07Z t-2")


def test_only_what_is_committed_is_shown(settings: Settings) -> None:
    apply(settings)
    producer = Producer({**settings.librdkafka(), "transactional.id": settings.prefix})
    producer.init_transactions(30)
    for value, end in (({"n": 1}, producer.abort_transaction), ({"n": 2}, producer.commit_transaction)):
        producer.begin_transaction()
        producer.produce(settings.topic("triggers"), json.dumps(value).encode(), "same")
        producer.flush(10)
        end(30)
    records = follow(settings, "triggers", quiet, from_beginning=True)
    assert [one.value for one in islice(records, 1)] == [b'{"n": 2}']
    records.close()


def test_a_missing_topic_is_named_with_the_command_that_makes_it(embedded: str) -> None:
    with pytest.raises(TopicsWrong, match=r"missing topics: other\.profiles; make them with: selvedge topics apply"):
        shown(Settings(brokers=embedded, prefix="other"), "profiles")


def test_no_broker_gives_one_line_a_retry_and_an_end() -> None:
    told: list[str] = []
    with pytest.raises(BrokerAbsent, match=r"no answer from 127\.0\.0\.1:1 in 3 s"):
        watch(Settings(brokers="127.0.0.1:1"), "profiles", told.append, patience_s=3)
    assert len(told) == 1


def test_a_broker_that_goes_away_is_told_and_waited_for_but_not_for_ever() -> None:
    told: list[str] = []
    with EmbeddedBroker(SHARDS) as bootstrap:
        settings = Settings(brokers=bootstrap, embedded=True)
        send(settings, "profiles", {"p-1": PROFILE})
        records = follow(settings, "profiles", told.append, from_beginning=True, patience_s=3)
        assert next(records).key == "p-1"
    with pytest.raises(BrokerAbsent, match="in 3 s"):
        next(records)
    assert told[0] == "following selvedge.profiles"
    assert [line.startswith(f"no answer from {bootstrap}: ") for line in told[1:]] == [True]


def test_an_interrupt_ends_the_command_cleanly_and_a_pipe_has_no_colours(embedded: str) -> None:
    send(Settings(brokers=embedded), "profiles", {"p-1": PROFILE})
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "watch", "profiles", "--from-beginning"],
        env=os.environ | {"SELVEDGE_BROKERS": embedded},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # who runs the tests may ignore interrupts
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert first.startswith("profile p-1 r3 known")
    assert "\x1b" not in first
    assert (process.returncode, errors) == (0, "following selvedge.profiles\n")
