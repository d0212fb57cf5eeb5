"""Deadlines that wait for facts to be read cost nothing while they wait. Minutes after the carts were filled; delay 60,
grace 2, max_hold 15."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest

from pipeline.core import judge
from pipeline.core.effects import Effects
from pipeline.core.group import Group
from pipeline.core.identifiers import Registry
from pipeline.core.policy import load
from pipeline.core.settle import LARGE
from pipeline.core.times import SECOND
from pipeline.core.touchpoint import Touchpoint
from tests.core.shopper import NO_CONSENT_NEEDED, Facts, at

CARTS = 20


class Judged(list[int]):
    """The clock of each judgement."""


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> Judged:
    counted, evaluate = Judged(), judge.evaluate

    def counting(person: Any, ledger: Any, now: int, *arguments: Any, **more: Any) -> Any:
        counted.append(now)
        return evaluate(person, ledger, now, *arguments, **more)

    monkeypatch.setattr(judge, "evaluate", counting)
    return counted


def a_group(shards: int = 1, rows: Iterable[tuple[bytes, bytes | None]] = ()) -> Group:
    made = Group(Registry(load(NO_CONSENT_NEEDED), shards=shards), "wall")
    for shard in range(shards):
        made.add(shard, [(key, row) for key, row in rows if row is not None])
    return made


def carts() -> list[Touchpoint]:
    """One every half minute, of a person each."""
    facts = Facts()
    return [facts.add(number / 2, f"email:{number}@example.com", cart=f"cart-{number}") for number in range(CARTS)]


def filled(group: Group, touchpoints: Iterable[Touchpoint]) -> dict[bytes, bytes | None]:
    """The rows once all has been published that is not a trigger."""
    rows: dict[bytes, bytes | None] = {}
    for tp in touchpoints:
        group.touch(0, tp)
        rows |= group.drain(tp.received, tp.received).rows.get(0, {})
    return rows | group.drain(at(55), at(55)).rows.get(0, {})


def told(effects: Effects) -> int:
    return sum(output.topic == "triggers" for output in effects.outputs)


def test_a_deadline_that_is_held_is_judged_when_it_comes_and_when_it_was_read(judged: Judged) -> None:
    group = a_group()
    filled(group, carts())
    judged.clear()
    assert told(group.drain(at(72), at(59))) == 0
    assert len(judged) == CARTS, "each when its grace was over"
    for second in range(1, 120):
        assert told(group.drain(at(72) + second * SECOND, at(59.99))) == 0
    assert len(judged) == CARTS, "waiting costs nothing"
    assert (group.next_held, group.waiting) == (at(60), CARTS)
    assert told(group.drain(at(74), at(64.9))) == 10
    assert len(judged) == CARTS + 10, "those whose deadlines were read, and no others"
    assert group.waiting == CARTS - 10
    assert told(group.drain(at(75), at(75))) == 10
    assert (group.next_held, group.waiting) == (None, 0)


def test_a_deadline_is_not_held_longer_than_max_hold(judged: Judged) -> None:
    group = a_group()
    filled(group, carts()[:1])
    judged.clear()
    assert [told(group.drain(at(minute), at(59))) for minute in (62, 70, 76, 77)] == [0, 0, 0, 1]
    assert judged == [at(62), at(77)]


def test_what_was_held_before_a_restart_is_told_once_it_was_read(judged: Judged) -> None:
    before = a_group()
    rows = filled(before, carts())
    rows |= before.drain(at(72), at(59)).rows[0]
    judged.clear()
    after = a_group(rows=rows.items())
    assert told(after.drain(at(73), at(59))) == 0
    assert told(after.drain(at(74), at(74))) == CARTS
    assert len(judged) == 2 * CARTS, "once when it was taken over, once when it was read"


def test_a_deadline_that_is_held_moves_with_its_seat() -> None:
    group, facts = a_group(shards=3), Facts()
    held = [f"cookie:c-{number}" for number in range(CARTS)]
    for number, who in enumerate(held):
        group.touch(0, facts.add(0, f"{who} email:{number}@example.com", cart=f"cart-{number}"))
    assert told(group.drain(at(62), at(59))) == 0
    for number, who in enumerate(held):
        group.touch(0, facts.observe(63, f"{who} loyalty:L-{number}"))
    assert told(group.drain(at(63), at(59))) == 0
    assert group.next_held == at(60)
    assert told(group.drain(at(64), at(60))) == CARTS


def test_in_a_large_cluster_those_who_are_held_are_found(judged: Judged) -> None:
    group, facts = a_group(), Facts()
    phones = [f"device:d-{number}" for number in range(LARGE)]
    for one, other in pairwise(phones):
        group.touch(0, facts.observe(0, f"{one} {other}"))
    for number in range(3):
        group.touch(0, facts.add(number, phones[30 * number], cart=f"cart-{number}"))
    for minute in (1, 59, 63):
        group.drain(at(minute), at(59))
    assert len(group.shard(0).roots.clusters) == 1
    judged.clear()
    for second in range(1, 10):
        group.drain(at(63) + second * SECOND, at(59))
    assert judged == []
    assert told(group.drain(at(64), at(64))) > 0
