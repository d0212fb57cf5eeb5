"""A rebuild: the state is made anew, and what was published is only corrected."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.effects import Effects
from pipeline.core.events import PRIVACY
from pipeline.core.identifiers import Registry
from pipeline.core.policy import load
from pipeline.core.rebuild import Rebuild
from pipeline.core.replay import replay
from pipeline.core.state import StateError
from pipeline.core.times import DAY, HOUR, MINUTE
from pipeline.core.touchpoint import CartRef, ConsentRef, Data, Id, OrderRef, Touchpoint
from tests.core.touchpoints import NOON, item, touchpoint
from tests.deployment import Deployment
from tests.histories import START
from tests.published import Published
from tests.strategies import Choices, choices, made, shards

EMAILS_FIRST = 'order = ["email", "phone", "loyalty", "customer", "device", "cookie", "checkout"]\nunique = ["email"]'
POLICIES = {"plain": "", "emails first": EMAILS_FIRST, "no duplicates": 'dedup_window = "1m"'}
UNTIL = START + 9 * DAY


def registry(name: str, shards: int = 1) -> Registry:
    return Registry(load(f"[identity]\n{POLICIES[name]}\n[publish]\nidentifiers = {{}}\n"), shards=shards)


class Killed(Exception):
    pass


def rebuild(
    kept: Deployment,
    new: Registry,
    history: Iterable[Touchpoint],
    now: int,
    clock: str = "wall",
    steps: int = 1 << 30,
) -> None:
    """steps: how many are committed before it is killed."""

    def commit(effects: Effects) -> None:
        nonlocal steps
        if not steps:
            raise Killed
        steps -= 1
        kept.commit(effects)

    run = Rebuild(new, clock, kept.rows)
    for step in run.begin():
        commit(step)
    for tp in history:
        if tp.type in PRIVACY:
            for step in run.serve(tp, again=True):
                commit(step)
        else:
            run.touch(tp)
        commit(run.gather())
    for step in run.finish(now):
        commit(step)
    commit(run.end())


def same(kept: Published, fresh: Published) -> None:
    assert kept.profile_ids() == fresh.profile_ids()
    assert kept.identities == fresh.identities
    assert kept.documents() == fresh.documents()
    assert kept.products == fresh.products
    assert not kept.broken_redirects()


@settings(max_examples=60)
@given(choices(), st.sampled_from(sorted(POLICIES)), st.sampled_from(sorted(POLICIES)), shards, st.integers(1, 40))
def test_it_ends_in_what_the_new_policy_says_of_all_history(
    chosen: Choices, before: str, after: str, shards: int, steps: int
) -> None:
    old, new = registry(before, shards), registry(after, shards)
    kept = Deployment(shards)
    kept.run(old, made(chosen, old), UNTIL)
    history = made(chosen, new)
    triggers = list(kept.published.triggers)
    try:
        rebuild(kept, new, history, UNTIL, "record", steps)
    except Killed:
        with pytest.raises(StateError, match="was not finished; run: selvedge rebuild"):
            kept.worker(new)
        rebuild(kept, new, history, UNTIL, "record")
    same(kept.published, Published(replay(history, new, UNTIL)))
    kept.run(new, [], UNTIL)
    same(kept.published, Published(replay(history, new, UNTIL)))
    assert all(record["status"] == "retracted" for record in kept.published.triggers[len(triggers) :])


EMAIL = Registry(load("")).identify("email", "jane@example.com").id
assert EMAIL
C1, COOKIE = Id("customer:C-1"), Id("cookie:c-1")


def cart(minute: float, *ids: Id) -> list[Touchpoint]:
    """Somebody who may be written to leaves a cart."""
    consent = Data(consent=ConsentRef(channel="email", state="granted"))
    added = Data(cart=CartRef(id="cart-1"), items=[item("A", "10")])
    return [
        touchpoint("ok", minute, "consent.changed", ids=ids, data=consent, effective=NOON),
        touchpoint("add", minute, "cart.item_added", ids=ids, data=added),
    ]


def test_who_was_told_of_a_cart_is_not_told_again_though_the_cart_is_another_identifiers_now() -> None:
    kept, before, after = Deployment(2), registry("plain", 2), registry("emails first", 2)
    kept.run(before, cart(0, C1, EMAIL), NOON + HOUR + 5 * MINUTE, "wall")
    told = kept.published.triggers
    assert [record["status"] for record in told] == ["fired"]
    for now in (NOON + 2 * HOUR, NOON + 3 * HOUR):
        rebuild(kept, after, cart(0, EMAIL, C1), now)
        kept.run(after, [], now + MINUTE, "wall")
    assert len(told) == 1
    order = touchpoint(
        "buy", 30, "order.placed", ids=(EMAIL,), data=Data(order=OrderRef(id="o"), items=[item("A", "10")])
    )
    kept.run(after, [order], NOON + 4 * HOUR, "wall")
    assert [(record["status"], record["reason"]) for record in told[1:]] == [("retracted", "late_purchase")]
    assert told[1]["trigger_id"] == told[0]["trigger_id"]


def test_a_rebuild_fires_nothing_and_leaves_what_is_open_to_a_worker() -> None:
    kept, same_policy = Deployment(2), registry("plain", 2)
    rebuild(kept, same_policy, cart(0, C1, EMAIL), NOON + 2 * HOUR)
    assert kept.published.triggers == []
    kept.run(same_policy, [], NOON + 2 * HOUR + MINUTE, "wall")
    assert [record["status"] for record in kept.published.triggers] == ["fired"]


def test_what_no_longer_exists_is_taken_back_and_goes_on_with_its_revisions_should_it_return() -> None:
    kept, same_policy = Deployment(2), registry("plain", 2)
    together, alone = touchpoint("a", 0, ids=(C1, COOKIE)), touchpoint("b", 1, ids=(COOKIE,))
    kept.run(same_policy, [touchpoint("c", 0, ids=(C1,)), alone], NOON + MINUTE)
    kept.run(same_policy, [together], NOON + 2 * MINUTE)
    rebuild(kept, same_policy, [alone], NOON + HOUR)
    assert kept.published.identities.keys() == {COOKIE}
    assert kept.published.profiles.keys() == {same_policy.profile_id(COOKIE)}
    kept.run(same_policy, [touchpoint("d", 61, ids=(C1,))], NOON + 2 * HOUR)
    assert kept.published.identities.keys() == {COOKIE, C1}
    assert kept.published.revisions == {id: row["revision"] for id, row in kept.published.profiles.items()}
    assert kept.published.revisions[same_policy.profile_id(C1)] > 2


def test_who_was_erased_stays_away_and_who_came_back_comes_without_the_past() -> None:
    kept, same_policy = Deployment(2), registry("plain", 2)
    past = touchpoint("a", 0, ids=(C1, COOKIE))
    erasure = touchpoint("x", 10, "privacy.erasure_requested", ids=(C1,))
    consent = Data(consent=ConsentRef(channel="email", state="granted", proof="form 7"))
    returned = touchpoint("y", 20, "consent.changed", ids=(C1,), data=consent, effective=NOON + 20 * MINUTE)
    for history in ([past, erasure], [past, erasure, returned]):
        kept.run(same_policy, history[-2:], NOON + HOUR)
        before = kept.published
        changes = len(before.changes)
        rebuild(kept, same_policy, history, NOON + 2 * HOUR)
        assert before.identities.keys() == {one.ids[0] for one in history if one is returned}
        assert "erased" not in [change["kind"] for change in before.changes[changes:]]
        for document in before.documents().values():
            assert [row["count"] for row in document["identifiers"]] == [1]
