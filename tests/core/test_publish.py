"""What is published of a person beside its document: what changed and why, redirects, reduced topics, the sweep."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given

from pipeline.core.effects import Output
from pipeline.core.group import Group
from pipeline.core.identifiers import Registry
from pipeline.core.policy import load
from pipeline.core.publish import sweep
from pipeline.core.replay import replay
from pipeline.core.times import DAY, HOUR, MINUTE, SECOND, parse
from pipeline.core.touchpoint import Id, OrderRef, Touchpoint
from tests.core.touchpoints import COOKIE, CUSTOMER, LOYALTY, NOON, added, item, ordered, touchpoint
from tests.histories import START, policy
from tests.strategies import History, shops

Document = dict[str, Any]
EMAIL = Registry(load("")).identify("email", "jane@example.com").id or COOKIE


class Consumer:
    """Follows `profile-changes` and fetches from the compacted topic what they name."""

    def __init__(self) -> None:
        self.topic: dict[str, Document] = {}
        self.known: dict[str, Document] = {}

    def take(self, output: Output) -> None:
        if output.topic == "profiles":
            if output.value is None:
                self.topic.pop(output.key, None)
            else:
                self.topic[output.key] = json.loads(output.value)
        elif output.topic == "profile-changes":
            assert output.value is not None
            change = json.loads(output.value)
            for id in (change["profile_id"], *change.get("merged_from", ()), *change.get("split_into", ())):
                self.fetch(id)

    def fetch(self, id: str) -> None:
        if id in self.topic:
            self.known[id] = self.topic[id]
        else:
            self.known.pop(id, None)


@given(shops())
def test_a_consumer_that_fetches_what_the_changes_name_ends_with_the_compacted_topic(shop: tuple[str, History]) -> None:
    name, history = shop
    consumer = Consumer()
    for output in replay(history, Registry(policy(name)), START + 3 * DAY):
        consumer.take(output)
    assert consumer.known == consumer.topic


CHAIN = [
    touchpoint("a", 0, ids=(LOYALTY,)),
    touchpoint("b", 1, ids=(CUSTOMER,)),
    touchpoint("c", 2, ids=(COOKIE,)),
    touchpoint("d", 3, ids=(CUSTOMER, COOKIE)),
    touchpoint("e", 4, ids=(LOYALTY, CUSTOMER)),
]


def test_a_redirect_that_is_led_on_is_named_by_the_change() -> None:
    consumer = Consumer()
    outputs = replay(CHAIN, Registry(load("")))
    for output in outputs:
        consumer.take(output)
    assert consumer.known == consumer.topic
    kept = [one for one in consumer.topic.values() if one["status"] == "active"]
    assert len(kept) == 1
    assert {one["merged_into"] for one in consumer.topic.values() if one["status"] == "merged"} == {
        kept[0]["profile_id"]
    }


def page(id: str, minute: float, *ids: Id) -> Touchpoint:
    return touchpoint(id, minute, ids=ids or (CUSTOMER,))


def changes_of(outputs: list[Output]) -> list[Document]:
    return [json.loads(one.value or b"") for one in outputs if one.topic == "profile-changes"]


def test_a_change_names_the_blocks_that_differ_and_the_touchpoint() -> None:
    history = [
        page("a", 0),
        added("b", 5, "S", "cart-1", ids=(CUSTOMER,)),
        ordered("c", 9, OrderRef(id="o"), item("S"), ids=(CUSTOMER,)),
    ]
    created, carted, bought = changes_of(replay(history, Registry(load(""))))
    assert (created["kind"], created["cause"]) == ("created", "a")
    assert (carted["kind"], carted["cause"]) == ("updated", "b")
    assert carted["changed"] == ["identifiers", "preferences", "engagement", "carts", "lineage"]
    assert (bought["cause"], set(bought["changed"]) - {"lineage", "engagement", "identifiers", "preferences"}) == (
        "c",
        {"commerce", "carts"},
    )


def test_what_changes_by_time_alone_is_published_by_a_sweep_once_a_day_at_most() -> None:
    history = [touchpoint("a", 0, "product.viewed", (CUSTOMER,)), ordered("b", 1, OrderRef(id="o"), ids=(CUSTOMER,))]
    changes = changes_of(replay(history, Registry(load("")), NOON + 40 * DAY))
    swept = [one for one in changes if one["cause"] == "sweep"]
    assert 38 <= len(swept) <= 41
    assert all(set(one["changed"]) <= {"commerce", "engagement"} for one in swept)
    times = [one["time"][11:] for one in swept[:-1]]
    assert len(set(times)) == 1, "always at its time of the day"


def test_nothing_is_published_where_time_changes_nothing() -> None:
    changes = changes_of(replay([page("a", 0)], Registry(load("")), NOON + 29 * DAY))
    assert [one["cause"] for one in changes] == ["a"]


def test_the_sweep_comes_to_the_profiles_all_over_the_day() -> None:
    registry = Registry(load(""))
    hours = [sweep(registry.profile_id(Id(f"cookie:{n}")), NOON) // HOUR for n in range(500)]
    assert len(set(hours)) == 24 or len(set(hours)) == 25
    assert all(
        0 <= sweep(registry.profile_id(Id("cookie:1")), NOON + n) - NOON - n < DAY for n in range(0, 3 * DAY, HOUR)
    )


REDUCED = '[publish.reduced]\nanalytics = ["commerce", "engagement"]\ncare = ["consents"]'


def reduced(outputs: list[Output], topic: str) -> list[Document]:
    return [json.loads(one.value or b"") for one in outputs if one.topic == topic]


def test_a_reduced_topic_has_the_header_and_its_blocks_only() -> None:
    history = [page("a", 0), ordered("b", 1, OrderRef(id="o"), item("S"), ids=(CUSTOMER,))]
    outputs = replay(history, Registry(load(REDUCED)))
    documents = reduced(outputs, "profiles.analytics")
    header = ["profile_id", "revision", "status", "updated_at", "as_of", "created_at", "identity"]
    assert [list(one) for one in documents] == [[*header, "engagement"], [*header, "commerce", "engagement"]]
    full = reduced(outputs, "profiles")[-1]
    assert documents[-1] == {name: full[name] for name in documents[-1]}
    assert not any(b"C-1" in (one.value or b"") for one in outputs if one.topic.startswith("profiles."))


def test_a_reduced_topic_is_silent_where_its_blocks_do_not_change() -> None:
    history = [page("a", 0), *(page(f"p{n}", n) for n in range(1, 9))]
    outputs = replay(history, Registry(load(REDUCED)))
    assert (len(reduced(outputs, "profiles")), len(reduced(outputs, "profiles.care"))) == (9, 1)


def test_redirects_and_their_leading_on_are_on_reduced_topics_too() -> None:
    outputs = replay(CHAIN, Registry(load(REDUCED)))
    full, some = (
        {one["profile_id"]: one for one in reduced(outputs, topic)} for topic in ("profiles", "profiles.care")
    )
    merged = {id: one for id, one in full.items() if one["status"] == "merged"}
    assert merged and {id: one for id, one in some.items() if one["status"] == "merged"} == merged


def test_a_policy_with_another_reduced_topic_fills_it() -> None:
    before, after = Registry(load("")), Registry(load(REDUCED))
    group = Group(before, "record")
    group.add(0)
    group.touch(0, page("a", 0))
    rows = group.drain(NOON, NOON).rows[0]
    group = Group(after, "record")
    group.add(0, [(key, row) for key, row in rows.items() if row is not None])
    outputs = group.drain(NOON + MINUTE, NOON + MINUTE).outputs
    assert {one.topic for one in outputs} >= {"profiles", "profiles.analytics", "profiles.care"}
    assert [(one["kind"], one["cause"]) for one in changes_of(outputs)] == [("updated", "policy")]


def test_an_erased_person_leaves_reduced_topics_too() -> None:
    asked = touchpoint("x", 5, "privacy.erasure_requested", (CUSTOMER,))
    outputs = replay([page("a", 0), asked], Registry(load(REDUCED)))
    for topic in ("profiles", "profiles.analytics", "profiles.care"):
        assert [one.value for one in outputs if one.topic == topic][-1] is None


def test_the_document_follows_the_trigger_that_was_fired() -> None:
    policy = load("[triggers]\nrequire_consent = false")
    history = [added("a", 0, "S", "cart-1", ids=(EMAIL,), plain={EMAIL: "jane@example.com"})]
    outputs = replay(history, Registry(policy), NOON + 2 * HOUR)
    (fired,) = [json.loads(one.value or b"") for one in outputs if one.topic == "triggers"]
    known = [one for one in outputs if one.topic == "profiles" and b"last_fired" in (one.value or b"")]
    assert fired["status"] == "fired"
    assert 0 < known[0].time - parse(fired["evaluated_at"]) <= SECOND
