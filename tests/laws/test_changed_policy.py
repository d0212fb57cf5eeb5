"""A policy that changes between two runs: at the next start it holds for all history, as if it always had."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.identifiers import Registry
from pipeline.core.policy import Policy, load
from pipeline.core.replay import replay
from pipeline.core.times import DAY
from pipeline.core.touchpoint import Id
from tests.core.touchpoints import touchpoint
from tests.deployment import Deployment
from tests.histories import POLICIES, START, home
from tests.published import Published
from tests.strategies import Choices, History, choices, made, shards

UNTIL = START + 9 * DAY
HELD = {name: text for name, text in POLICIES.items() if "unique" not in text} | {
    "forbidden": 'forbidden = [[["email", "ada@example.com"], ["email", "bea@example.com"]]]',
    "hashed": "",
    "hidden": "",
}
"""Policies that fold alike."""
SHOWN = {"hashed": '{ email = "sha256", device = "sha256" }', "hidden": '{ phone = "omit", cookie = "omit" }'}
names = st.sampled_from(sorted(HELD))


def policy(name: str) -> Policy:
    shown = SHOWN.get(name, "{}")
    return load(f'[identity]\ndedup_window = "30d"\n{HELD[name]}\n[publish]\nidentifiers = {shown}\n')


def same(kept: Published, fresh: Published) -> None:
    assert kept.identities == fresh.identities
    assert kept.documents() == fresh.documents()
    assert not kept.broken_redirects()


@given(choices(), names, names, shards, st.integers(0, 14), st.booleans())
def test_it_holds_for_all_history(
    chosen: Choices, before: str, after: str, number: int, place: int, killed: bool
) -> None:
    old, new = (Registry(policy(name), shards=number) for name in (before, after))
    history = made(chosen, new)
    kept = Deployment(number)
    kept.run(old, history[:place], UNTIL)
    if killed:
        kept.worker(new).drain(UNTIL, UNTIL)
    kept.run(new, history[place:], UNTIL)
    same(kept.published, Published(replay(history, new, UNTIL)))
    told = kept.published.revisions, len(kept.published.changes), len(kept.published.triggers)
    kept.run(new, [], UNTIL)
    assert told == (kept.published.revisions, len(kept.published.changes), len(kept.published.triggers))


@given(choices(), names, names, st.integers(0, 14))
def test_workers_may_be_restarted_one_after_the_other(chosen: Choices, before: str, after: str, place: int) -> None:
    old, new = (Registry(policy(name), shards=2) for name in (before, after))
    history = made(chosen, new)
    kept = Deployment(2)

    def read(part: History, *registries: Registry) -> None:
        """Each worker begins with its shard's state, and the first touchpoints of it before mail from the other."""
        workers = [kept.worker(registry, shards=[shard]) for shard, registry in enumerate(registries)]
        for tp in part:
            shard = home(tp, new)
            workers[shard].touch(shard, tp)
        kept.settle(workers, UNTIL)

    read(history[:place], old, old)
    read(history[place : place + 2], new, old)
    read(history[place + 2 :], new, new)
    kept.run(new, [], UNTIL)
    same(kept.published, Published(replay(history, new, UNTIL)))


def test_an_erasure_withdraws_the_rows_as_the_old_policy_showed_them() -> None:
    """Even if it comes before anybody was published by the new one."""
    customer, device = Id("customer:C-1"), Id("device:d-1")
    kept = Deployment(1)
    kept.run(Registry(policy("hashed")), [touchpoint("e-1", ids=(customer, device))], UNTIL)
    assert len(kept.published.identities) == 2 and device not in kept.published.identities
    kept.run(Registry(policy("plain")), [touchpoint("e-2", 1, "privacy.erasure_requested", ids=(customer,))], UNTIL)
    assert not kept.published.identities and not kept.published.profiles


@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize(("before", "after"), [(5, 200), (5, 110), (200, 5), (120, 125)])
def test_a_hub_of_more_anchors_than_are_kept_is_counted_again(before: int, after: int, number: int) -> None:
    till = Id("device:till")
    history = [touchpoint(f"e-{n}", n, ids=(Id(f"customer:C-{n}"), till)) for n in range(130)]
    old, new = (Registry(load(f"[identity]\nhub_degree = {degree}\n"), shards=number) for degree in (before, after))
    kept = Deployment(number)
    kept.run(old, history[:125], UNTIL)
    kept.run(new, history[125:], UNTIL)
    same(kept.published, Published(replay(history, new, UNTIL)))
