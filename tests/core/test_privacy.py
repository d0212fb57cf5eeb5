"""Erasure and access: what a person's request withdraws, forgets, keeps out from then on, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from pipeline.core.effects import Output
from pipeline.core.events import ACCESS, ERASURE, LIFTED
from pipeline.core.identifiers import Registry
from pipeline.core.policy import load
from pipeline.core.replay import Replay
from pipeline.core.times import DAY, MINUTE
from pipeline.core.touchpoint import CartRef, ConsentRef, Data, Id, Rejected, Touchpoint
from tests.core.touchpoints import item, touchpoint

L1, L2 = Id("loyalty:L-1"), Id("loyalty:L-2")
C1, C2 = Id("customer:C-1"), Id("customer:C-2")
DEVICE, COOKIE = Id("device:d-1"), Id("cookie:ck-1")
CANARIES = ("L-1", "C-1", "ck-1", "cart-1")

NO_CONSENT_NEEDED = "[triggers]\nrequire_consent = false\n"


class Shop:
    """A run, what it published, and what it refused."""

    def __init__(self, policy: str = "", shards: int = 1, final: bool = False) -> None:
        self.registry = Registry(load(policy), shards=shards)
        self.outputs: list[Output] = []
        self.rejected: list[Rejected] = []
        self.run = Replay(self.registry, self.outputs.append, final=final)

    def take(self, *touchpoints: Touchpoint, until: int = 0) -> Shop:
        for one in touchpoints:
            rejected = self.run.touch(one)
            if rejected is not None:
                self.rejected.append(rejected)
        self.run.finish(until or self.run.clock)
        return self

    def state(self, topic: str) -> dict[str, Any]:
        rows: dict[str, Any] = {}
        for output in self.outputs:
            if output.topic == topic:
                rows[output.key] = output.value and msgspec.json.decode(output.value)
        return rows

    def records(self, topic: str) -> list[Any]:
        return [msgspec.json.decode(one.value) for one in self.outputs if one.topic == topic and one.value]

    def profiles(self) -> dict[str, Any]:
        return {key: row for key, row in self.state("profiles").items() if row}

    def identities(self) -> set[str]:
        return {key for key, row in self.state("identities").items() if row}


def seen(id: str, minute: float, *ids: Id, **more: Any) -> Touchpoint:
    return touchpoint(id, minute, ids=ids, **more)


def erase(minute: float, *ids: Id, id: str = "erase-1") -> Touchpoint:
    return touchpoint(id, minute, ERASURE, ids=ids)


def family() -> Sequence[Touchpoint]:
    """Two persons who share a device, the newer login owns it."""
    return [
        seen("e1", 0, COOKIE),
        seen("e2", 1, L1, C1, COOKIE),
        seen("e3", 2, L1, DEVICE),
        seen("e4", 3, L2, C2),
        seen("e5", 4, L2, DEVICE),
    ]


@pytest.mark.parametrize("shards", [1, 3, 8])
def test_an_erasure_withdraws_the_person_and_leaves_the_others_alone(shards: int) -> None:
    others = Shop(shards=shards).take(*family())
    shop = Shop(shards=shards).take(*family(), erase(10, C1))
    assert shop.identities() == {L2, C2, DEVICE}
    (document,) = shop.profiles().values()
    assert document["profile_id"] == shop.registry.profile_id(L2)
    assert others.identities() == {L1, L2, C1, C2, COOKIE, DEVICE}
    withdrawn = {key for key, row in shop.state("profiles").items() if row is None}
    assert withdrawn == {shop.registry.profile_id(name) for name in (COOKIE,)} | (
        {shop.registry.profile_id(L1)} & set(others.profiles())
    )


@pytest.mark.parametrize("shards", [1, 3])
def test_redirects_to_an_erased_profile_are_withdrawn_with_it(shards: int) -> None:
    shop = Shop(shards=shards).take(seen("e1", 0, COOKIE), seen("e2", 1, C1), seen("e3", 2, C1, COOKIE), erase(5, C1))
    assert shop.profiles() == {}
    assert shop.identities() == set()
    assert len(shop.state("profiles")) == 2


def test_the_receipt_says_what_and_how_much_and_of_nobody() -> None:
    shop = Shop(NO_CONSENT_NEEDED, final=False).take(*family(), erase(10, L1))
    (receipt,) = [row for row in shop.records("profile-changes") if row["kind"] == "erased"]
    assert receipt["cause"] == "erasure"
    assert receipt["erased"] == {
        "request": "erase-1",
        "identifiers": 3,
        "suppressed": 3,
        "touchpoints": 3,
        "documents": 1,
        "triggers": 0,
    }
    assert not any(canary in str(receipt) for canary in CANARIES)


@pytest.mark.parametrize("shards", [1, 4])
@pytest.mark.parametrize("final", [False, True])
def test_what_an_erased_person_sends_is_refused_whatever_its_time(shards: int, final: bool) -> None:
    shop = Shop(shards=shards, final=final).take(
        *family(),
        erase(10, L1),
        seen("late", 5, C1, late=30),
        seen("new", 40, Id("email:new"), COOKIE),
        seen("other", 50, L2),
    )
    assert [(one.code, one.id) for one in shop.rejected] == [("suppressed", "late"), ("suppressed", "new")]
    assert shop.identities() == {L2, C2, DEVICE}
    assert not any(canary in one.message for one in shop.rejected for canary in CANARIES)


def test_a_device_that_others_were_seen_with_is_emptied_and_not_suppressed() -> None:
    shop = Shop().take(
        seen("e1", 0, DEVICE),
        seen("e2", 1, L1, DEVICE),
        seen("e3", 2, L2, DEVICE),
        seen("e4", 3, L1, DEVICE),
        erase(10, L1),
        seen("e5", 20, DEVICE),
    )
    assert shop.rejected == []
    assert shop.state("identities")[DEVICE]["profile_id"] == shop.registry.profile_id(L2)


def test_a_shared_identifier_that_is_erased_by_name_is_emptied_and_not_suppressed() -> None:
    tills = [seen(f"e{n}", n, Id(f"loyalty:T-{n}"), DEVICE) for n in range(12)]
    shop = Shop().take(*tills, seen("own", 20, DEVICE), erase(30, DEVICE), seen("again", 40, DEVICE))
    assert shop.rejected == []
    assert shop.state("identities")[DEVICE]["shared"]


def test_live_triggers_are_retracted_without_personal_data() -> None:
    data = Data(cart=CartRef(id="cart-1"), items=[item("A", price="20")])
    mail = Id("email:" + "a" * 64)
    shop = Shop(NO_CONSENT_NEEDED).take(
        touchpoint("e1", 0, "cart.item_added", ids=(C1, mail), data=data), seen("e2", 90, L2), erase(100, C1)
    )
    fired, retracted = shop.records("triggers")
    assert (fired["status"], retracted["status"], retracted["reason"]) == ("fired", "retracted", "erasure")
    assert retracted["trigger_id"] == fired["trigger_id"]
    assert retracted["revision"] == fired["revision"] + 1
    assert (retracted["channels"], retracted["cart"], retracted["other_carts"]) == ([], None, [])
    assert not any(canary in str(retracted) for canary in (*CANARIES, "a" * 64))


def test_a_pending_trigger_of_an_erased_person_never_fires() -> None:
    data = Data(cart=CartRef(id="cart-1"), items=[item("A", price="20")])
    mail = Id("email:" + "a" * 64)
    shop = Shop(NO_CONSENT_NEEDED)
    shop.take(touchpoint("e1", 0, "cart.item_added", ids=(C1, mail), data=data), erase(30, C1), seen("e2", 900, L2))
    assert shop.records("triggers") == []


@pytest.mark.parametrize("shards", [1, 3])
def test_an_erasure_out_of_a_large_cluster_leaves_the_others_alone(shards: int) -> None:
    """Eighty persons, each seen with the next one's cookie."""
    names = [Id(f"customer:N-{n}") for n in range(80)]
    steps = [seen(f"a{n}", n, name, Id(f"cookie:n-{n}")) for n, name in enumerate(names)]
    steps += [seen(f"b{n}", 100 + n, name, Id(f"cookie:n-{(n + 1) % 80}")) for n, name in enumerate(names)]
    without = Shop(shards=shards).take(*[step for step in steps if names[7] not in step.ids])
    shop = Shop(shards=shards).take(*steps, erase(300, names[7]), seen("again", 310, names[8]))
    assert shop.identities() == without.identities()
    assert _who(shop) == _who(without)


def _who(shop: Shop) -> dict[str, list[str]]:
    """Profile id -> the identifiers it shows."""
    return {
        key: [one["value"] for one in row["identifiers"]]
        for key, row in shop.profiles().items()
        if "merged_into" not in row
    }


def consent(minute: float, *ids: Id, proof: str | None, state: str = "granted", late: float = 0) -> Touchpoint:
    data = Data(consent=ConsentRef("email", "marketing", state, None, proof))
    return touchpoint("consent", minute, "consent.changed", ids=ids, data=data, late=late)


def test_a_consent_with_proof_that_is_newer_than_the_erasure_lifts_the_suppression() -> None:
    before = [*family(), erase(10, L1)]
    shop = Shop().take(*before, consent(20, L1, proof="p-1"), seen("new", 30, L1), seen("still", 31, C1))
    assert [one.id for one in shop.rejected] == ["still"]
    assert L1 in shop.identities()
    (change,) = [row for row in shop.records("profile-changes") if row["cause"] == "consent"]
    assert change["kind"] == "created"


@pytest.mark.parametrize(
    "word",
    [
        consent(20, L1, proof=None),
        consent(20, L1, proof="p-1", state="denied"),
        consent(5, L1, proof="p-1", late=30),
    ],
)
def test_no_other_consent_lifts_it(word: Touchpoint) -> None:
    shop = Shop().take(*family(), erase(10, L1), word)
    assert [one.id for one in shop.rejected] == ["consent"]


def test_an_operator_lifts_it() -> None:
    lifted = touchpoint("lift", 20, LIFTED, ids=(L1, C1))
    shop = Shop().take(*family(), erase(10, L1), lifted, seen("new", 30, L1, C1))
    assert shop.rejected == []
    assert {L1, C1} <= shop.identities()


def test_revisions_do_not_fall_when_an_erased_profile_comes_back() -> None:
    lifted = touchpoint("lift", 20, LIFTED, ids=(L1,))
    shop = Shop().take(seen("e1", 0, L1), seen("e2", 1, L1), erase(10, L1), lifted, seen("new", 0, L1, late=30))
    revisions = [row["revision"] for row in shop.records("profiles")]
    assert revisions == sorted(set(revisions))
    assert shop.records("profiles")[-1]["revision"] > shop.records("profile-changes")[0]["revision"]


def test_the_same_request_again_changes_nothing() -> None:
    lifted = touchpoint("lift", 20, LIFTED, ids=(L1,))
    shop = Shop().take(seen("e1", 0, L1), erase(10, L1), lifted, seen("new", 30, L1), erase(10, L1))
    assert L1 in shop.identities()


def test_somebody_unknown_can_ask_not_to_be_known() -> None:
    shop = Shop().take(erase(0, L1), seen("e1", 10, L1))
    assert [one.id for one in shop.rejected] == ["e1"]
    assert shop.profiles() == {}


def test_a_request_may_name_two_persons() -> None:
    shop = Shop().take(seen("e1", 0, L1), seen("e2", 1, L2), erase(5, L1, L2))
    assert shop.profiles() == {}


def test_requests_neither_link_nor_anchor() -> None:
    shop = Shop().take(
        seen("e1", 0, L1),
        seen("e2", 1, C1),
        touchpoint("ask", 5, ACCESS, ids=(L1, C1)),
    )
    assert len(shop.profiles()) == 2


def test_hints_at_an_erased_person_are_forgotten_everywhere() -> None:
    registry = Registry(load(""))
    mail = registry.identify("email", "ada@example.com").id
    assert mail is not None
    typed = touchpoint("e1", 0, ids=(C2,), hints=(("email", "ada@example.com"),))
    again = touchpoint("e4", 20, ids=(C2,), hints=(("email", "ada@example.com"), ("email", "bea@example.com")))
    for shards in (1, 5):
        shop = Shop(shards=shards).take(typed, seen("e2", 1, mail), erase(10, mail), again)
        fragment = shop.run.group.home(C2).folding.fragments.get(C2)
        assert fragment is not None
        assert list(fragment.hints) == ["email:bea@example.com"]


def test_other_fragments_forget_that_they_saw_an_erased_identifier() -> None:
    mail = Id("email:" + "a" * 64)
    shop = Shop().take(
        seen("e1", 0, C2, mail),
        seen("e2", 5, C1, mail),
        erase(10, C1),
        seen("e3", 20, C2),
    )
    fragment = shop.run.group.home(C2).folding.fragments.get(C2)
    assert fragment is not None
    assert all(mail not in key for key in fragment.sets)
    assert shop.identities() == {C2}


def test_an_access_request_is_answered_with_everything_that_is_held() -> None:
    data = Data(cart=CartRef(id="cart-1"), items=[item("A", price="20")])
    ask = touchpoint("ask-1", 30, ACCESS, ids=(C1,))
    shop = Shop().take(*family(), touchpoint("e9", 9, "cart.item_added", ids=(C1,), data=data), ask)
    (report,) = shop.records("access-reports")
    assert report["request"] == "ask-1"
    assert {row["value"] for row in report["identifiers"]} == {"L-1", "C-1", "ck-1"}
    assert report["profile"]["carts"]["open"][0]["cart_id"] == "cart-1"
    assert set(report["facts"]) == {L1, C1, COOKIE}
    assert shop.identities() == {L1, L2, C1, C2, COOKIE, DEVICE}


def test_nothing_of_an_erased_person_is_left_in_the_store() -> None:
    data = Data(cart=CartRef(id="cart-1"), items=[item("A", price="20")])
    shop = Shop(shards=3).take(
        *family(), touchpoint("e9", 9, "cart.item_added", ids=(C1, COOKIE), data=data), erase(10, L1)
    )
    kept = [
        fragment
        for name in (L1, L2, C1, C2, COOKIE, DEVICE)
        if (fragment := shop.run.group.home(name).folding.fragments.get(name)) is not None and fragment.sets
    ]
    assert {fragment.id for fragment in kept} == {L2}
    assert not any(canary in str(msgspec.to_builtins(kept)) for canary in CANARIES)


def rest(policy: str = "") -> str:
    return f'[retention]\nanonymous = "30d"\nknown = "100d"\n{policy}'


def test_anonymous_fragments_are_removed_when_their_time_is_over_and_known_ones_later() -> None:
    day = DAY // MINUTE
    shop = Shop(rest()).take(seen("e1", 0, COOKIE), seen("e2", 1, C1), seen("e3", 40 * day, C2))
    assert shop.identities() == {C1, C2}
    shop = Shop(rest()).take(seen("e1", 0, COOKIE), seen("e2", 1, C1), seen("e3", 101.5 * day, C2))
    assert shop.identities() == {C2}
    assert shop.rejected == []


def test_whoever_comes_back_in_time_is_kept() -> None:
    day = DAY // MINUTE
    steps = [seen(f"e{n}", n * 20 * day, COOKIE) for n in range(5)]
    assert Shop(rest()).take(*steps).identities() == {COOKIE}
