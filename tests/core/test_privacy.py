"""Erasure and access: what a person's request withdraws, forgets, keeps out from then on, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from random import Random
from typing import Any

import msgspec
import pytest

from pipeline.core.effects import Output
from pipeline.core.events import ACCESS, ERASURE, LIFTED
from pipeline.core.group import Group
from pipeline.core.identifiers import KEY_BYTES, Registry
from pipeline.core.mail import EVERYBODY, Link, Request, Suppress, Unite, Unwatch, decode, encode
from pipeline.core.policy import Policy, load
from pipeline.core.replay import Replay
from pipeline.core.times import DAY, MINUTE, SECOND
from pipeline.core.touchpoint import CartRef, ConsentRef, Data, Id, Rejected, Touchpoint
from pipeline.kafka.metrics import generate
from pipeline.kafka.metrics import registry as registry_of
from pipeline.kafka.stats import Stats
from tests import histories
from tests.core.touchpoints import NOON, item, touchpoint
from tests.published import Published

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


def test_a_reduced_topic_forgets_the_person_too() -> None:
    policy = '[publish.reduced]\nanalytics = ["engagement"]\n'
    shop = Shop(policy).take(*family(), erase(10, L1))
    gone = {key for key, row in shop.state("profiles").items() if row is None}
    assert gone == {key for key, row in shop.state("profiles.analytics").items() if row is None}
    assert gone


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
    stats = Stats()
    stats.counts.update(shop.run.counts)
    assert b'selvedge_triggers_total{family="cart",status="retracted"} 1.0' in generate(registry_of(stats))


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


class Fleet:
    """Two processes that share the shards, with what the state topic keeps of each shard."""

    def __init__(self, shards: int = 4, policy: Policy | None = None) -> None:
        self.registry = Registry(policy or load(NO_CONSENT_NEEDED), shards=shards)
        self.rows: list[dict[bytes, bytes]] = [{} for _ in range(shards)]
        self.outputs: list[Output] = []
        self.mail: list[tuple[int, bytes]] = []
        self.sent: list[bytes] = []
        self.clock = 0
        self.start()

    def start(self) -> None:
        self.groups = [Group(self.registry, "record") for _ in range(2)]
        for shard, rows in enumerate(self.rows):
            self.groups[shard % 2].add(shard, rows.items())

    def take(self, *touchpoints: Touchpoint) -> list[Rejected]:
        """Each in an epoch of its own; mail arrives one epoch later."""
        refused = []
        for one in touchpoints:
            self.clock = max(self.clock, one.received)
            shard = self.registry.home(one.ids[0])
            rejected = self.groups[shard % 2].touch(shard, one)
            refused += [rejected] if rejected is not None else []
            refused += self.settle()
        return refused

    def settle(self) -> list[Rejected]:
        refused = []
        while True:
            for group in self.groups:
                effects = group.drain(self.clock, self.clock)
                self.outputs += effects.outputs
                self.mail += effects.mail
                self.sent += [message for _, message in effects.mail]
                refused += effects.rejected
                for shard, rows in effects.rows.items():
                    self.rows[shard] |= {key: row for key, row in rows.items() if row is not None}
                    self.rows[shard] = {k: row for k, row in self.rows[shard].items() if rows.get(k, b"") is not None}
            if not self.mail:
                return refused
            self.mail, arrived = [], self.mail
            for shard, message in arrived:
                self.groups[shard % 2].receive(shard, message)

    def published(self) -> Published:
        return Published(self.outputs)


SECRETS = ("L-1", "C-1", "ck-1", "cart-1", "a" * 64)


@pytest.mark.parametrize("restart", [False, True])
def test_no_trace_of_an_erased_person_is_left_in_state_memory_or_mail(restart: bool) -> None:
    data = Data(cart=CartRef(id="cart-1"), items=[item("A", price="20")])
    mail = Id("email:" + "a" * 64)
    fleet = Fleet()
    fleet.take(
        *family(),
        touchpoint("e9", 9, "cart.item_added", ids=(C1, mail, COOKIE), data=data),
        seen("e10", 80, L2, mail),
        seen("e11", 81, L1, mail),
        seen("e12", 90, L2, COOKIE),
        seen("e13", 91, L1, COOKIE),
    )
    kept = [str(rows) for rows in fleet.rows]
    assert all(any(secret in text for text in kept) for secret in SECRETS), "the canaries were there"
    fleet.take(erase(100, L1))
    if restart:
        fleet.start()
    fleet.take(seen("after", 200, L2), seen("again", 201, L2, DEVICE))
    secret = [one for one in SECRETS if one != "ck-1"]
    assert [row for rows in fleet.rows for row in rows.items() if any(one in str(row) for one in secret)] == []
    for group in fleet.groups:
        for shard in group.shards:
            held = memory(group.remove(shard))
            assert [one for one in secret if one in held] == []
    assert fleet.published().identities.keys() == {L2, C2, DEVICE, COOKIE}


def memory(value: Any, seen: set[int] | None = None) -> str:
    """All texts and bytes that can be reached from a value's members."""
    seen = set() if seen is None else seen
    if id(value) in seen or isinstance(value, type | int | float | bool | None | Registry | Policy):
        return ""
    seen.add(id(value))
    if isinstance(value, str | bytes):
        return str(value)
    if isinstance(value, dict):
        return " ".join(memory(part, seen) for pair in value.items() for part in pair)
    if isinstance(value, list | tuple | set | frozenset):
        return " ".join(memory(part, seen) for part in value)
    members = getattr(value, "__struct_fields__", None) or getattr(value, "__slots__", None) or vars_of(value)
    return " ".join(memory(getattr(value, name, None), seen) for name in members)


def vars_of(value: Any) -> Sequence[str]:
    return list(getattr(value, "__dict__", {}))


def test_two_processes_refuse_what_an_erased_person_sends_and_let_it_in_again_when_lifted() -> None:
    fleet = Fleet()
    fleet.take(*family())
    fleet.take(erase(10, L1))
    refused = fleet.take(seen("e6", 20, L1), seen("e7", 21, C1, Id("cookie:x")), seen("e8", 22, Id("email:z"), COOKIE))
    assert [one.id for one in refused] == ["e6", "e7", "e8"]
    fleet.take(touchpoint("lift", 30, LIFTED, ids=(L1, C1, COOKIE)))
    assert fleet.take(seen("e9", 40, L1, COOKIE), seen("e10", 41, C1, COOKIE), seen("e11", 42, L1, DEVICE)) == []
    identities = fleet.published().identities
    assert identities.keys() == {L1, L2, C1, C2, COOKIE, DEVICE}
    assert identities[L1]["profile_id"] == identities[DEVICE]["profile_id"] == identities[COOKIE]["profile_id"]


def test_a_suppression_holds_for_all_shards_of_a_process_at_once() -> None:
    registry = Registry(load(""), shards=3)
    group = Group(registry, "record")
    for shard in range(3):
        group.add(shard)
    group.receive(1, encode(Suppress(EVERYBODY, {registry.key(L1): (NOON, 0)})))
    group.drain(NOON, NOON)
    assert all(L1 in group.shard(shard).suppressions for shard in range(3))


def test_mail_that_was_on_its_way_when_somebody_was_erased_brings_no_name_back() -> None:
    registry = Registry(load(""))
    group = Group(registry, "record")
    group.add(0)
    for one in (seen("e1", 0, L1), seen("e2", 1, COOKIE), erase(5, L1)):
        group.touch(0, one)
        group.drain(one.received, one.received)
    group.receive(0, encode(Unite(COOKIE, L1)))
    group.receive(0, encode(Link(COOKIE, L1, NOON, NOON, False)))
    group.drain(NOON + DAY, NOON + DAY)
    nodes = group.shard(0).index.nodes
    cookie = nodes.get(COOKIE)
    assert cookie is not None
    assert cookie.parent == registry.masked(L1)
    assert L1 not in cookie.anchors
    assert nodes.get(L1) is None


def requests_among(random: Random, touchpoints: Sequence[Touchpoint]) -> Iterator[Touchpoint]:
    """The touchpoints, one a second in the order in which they were received, with requests in between."""
    names = sorted({name for one in touchpoints for name in one.ids})
    for second, one in enumerate(sorted(touchpoints, key=lambda one: one.received)):
        received = NOON + DAY + second * 2 * SECOND
        yield msgspec.structs.replace(one, received=received)
        if random.random() < 0.15:
            ids = tuple(random.sample(names, random.choice((1, 1, 2))))
            type = random.choice((ERASURE, ERASURE, LIFTED))
            request = touchpoint(f"request-{second}", 0, type, ids=ids)
            yield msgspec.structs.replace(request, time=received, received=received + SECOND)


@pytest.mark.parametrize("seed", range(60))
def test_requests_among_anything_give_the_same_in_one_shard_as_in_two_processes(seed: int) -> None:
    random = Random(seed)
    policy = random.choice(list(histories.POLICIES))
    registry = Registry(histories.policy(policy))
    steps = list(requests_among(random, histories.history(random, 40, registry)))
    alone = Replay(registry, (outputs := []).append)
    refused = [rejected for one in steps if (rejected := alone.touch(one)) is not None]
    alone.finish()
    fleet = Fleet(policy=histories.policy(policy))
    assert fleet.take(*steps) == refused
    ours, theirs = fleet.published(), Published(outputs)
    assert ours.persons() == theirs.persons()
    assert ours.profile_ids() == theirs.profile_ids()
    assert ours.broken_redirects() == theirs.broken_redirects() == []


def rest(policy: str = "") -> str:
    return f'[retention]\nanonymous = "30d"\nknown = "100d"\n{policy}'


def test_anonymous_fragments_are_removed_when_their_time_is_over_and_known_ones_later() -> None:
    day = DAY // MINUTE
    shop = Shop(rest()).take(seen("e1", 0, COOKIE), seen("e2", 1, C1), seen("e3", 40 * day, C2))
    assert shop.identities() == {C1, C2}
    shop = Shop(rest()).take(seen("e1", 0, COOKIE), seen("e2", 1, C1), seen("e3", 101.5 * day, C2))
    assert shop.identities() == {C2}
    assert shop.rejected == []


def expired(fleet: Fleet) -> list[str]:
    """What the state and the memory of a fleet still hold of the cookies of an anonymous visitor."""
    texts = [str(row) for rows in fleet.rows for row in rows.items()]
    texts += [memory(group.shard(shard)) for group in fleet.groups for shard in group.shards]
    return [text for text in texts if "ck-1" in text or "d-1" in text]


def test_nothing_is_left_of_an_anonymous_visitor_whose_time_is_over() -> None:
    fleet, day = Fleet(policy=load(rest(NO_CONSENT_NEEDED))), DAY // MINUTE
    data = Data(cart=CartRef(id="cart-1"), items=[item("A", price="20")])
    fleet.take(
        seen("e1", 0, COOKIE), touchpoint("e2", 1, "cart.item_added", ids=(COOKIE,), data=data), seen("e3", 200, C2)
    )
    published = {key: row["revision"] for key, row in fleet.published().profiles.items()}
    assert expired(fleet)
    fleet.take(seen("e4", 40 * day, C2))
    assert expired(fleet) == []
    assert fleet.published().identities.keys() == {C2}
    fleet.start()
    fleet.take(seen("e5", 41 * day, COOKIE))
    again = fleet.published().profiles
    profile_id = fleet.registry.profile_id(COOKIE)
    assert again[profile_id]["revision"] > published[profile_id], "revisions do not fall"
    assert again[profile_id]["lineage"]["touchpoints"] == 1


def test_a_visitor_whose_identifiers_are_known_together_goes_with_all_of_them() -> None:
    fleet, day = Fleet(1, load(rest())), DAY // MINUTE
    fleet.take(seen("e1", 0, DEVICE, COOKIE), seen("e2", 40 * day, C2))
    assert fleet.published().identities.keys() == {C2}
    assert expired(fleet) == []


VISITOR = tuple(Id(f"{type}:gone-{n}") for n in range(6) for type in ("device", "cookie", "checkout"))


def traces_of(fleet: Fleet, word: str) -> list[str]:
    """Rows of the state in which a word occurs."""
    return [text for rows in fleet.rows for row in rows.items() if word in (text := str(row))]


def masks_in(fleet: Fleet) -> int:
    return sum(len(key) > 1 + KEY_BYTES for rows in fleet.rows for key in rows if key[:1] in b"NS")


def strolls() -> list[Touchpoint]:
    """An anonymous visitor with many devices, cookies and checkouts, some anchors, some only seen with others."""
    data = Data(cart=CartRef(id="cart-1"), items=[item("A", price="20")])
    pairs = pairwise(VISITOR)
    steps = [touchpoint(f"v{n}", n, "cart.item_added", ids=sorted_ids(two), data=data) for n, two in enumerate(pairs)]
    return [*steps, *(seen(f"w{n}", 100 + n, VISITOR[n]) for n in (1, 4, 7))]


def sorted_ids(ids: Iterable[Id]) -> tuple[Id, ...]:
    ranks = ["loyalty", "customer", "email", "phone", "device", "cookie", "checkout"]
    return tuple(sorted(ids, key=lambda id: (ranks.index(id.partition(":")[0]), id)))


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("shards", [1, 3, 8])
def test_nothing_is_left_of_a_visitor_whose_identifiers_are_spread_over_shards(shards: int, restart: bool) -> None:
    fleet, day = Fleet(shards, load(rest(NO_CONSENT_NEEDED))), DAY // MINUTE
    fleet.take(*strolls(), seen("e3", 200, C2))
    assert len(fleet.published().persons()) == 2
    assert traces_of(fleet, "gone-")
    rows = sum(map(len, fleet.rows))
    fleet.take(seen("e4", 40 * day, C2))
    assert fleet.published().identities.keys() == {C2}
    assert traces_of(fleet, "gone-") == traces_of(fleet, "cart-1") == []
    if restart:
        fleet.start()
    fleet.take(seen("e5", 40.1 * day, C2))
    assert masks_in(fleet) == 0, "rows go, too"
    assert sum(map(len, fleet.rows)) < rows
    (name,) = fleet.published().identities
    fleet.take(seen("e6", 41 * day, VISITOR[0], VISITOR[1]))
    assert fleet.published().persons() == {frozenset({name}), frozenset(VISITOR[:2])}


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("shards", [1, 3, 8])
def test_what_is_known_no_more_goes_out_of_a_cluster_of_which_the_rest_stays(shards: int, again: bool) -> None:
    fleet, day = Fleet(shards, load(rest(NO_CONSENT_NEEDED))), DAY // MINUTE
    gone = [Id(f"device:gone-{n}") for n in range(8)]
    fleet.take(*(seen(f"a{n}", n, one, COOKIE) for n, one in enumerate(gone)), seen("b", 10, C1, COOKIE))
    assert len(fleet.published().persons()) == 1
    fleet.take(seen("c", 40 * day, C1, COOKIE))
    assert fleet.published().persons() == {frozenset({C1, COOKIE})}
    assert traces_of(fleet, "gone-") == []
    if again:
        fleet.take(seen("d", 41 * day, gone[0], COOKIE), seen("e", 41.1 * day, C2, gone[1]))
        assert fleet.published().persons() == {frozenset({C1, COOKIE, gone[0]}), frozenset({C2, gone[1]})}
        fleet.take(seen("f", 80 * day, C1, COOKIE))
        assert fleet.published().persons() == {frozenset({C1, COOKIE}), frozenset({C2, gone[1]})}
        assert traces_of(fleet, "gone-0") == []


MET = [
    *(Id(f"customer:C{n}") for n in (1, 2)),
    Id("email:" + "a" * 64),
    *(Id(f"device:d{n}") for n in (1, 2, 3)),
    *(Id(f"cookie:c{n}") for n in (1, 2, 3)),
    *(Id(f"checkout:k{n}") for n in (1, 2)),
]


def months(random: Random) -> Iterator[Touchpoint]:
    """Visits with gaps in which some are forgotten, so that they come again where their masks stand."""
    minute, visits, gap = 0.0, random.randint(3, 30), random.choice((1, 5, 20, 45)) * DAY // MINUTE
    for n in range(visits):
        minute += random.choice((1, 60, DAY // MINUTE, gap)) * random.random()
        yield seen(f"m{n}", minute, *sorted_ids(random.sample(MET, random.choice((1, 2, 2, 2, 3)))))
    yield seen("last", minute + 1, Id("customer:Z"))


@pytest.mark.parametrize("seed", [27, 93, 136, 189, 302, 453, 508, *range(1, 7)])
def test_who_comes_again_after_months_is_the_same_person_on_any_number_of_shards(seed: int) -> None:
    policy = load(rest(("" if seed % 3 else "[identity]\nhub_degree = 2\n") + NO_CONSENT_NEEDED))
    found = []
    for shards in (1, 3, 8):
        fleet, restarts = Fleet(shards, policy), Random(seed + shards)
        for one in months(Random(seed)):
            fleet.take(one)
            if restarts.random() < 0.1:
                fleet.start()
        published = fleet.published()
        found.append((published.identities.keys(), published.persons(), published.shared()))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("shards", [1, 3, 8])
def test_a_hub_forgets_whom_it_was_seen_with_when_their_time_is_over(shards: int) -> None:
    fleet, day = Fleet(shards, load(rest("[identity]\nhub_degree = 2\n" + NO_CONSENT_NEEDED))), DAY // MINUTE
    gone = [Id(f"device:gone-{n}") for n in range(5)]
    fleet.take(*(seen(f"a{n}", n, one, COOKIE) for n, one in enumerate(gone)))
    fleet.take(seen("b", 10, C1, COOKIE), seen("c", 39 * day, C1, COOKIE))
    assert traces_of(fleet, "gone-") == []
    assert fleet.published().shared() == {COOKIE}


def test_a_visitor_of_whom_others_still_say_something_stays_where_it_is() -> None:
    shop, day = Shop(rest()), DAY // MINUTE
    shop.take(seen("e1", 0, COOKIE), seen("e2", 1, C1, COOKIE), seen("e3", 40 * day, C2), seen("e4", 41 * day, COOKIE))
    assert shop.identities() == {C1, C2, COOKIE}
    assert len(Published(shop.outputs).documents()) == 2


@pytest.mark.parametrize("restart", [False, True])
def test_mail_that_follows_an_erasure_does_not_name_the_person(restart: bool) -> None:
    data = Data(cart=CartRef(id="cart-1"), items=[item(sku, price="20") for sku in "ABCDEFGH"])
    fleet = Fleet()
    fleet.take(*family(), touchpoint("e9", 9, "cart.item_added", ids=(L1,), data=data))
    if restart:
        fleet.start()
    before = len(fleet.sent)
    fleet.take(erase(100, L1))
    later = [decode(message) for message in fleet.sent[before:]]
    gone = {type(one) for one in later}
    assert {Unwatch, Suppress} <= gone
    assert [one for one in later if not isinstance(one, Request) and "L-1" in str(one)] == []
    watchers = [row for rows in fleet.rows for key, row in rows.items() if key[:1] == b"W"]
    assert watchers and not any(b"L-1" in row for row in watchers)


def test_whoever_comes_back_in_time_is_kept() -> None:
    day = DAY // MINUTE
    steps = [seen(f"e{n}", n * 20 * day, COOKIE) for n in range(5)]
    assert Shop(rest()).take(*steps).identities() == {COOKIE}


def test_an_erasure_that_waits_for_its_person_to_be_whole_has_an_age_also_after_a_restart() -> None:
    registry = Registry(load(""), shards=2)
    at_home = [("loyalty", 0), ("customer", 1), ("cookie", 1)]
    strong, weak, weakest = (
        next(name for number in range(40) if registry.home(name := Id(f"{type}:{number}")) == shard)
        for type, shard in at_home
    )
    here, there = Group(registry), Group(registry)
    here.add(0), there.add(1)
    rows: dict[bytes, bytes] = {}

    def end(group: Group, minute: float) -> list[bytes]:
        effects = group.drain(NOON + round(minute * MINUTE), NOON)
        for key, row in effects.rows.get(0, {}).items() if group is here else ():
            rows.pop(key, None) if row is None else rows.update({key: row})
        return [message for _, message in effects.mail]

    there.touch(1, seen("e1", 0, weak, weakest))
    end(there, 0)
    here.touch(0, seen("e2", 1, strong, weak))
    for message in end(here, 1):
        there.receive(1, message)
    bundle = end(there, 1)
    assert len(bundle) >= 2 and here.oldest_erasure() == 0
    here.receive(0, bundle[0])
    here.touch(0, erase(5, strong))
    end(here, 5)
    assert here.oldest_erasure() == NOON + 5 * MINUTE
    again = Group(registry)
    again.add(0, rows.items())
    assert again.oldest_erasure() == NOON + 5 * MINUTE
    for message in bundle[1:]:
        here.receive(0, message)
    end(here, 6)
    assert here.oldest_erasure() == 0
