"""However many touchpoints an epoch brings and whatever merges in it, each result is made once: counted, not timed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from pipeline.core import fragment_rows
from pipeline.core.draft import Draft
from pipeline.core.fragment import Fragment
from pipeline.core.group import Group
from pipeline.core.identifiers import Registry
from pipeline.core.person import Person
from tests import histories

EPOCH = 15


@pytest.fixture
def viewed(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each person was viewed, and so their document encoded."""
    return counting(monkeypatch, Draft, "renew", lambda draft, group, person, *_: name_of(person))


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each fragment was encoded for the state."""
    return counting(monkeypatch, fragment_rows, "encode_fragment", lambda fragment, **_: anchor_of(fragment))


def name_of(person: Person) -> str:
    return person.profile_id


def anchor_of(fragment: Fragment) -> str:
    return fragment.id


def counting(patch: pytest.MonkeyPatch, module: Any, function: str, name: Callable[..., str]) -> Counter[str]:
    counts: Counter[str] = Counter()
    real = getattr(module, function)

    def counted(*given: Any, **named: Any) -> Any:
        counts[name(*given, **named)] += 1
        return real(*given, **named)

    patch.setattr(module, function, counted)
    return counts


@pytest.mark.parametrize("seed", range(25))
def test_a_document_is_made_and_published_at_most_once_in_an_epoch(seed: int, viewed: Counter[str]) -> None:
    random = Random(seed)
    registry = Registry(histories.policy(random.choice(list(histories.POLICIES))), shards=random.choice((1, 3)))
    group = Group(registry, "record")
    for shard in range(registry.shards):
        group.add(shard)
    history = histories.history(random, 4 * EPOCH, registry)
    for first in range(0, len(history), EPOCH):
        viewed.clear()
        for tp in history[first : first + EPOCH]:
            group.touch(histories.home(tp, registry), tp)
        outputs = group.drain(tp.received, tp.received).outputs
        published = Counter(output.key for output in outputs if output.topic == "profiles")
        assert published, "something was published"
        assert set(published.values()) == {1}
        assert set(viewed.values()) <= {1}


def test_a_fragment_is_encoded_once_in_an_epoch_however_many_touchpoints_it_takes(encoded: Counter[str]) -> None:
    registry = Registry(histories.policy("plain"))
    group = Group(registry, "record")
    group.add(0)
    history = histories.history(Random(5), 40, registry)
    for tp in history:
        group.touch(0, tp)
    assert not encoded
    group.drain(history[-1].received, history[-1].received)
    assert encoded.keys() >= {tp.ids[0] for tp in history if tp.ids and tp.type != "identity.unlinked"}
    assert set(encoded.values()) == {1}
