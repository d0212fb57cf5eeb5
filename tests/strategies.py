"""Hypothesis strategies: histories of a small shop under a policy, and what may happen to them on the way."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from pipeline.core.identifiers import Registry
from pipeline.core.policy import load
from pipeline.core.times import HOUR, MINUTE, SECOND
from pipeline.core.touchpoint import Id, Touchpoint
from tests.histories import CHANNELS, FACTS, POLICIES, START, TYPES, WARES, identifiers, policy, possible, touchpoint

History = list[Touchpoint]
Choice = tuple[str, str, list[Id], int, int, int]
"""type, channel, identifiers, time, received, item"""
Choices = list[Choice]

policies = st.sampled_from(sorted(POLICIES))
shards = st.sampled_from((1, 2, 3, 8))
_KNOWN = identifiers(Registry(load("")))


@st.composite
def histories(draw: st.DrawFn, policy_name: str = "plain", size_max: int = 14) -> History:
    """Touchpoints that the policy allows, in the order of their received times."""
    registry = Registry(policy(policy_name))
    return made(draw(choices(size_max).filter(lambda chosen: made(chosen, registry))), registry)


@st.composite
def shops(draw: st.DrawFn) -> tuple[str, History]:
    """The name of a policy and a history under it."""
    name = draw(policies)
    return name, draw(histories(name))


def made(chosen: Choices, registry: Registry) -> History:
    """The touchpoints that the policy allows, in the order of their received times."""
    history = [
        touchpoint(number, *choice, registry)
        for number, choice in enumerate(chosen)
        if possible(choice[2], choice[0], registry)
    ]
    return sorted(history, key=lambda tp: tp.received)


def choices(size_max: int = 14) -> st.SearchStrategy[Choices]:
    """What touchpoints can be made from under any policy."""
    some = st.integers(0, 40)
    time = st.builds(lambda number, unit: START + number * unit, some, st.sampled_from((SECOND, MINUTE, HOUR)))
    delay = st.one_of(st.just(0), st.builds(lambda number, unit: number * unit, some, st.sampled_from((SECOND, HOUR))))
    ids = st.lists(st.sampled_from(_KNOWN), min_size=1, max_size=4, unique=True)
    kind = st.tuples(st.sampled_from((*TYPES, *WARES, *FACTS)), st.sampled_from(CHANNELS), ids)
    drawn = st.builds(lambda k, t, d, item: (*k, t, t + d, item), kind, time, delay, st.integers(0, 5))
    return st.lists(drawn, min_size=1, max_size=size_max)


def with_repeats(history: History) -> st.SearchStrategy[History]:
    """The history with some touchpoints sent again, later than the first time."""
    places = st.tuples(st.integers(0, len(history) - 1), st.integers(0, len(history)))
    return st.lists(places, min_size=1, max_size=6).map(lambda again: _with(history, again))


def _with(history: History, again: Sequence[tuple[int, int]]) -> History:
    sent = [(place, 0, tp) for place, tp in enumerate(history)]
    sent += [(max(place, later), 1, history[place]) for place, later in again]
    return [tp for _, _, tp in sorted(sent, key=lambda each: each[:2])]


def cuts(history: History) -> st.SearchStrategy[set[int]]:
    """Places in the history at which an epoch ends."""
    return st.sets(st.integers(0, len(history)))
