"""Episodes and their quiet points against an oracle that shares no code."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.cart import episodes
from pipeline.core.episode import Episode
from tests.core.cart_oracle import Life, deadlines, lives
from tests.core.shopper import Facts, World
from tests.core.stories import stories


@settings(max_examples=400, deadline=None)
@given(stories(size_max=16, carts=("cart-1", "cart-2")))
def test_episodes_are_those_of_the_oracle(facts: Facts) -> None:
    world = World(facts.registry)
    for tp in facts.all:
        world.fold(tp)
    policy = facts.registry.policy
    found = episodes([world.fragments[id] for id in sorted(world.fragments)], None, policy)
    expected = lives(facts.all, policy.triggers)
    assert [_seen(episode) for episode in found] == [_told(life) for life in expected]
    for episode, life in zip(found, expected, strict=True):
        assert [quiet.deadline_at for quiet in episode.quiet] == deadlines(life, facts.all, policy.triggers)


def _seen(episode: Episode) -> tuple[object, ...]:
    states = [
        (point.time, point.event, ({sku: int(line.quantity) for sku, line in point.lines.items()}, point.stage))
        for point in episode.points
    ]
    order = episode.order
    return (episode.key, states, episode.end, episode.ended_at, None if order is None else order.time)


def _told(life: Life) -> tuple[object, ...]:
    return (life.cart, life.changes, life.end, life.ended_at, life.ordered_at)


@settings(max_examples=100, deadline=None)
@given(stories(size_max=16), st.randoms())
def test_episodes_do_not_depend_on_the_order_of_folding(facts: Facts, rnd: object) -> None:
    shuffled = list(facts.all)
    rnd.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = World(facts.registry), World(facts.registry)
    for tp in facts.all:
        one.fold(tp)
    for tp in shuffled:
        other.fold(tp)
    policy = facts.registry.policy
    assert episodes(list(one.fragments.values()), None, policy) == episodes(
        list(other.fragments.values()), None, policy
    )
