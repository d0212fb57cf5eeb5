"""Persons as they are published: what happens to profile ids, redirects, identities and documents on the way."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pipeline.core.group import Group
from pipeline.core.identifiers import Registry
from pipeline.core.policy import load
from pipeline.core.replay import Replay, replay
from pipeline.core.times import HOUR, MINUTE, SECOND
from pipeline.core.touchpoint import CartRef, Data, Id, Touchpoint
from tests.core.touchpoints import item, touchpoint
from tests.deployment import Deployment
from tests.published import Published

L1, L2 = Id("loyalty:L-1"), Id("loyalty:L-2")
C1 = Id("customer:C-1")
DEVICE, COOKIE = Id("device:d-1"), Id("cookie:c-1")


def seen(id: str, minute: float, *ids: Id, **more: Any) -> Touchpoint:
    return touchpoint(id, minute, ids=ids, **more)


def published(touchpoints: Iterable[Touchpoint], policy: str = "", shards: int = 1) -> Published:
    return Published(replay(touchpoints, Registry(load(policy), shards=shards)))


def kinds(seen: Published) -> list[tuple[str, str]]:
    return [(change["kind"], change["profile_id"]) for change in seen.changes]


def profile_id(id: Id) -> str:
    return Registry(load("")).profile_id(id)


def test_a_person_keeps_the_profile_id_of_its_oldest_anchor() -> None:
    shop = published([seen("e1", 0, COOKIE), seen("e2", 1, L1, COOKIE)])
    assert shop.profile_ids() == {COOKIE: profile_id(COOKIE), L1: profile_id(COOKIE)}
    assert kinds(shop) == [("created", profile_id(COOKIE)), ("updated", profile_id(COOKIE))]


def test_a_merge_leaves_a_redirect_to_the_older_profile() -> None:
    shop = published([seen("e1", 0, COOKIE), seen("e2", 1, C1), seen("e3", 2, C1, COOKIE)])
    redirect = shop.profiles[profile_id(C1)]
    assert redirect == {
        "profile_id": profile_id(C1),
        "revision": 2,
        "status": "merged",
        "merged_into": profile_id(COOKIE),
    }
    merged = shop.changes[-1]
    assert (merged["kind"], merged["merged_from"]) == ("merged", [profile_id(C1)])


def test_redirects_are_rewritten_to_one_hop_when_the_survivor_merges_on() -> None:
    shop = published(
        [
            seen("e1", 0, DEVICE),
            seen("e2", 1, COOKIE),
            seen("e3", 2, C1),
            seen("e4", 3, C1, COOKIE),
            seen("e5", 4, L1, DEVICE),
            seen("e6", 5, L1, C1),
        ]
    )
    assert shop.profiles[profile_id(C1)]["merged_into"] == profile_id(DEVICE)
    assert shop.profiles[profile_id(COOKIE)]["merged_into"] == profile_id(DEVICE)
    assert shop.broken_redirects() == []


def test_a_redirect_follows_the_identifier_that_its_id_was_made_from() -> None:
    history = [seen("e1", 0, L1), seen("e2", 1, L2), seen("e3", 2, DEVICE), seen("e4", 3, L1, DEVICE)]
    shop = published(history)
    assert shop.profiles[profile_id(DEVICE)]["merged_into"] == profile_id(L1)
    handed = published([*history, seen("e5", 4, L2, DEVICE)])
    assert handed.profiles[profile_id(DEVICE)]["merged_into"] == profile_id(L2)
    alone = published([*history, seen("e5", 4, L1, DEVICE, type="identity.unlinked")])
    assert alone.profiles[profile_id(DEVICE)]["status"] == "active"
    assert alone.profiles[profile_id(DEVICE)]["revision"] > shop.profiles[profile_id(DEVICE)]["revision"]


def test_a_row_of_identities_goes_out_only_when_it_changes() -> None:
    history = [seen("e1", 0, L1, DEVICE), seen("e2", 1, L1, DEVICE), seen("e3", 2, L2), seen("e4", 3, L2, DEVICE)]
    rows = [output.key for output in replay(history, Registry(load(""))) if output.topic == "identities"]
    assert sorted(rows) == sorted([L1, DEVICE, L2, DEVICE])


def test_a_late_touchpoint_that_makes_another_anchor_the_oldest_renames_the_profile() -> None:
    shop = published([seen("e1", 10, COOKIE), seen("e2", 11, L1, COOKIE), seen("e3", 5, L1, late=10)])
    assert shop.changes[-1]["kind"] == "renamed"
    assert shop.changes[-1]["merged_from"] == [profile_id(COOKIE)]
    assert shop.profiles[profile_id(COOKIE)]["merged_into"] == profile_id(L1)


def test_a_device_handed_on_splits_from_its_owner_and_comes_back() -> None:
    handed = [seen("e1", 0, L1, DEVICE), seen("e2", 1, L2, DEVICE)]
    shop = published(handed)
    assert shop.profile_ids()[DEVICE] == profile_id(L2)
    split = next(change for change in shop.changes if change["kind"] == "split")
    assert (split["profile_id"], split["split_into"]) == (profile_id(L1), [profile_id(L2)])
    back = published([*handed, seen("e3", 2, L1, DEVICE)])
    assert back.profile_ids()[DEVICE] == profile_id(L1)


def test_unlinked_persons_get_back_the_ids_they_had() -> None:
    together = [seen("e1", 0, COOKIE), seen("e2", 1, C1), seen("e3", 2, C1, COOKIE)]
    veto = seen("e4", 3, C1, COOKIE, type="identity.unlinked")
    shop = published([*together, veto])
    assert shop.profile_ids() == {COOKIE: profile_id(COOKIE), C1: profile_id(C1)}
    assert shop.profiles[profile_id(C1)]["status"] == "active"
    again = published([*together, veto, seen("e5", 4, C1, COOKIE, type="identity.observed")])
    assert set(again.profile_ids().values()) == {profile_id(COOKIE)}


def test_since_of_an_identifier_moves_back_with_a_late_touchpoint() -> None:
    early = seen("e1", 10, L1, DEVICE)
    shop = published([early, seen("e2", 2, L1, DEVICE, late=10)])
    assert shop.identities[DEVICE]["since"] == "2026-03-01T12:02:00Z"


def test_a_document_goes_out_once_per_interval_and_the_last_one_is_complete() -> None:
    many = [seen(f"e{n}", n / 600, COOKIE) for n in range(100)]
    shop = published(many, '[publish]\nmin_interval = "3s"')
    assert 3 <= len(shop.changes) <= 6
    assert shop.profiles[profile_id(COOKIE)]["lineage"]["touchpoints"] == 100


def test_a_repeat_is_counted_once() -> None:
    once = published([seen("e1", 0, L1, COOKIE)])
    twice = published([seen("e1", 0, L1, COOKIE), seen("e1", 0, L1, COOKIE, late=60)])
    assert twice.documents() == once.documents()


def test_a_checkout_identifier_links_and_is_not_published() -> None:
    guest, checkout = Id("cookie:guest"), Id("checkout:co-1")
    shop = published([seen("e1", 0, guest, checkout), seen("e2", 1, C1, checkout)])
    assert shop.profile_ids() == {guest: profile_id(guest), C1: profile_id(guest)}


def test_publishing_once_at_the_end_gives_the_same_persons_and_profiles() -> None:
    history = [seen("e1", 0, COOKIE), seen("e2", 1, C1), seen("e3", 2, C1, COOKIE), seen("e4", 3, L1, DEVICE)]
    outputs: list[Any] = []
    run = Replay(Registry(load("")), outputs.append, final=True)
    for tp in history:
        run.touch(tp)
    run.finish()
    final, full = Published(outputs), published(history)
    assert final.identities == full.identities
    assert final.documents() == full.documents()
    assert final.changes == []


def test_time_moves_on_to_the_given_end() -> None:
    outputs = replay([seen("e1", 0, COOKIE)], Registry(load("")), until=seen("e", 600, COOKIE).time)
    assert Published(outputs).profiles[profile_id(COOKIE)]["as_of"] == "2026-03-01T12:00:00Z", "nothing has changed"


def test_a_document_larger_than_a_record_is_cut_with_a_mark() -> None:
    many = [seen(f"e{n}", n, L1, Id(f"email:{n:064x}")) for n in range(5)]
    shop = published(many, "[bounds]\ndocument_bytes = 1200")
    document = shop.profiles[profile_id(L1)]
    assert document["cut"] == ["identifiers"]
    assert document["identity"]["size"] == 6


def test_a_worker_that_is_behind_publishes_documents_less_often_and_identities_at_once() -> None:
    group = Group(Registry(load("")), "wall")
    group.add(0)
    start = seen("e", 0, COOKIE).time
    shop = Published()
    documents = []
    for second in range(100):
        group.touch(0, seen(f"e{second}", 0, COOKIE))
        if second == 50:
            group.touch(0, seen("login", 0, L1, COOKIE))
        behind = start if second < 90 else start + second * SECOND
        effects = group.drain(start + second * SECOND, behind)
        documents += [second for output in effects.outputs if output.topic == "profiles"]
        for output in effects.outputs:
            shop.take(output)
        if second == 50:
            assert L1 in shop.identities
    assert len([second for second in documents if second < 90]) <= 3
    assert shop.profiles[profile_id(COOKIE)]["lineage"]["touchpoints"] == 101


def test_a_trigger_waits_for_the_backlog_and_fires_when_it_was_read() -> None:
    group = Group(Registry(load("[triggers]\nrequire_consent = false")), "wall")
    group.add(0)
    cart = touchpoint("add", 0, "cart.item_added", (Id("email:" + "0" * 64),), data=basket())
    group.touch(0, cart)
    deadline = cart.time + 60 * MINUTE
    fired: dict[int, int] = {}
    for minute in range(90):
        now = cart.time + minute * MINUTE
        caught_up_to = deadline - 1 if minute < 70 else now
        for output in group.drain(now, caught_up_to).outputs:
            if output.topic == "triggers":
                fired[minute] = fired.get(minute, 0) + 1
    assert fired == {70: 1}, "held from minute 62 on, and not until max_hold is over at 77"


def test_a_worker_that_was_down_for_long_holds_what_it_took_over() -> None:
    registry = Registry(load("[triggers]\nrequire_consent = false"))
    before = Group(registry, "wall")
    before.add(0)
    cart = touchpoint("add", 0, "cart.item_added", (Id("email:" + "0" * 64),), data=basket())
    before.touch(0, cart)
    rows = before.drain(cart.time, cart.time).rows[0]
    after = Group(registry, "wall")
    after.add(0, [(key, row) for key, row in rows.items() if row is not None])
    late = cart.time + 5 * HOUR
    assert not [output for output in after.drain(late, cart.time).outputs if output.topic == "triggers"]
    held = after.drain(late + 14 * MINUTE, cart.time).outputs
    assert not [output for output in held if output.topic == "triggers"]
    over = after.drain(late + 16 * MINUTE, cart.time).outputs
    assert [output.topic for output in over if output.topic == "triggers"] == ["triggers"]


def basket() -> Data:
    return Data(cart=CartRef(id="cart-1"), items=[item("SKU-1")])


# -- too much hangs together -------------------------------------------------------------------------------------------

CHAIN = [Id(f"cookie:c-{n}") for n in range(5)]
SMALL = "[identity]\ncomponent_max = 3"
IN_A_ROW = [seen(f"e{n}", 10 + n, CHAIN[n], CHAIN[n + 1]) for n in range(4)]


def told_oversize(shop: Published) -> list[str]:
    return [change["profile_id"] for change in shop.changes if change["kind"] == "oversize"]


def test_in_an_oversize_component_each_stands_alone_and_is_told_so_once() -> None:
    alone = [seen(f"a{n}", n, cookie) for n, cookie in enumerate(CHAIN)]
    for history in (IN_A_ROW, alone + IN_A_ROW):
        for size, shards in ((3, 1), (3, 2), (4, 1)):
            shop = published(history, f"[identity]\ncomponent_max = {size}", shards)
            assert shop.profile_ids() == {cookie: profile_id(cookie) for cookie in CHAIN}
            assert sorted(told_oversize(shop)) == sorted(map(profile_id, CHAIN))
            assert all(document["identity"]["oversize"] for document in shop.documents().values())


def test_whoever_loses_identifiers_to_a_state_of_its_own_names_where_they_went() -> None:
    oversize = next(one for one in published(IN_A_ROW, SMALL).changes if one["kind"] == "oversize")
    assert oversize["profile_id"] == profile_id(CHAIN[0])
    assert oversize["split_into"] == sorted(map(profile_id, CHAIN[1:3]))
    shop = published(
        [
            seen("e0", 0, DEVICE),
            *(seen(f"e{n}", n, card, DEVICE) for n, card in enumerate((L1, L2, Id("loyalty:L-3")), 1)),
        ],
        "[identity]\nhub_degree = 2",
    )
    shared = next(one for one in shop.changes if one["kind"] == "shared")
    assert (shared["profile_id"], shop.profiles[profile_id(DEVICE)]["status"]) == (profile_id(DEVICE), "active")
    assert shop.persons() == {frozenset({one}) for one in (DEVICE, L1, L2, Id("loyalty:L-3"))}


def test_oversize_ends_when_the_policy_allows_it_and_begins_when_it_does_not() -> None:
    loose, small = Registry(load("")), Registry(load(SMALL))
    now = IN_A_ROW[-1].time + HOUR
    kept = Deployment(1)
    kept.run(loose, IN_A_ROW, now)
    person = frozenset(CHAIN)
    assert kept.published.persons() == {person}
    for _ in range(2):
        kept.run(small, [], now)
        assert kept.published.persons() == {frozenset({cookie}) for cookie in CHAIN}
        kept.run(loose, [], now)
        assert kept.published.persons() == {person}
        assert [document["identity"]["oversize"] for document in kept.published.documents().values()] == [False]
        assert not kept.published.broken_redirects()
    assert len(told_oversize(kept.published)) == 2 * len(CHAIN)


def test_oversize_ends_when_what_held_it_together_turns_out_to_be_shared() -> None:
    customers = [Id(f"customer:{n}") for n in range(3)]
    till = [seen(f"t{n}", n, customer, DEVICE) for n, customer in enumerate(customers)]
    policy = "[identity]\ncomponent_max = 2\nhub_degree = 2\nunique = []"
    before, after = published(till[:2], policy), published(till, policy)
    assert len(told_oversize(before)) == 3
    assert after.shared() == {DEVICE}
    assert not any(document["identity"]["oversize"] for document in after.documents().values())
