"""What a touchpoint causes carries its trace, at whatever shard, and is otherwise the same."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.effects import Output
from pipeline.core.events import ACCESS, ERASURE
from pipeline.core.facts.traces import TRACES_KEPT, newest_trace, note_trace
from pipeline.core.fragment import Fragment
from pipeline.core.identifiers import Registry
from pipeline.core.policy import load
from pipeline.core.replay import replay
from pipeline.core.times import HOUR, MINUTE
from pipeline.core.touchpoint import Id, Touchpoint
from tests.core.touchpoints import COOKIE, CUSTOMER, LOYALTY, NOON, added, touchpoint
from tests.histories import START
from tests.strategies import History, histories

POLICY = "[triggers]\nrequire_consent = false\n[publish]\nmin_interval = '0s'\n"


def traced(number: int) -> str:
    return f"00-{number:032x}-{number:016x}-01"


def published(history: Iterable[Touchpoint], shards: int = 1, until: float | None = None) -> list[Output]:
    end = 0 if until is None else NOON + round(until * MINUTE)
    return list(replay(list(history), Registry(load(POLICY), shards=shards), end))


def said(outputs: Iterable[Output], topic: str) -> list[str | None]:
    return [output.trace for output in outputs if output.topic == topic]


def test_what_a_touchpoint_causes_at_once_carries_its_trace_and_what_follows_does_not() -> None:
    for shards in (1, 8):
        outputs = published(
            [touchpoint("a", 0, ids=(CUSTOMER, COOKIE), trace=traced(1)), touchpoint("b", 5, ids=(CUSTOMER,))], shards
        )
        assert said(outputs, "identities") == [traced(1)] * 2
        assert said(outputs, "profiles") == said(outputs, "profile-changes") == [traced(1), None]


def test_a_merge_carries_the_trace_of_what_joined_the_two() -> None:
    history = [
        touchpoint("a", 0, ids=(LOYALTY,), trace=traced(1)),
        touchpoint("b", 1, ids=(CUSTOMER,), trace=traced(2)),
        touchpoint("c", 2, ids=(LOYALTY, CUSTOMER), trace=traced(3)),
    ]
    for shards in (1, 8):
        outputs = published(history, shards)
        merged = [output for output in outputs if b'"merged"' in (output.value or b"")]
        assert {output.topic for output in merged} == {"profiles", "profile-changes"}
        assert {output.trace for output in merged} == {traced(3)}


def test_a_trigger_carries_the_trace_of_the_newest_touchpoint_since_the_cart_changed() -> None:
    history = [
        touchpoint("old", 0, ids=(COOKIE,), trace=traced(9)),
        added("a", 60, "SKU", "cart-1", trace=traced(1)),
        touchpoint("b", 61, ids=(COOKIE,)),
        touchpoint("later", 600, ids=(COOKIE,), trace=traced(2)),
    ]
    for shards in (1, 8):
        [fired] = [one for one in published(history, shards, 700) if one.topic == "triggers"]
        assert fired.trace == traced(1)
    untraced = [history[0], msgspec.structs.replace(history[1], trace=None), history[2]]
    [fired] = [one for one in published(untraced, 1, 700) if one.topic == "triggers"]
    assert fired.trace is None and json.loads(fired.value or b"")["cart"]["cart_id"] == "cart-1"


def test_what_a_privacy_request_withdraws_and_answers_carries_its_trace() -> None:
    history = [
        touchpoint("a", 0, ids=(CUSTOMER, COOKIE)),
        touchpoint("ask", 5, ACCESS, ids=(COOKIE,), trace=traced(1)),
        touchpoint("go", 10, ERASURE, ids=(COOKIE,), trace=traced(2)),
        touchpoint("other", 15, ids=(LOYALTY,)),
    ]
    for shards in (1, 8):
        outputs = published(history, shards)
        assert said(outputs, "access-reports") == [traced(1)]
        withdrawn = [output for output in outputs if output.value is None or b'"erased"' in output.value]
        assert {output.topic for output in withdrawn} == {"identities", "profiles", "profile-changes"}
        assert {output.trace for output in withdrawn} == {traced(2)}
        assert said(outputs, "profiles")[-1] is None


@given(histories(), st.integers(1, 3), st.integers(1, 8))
def test_traces_change_no_value_and_none_comes_from_nowhere(history: History, every: int, shards: int) -> None:
    with_traces = [
        msgspec.structs.replace(tp, trace=traced(number + 1) if number % every == 0 else None)
        for number, tp in enumerate(history)
    ]
    plain = list(replay(history, Registry(load(POLICY), shards=shards), START + 48 * HOUR))
    outputs = list(replay(with_traces, Registry(load(POLICY), shards=shards), START + 48 * HOUR))
    assert [output._replace(trace=None) for output in outputs] == plain
    assert {output.trace for output in outputs} <= {tp.trace for tp in with_traces} | {None}


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 9)), max_size=12))
def test_the_newest_traces_are_kept_in_any_order(pairs: list[tuple[int, int]]) -> None:
    def noted(order: Iterable[tuple[int, int]]) -> Fragment:
        fragment = Fragment(Id("cookie:c"))
        for received, number in order:
            note_trace(fragment, received, traced(number))
        return fragment

    once = noted(pairs)
    assert noted(random.Random(1).sample(pairs, len(pairs))) == noted([*pairs, *pairs]) == once
    assert len(once.traces) == min(TRACES_KEPT, len(set(pairs)))
    if pairs:
        assert newest_trace([once]) == traced(max(pairs)[1])
