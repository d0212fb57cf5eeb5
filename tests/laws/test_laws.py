"""The contract: what is published is a function of the set of touchpoints, the policy and the time.

Order, repetition, cuts into epochs, number of shards, restarts and moves of shards do not show. Each law compares a run
with the plain one: one shard, in the order received.
"""

from __future__ import annotations

from collections.abc import Collection

from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.core.identifiers import Registry
from pipeline.core.replay import replay
from pipeline.core.times import DAY
from tests.deployment import Deployment
from tests.histories import START, home, identifiers, policy, touchpoint
from tests.oracle import answer
from tests.published import Published
from tests.strategies import History, cuts, histories, policies, shards, shops, with_repeats

UNTIL = START + 9 * DAY
Shop = tuple[str, History]


def published(policy_name: str, history: History, shards: int = 1) -> Published:
    return Published(replay(history, Registry(policy(policy_name), shards=shards), UNTIL))


def in_epochs(policy_name: str, history: History, ends: Collection[int], shards: int, *, restart: bool) -> Published:
    """The same with a drain at each of `ends`; restart: every shard then moves to a new group by its rows."""
    registry = Registry(policy(policy_name), shards=shards)
    kept = Deployment(shards)
    group = kept.worker(registry)
    clock = START
    for place, tp in enumerate(history):
        if place in ends:
            clock = max(clock, tp.received - 1)
            kept.commit(group.drain(clock, clock))
            group = kept.worker(registry) if restart else group
        group.touch(home(tp, registry), tp)
    kept.commit(group.drain(UNTIL, UNTIL))
    kept.commit(group.finish(UNTIL))
    return kept.published


def same_profiles(one: Published, other: Published) -> None:
    assert one.profile_ids() == other.profile_ids()
    assert one.shared() == other.shared()
    assert one.documents() == other.documents()
    assert not one.broken_redirects()
    assert one.products == other.products


def same(one: Published, other: Published) -> None:
    same_profiles(one, other)
    assert one.latest_triggers() == other.latest_triggers()


@given(shops())
def test_persons_are_those_of_the_oracle(shop: Shop) -> None:
    name, history = shop
    known = answer(history, Registry(policy(name)))
    taken = published(name, history)
    assert taken.persons() == known.groups()
    assert taken.profile_ids() == known.profile_ids()
    assert taken.shared() == known.hubs


@given(shops(), st.data())
def test_the_order_of_arrival_does_not_show_in_profiles(shop: Shop, data: st.DataObject) -> None:
    name, history = shop
    same_profiles(published(name, data.draw(st.permutations(history))), published(name, history))


@given(shops(), st.data())
def test_the_order_inside_one_instant_does_not_show_in_triggers(shop: Shop, data: st.DataObject) -> None:
    name, history = shop
    shuffled = sorted(data.draw(st.permutations(history)), key=lambda tp: tp.received)
    same(published(name, shuffled), published(name, history))


@given(shops(), st.data())
def test_repeats_do_not_show(shop: Shop, data: st.DataObject) -> None:
    name, history = shop
    same(published(name, data.draw(with_repeats(history))), published(name, history))


@given(shops(), shards)
def test_the_number_of_shards_does_not_show(shop: Shop, number: int) -> None:
    name, history = shop
    same(published(name, history, number), published(name, history))


@given(shops(), shards, st.data())
def test_the_cut_into_epochs_does_not_show(shop: Shop, number: int, data: st.DataObject) -> None:
    name, history = shop
    ends = data.draw(cuts(history))
    same(in_epochs(name, history, ends, number, restart=False), published(name, history))


@given(shops(), shards, st.data())
def test_a_restart_from_rows_does_not_show(shop: Shop, number: int, data: st.DataObject) -> None:
    name, history = shop
    ends = data.draw(cuts(history))
    same(in_epochs(name, history, ends, number, restart=True), published(name, history))


@given(st.sampled_from(("hubs", "degree", "fanout")), shards, st.data())
def test_hubs_do_not_depend_on_who_came_first_where_they_live_or_when_they_are_found(
    name: str, number: int, data: st.DataObject
) -> None:
    history = data.draw(histories(name))
    arrived, ends = data.draw(st.permutations(history)), data.draw(cuts(history))
    known = answer(history, Registry(policy(name)))
    taken = in_epochs(name, arrived, ends, number, restart=data.draw(st.booleans()))
    assert taken.shared() == known.hubs
    assert taken.persons() == known.groups()
    assert taken.profile_ids() == known.profile_ids()


@given(shops(), st.data())
def test_unlinked_and_observed_again_equals_never_unlinked(shop: Shop, data: st.DataObject) -> None:
    name, history = shop
    registry = Registry(policy(name))
    together = [tp for tp in history if len(tp.ids) == 2]
    assume(together)
    two = data.draw(st.sampled_from(together)).ids
    later = max(tp.time for tp in history) + DAY
    observed = touchpoint(100, "identity.observed", "web", two, later, later, 0, registry)
    unlinked = touchpoint(101, "identity.unlinked", "web", two, later - 1, later, 0, registry)
    same_profiles(published(name, [*history, unlinked, observed]), published(name, [*history, observed]))


@given(policies)
def test_a_veto_splits_and_its_lifting_brings_the_profile_id_back(name: str) -> None:
    registry = Registry(policy(name))
    one, other = (identified for identified in identifiers(registry)[:8:7])
    times = [START + n * DAY for n in range(3)]
    types = ("page.viewed", "identity.unlinked", "identity.observed")
    history = [
        touchpoint(n, type, "web", (one, other), time, time, 0, registry)
        for n, (type, time) in enumerate(zip(types, times, strict=True))
    ]
    joined, split, again = (published(name, history[:length]).profile_ids() for length in (1, 2, 3))
    assert len(set(joined.values())) == 1
    assert split[one] == joined[one]
    assert split[other] == registry.profile_id(other)
    assert again == joined
