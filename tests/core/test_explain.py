"""Explanations: the path, the obstacle and what would lift it, by small examples."""

from __future__ import annotations

import json
from collections.abc import Sequence

import networkx as nx
import pytest

from pipeline.core.explain import Explanation, UnknownIdentifier, explain, graph, to_json
from pipeline.core.explain_text import text
from pipeline.core.fragment import Fragment
from pipeline.core.identifiers import Registry
from pipeline.core.policy import load
from pipeline.core.times import MINUTE
from pipeline.core.touchpoint import Id
from tests.conformance.test_solve import fragments_of
from tests.histories import START, touchpoint

Seen = tuple[str, Sequence[str]]
"""Type of a touchpoint, and its identifiers as type:value."""


def registry(policy: str = "") -> Registry:
    return Registry(load(f"[identity]\nnormalise = false\n{policy}"))


def fragments(registry: Registry, *seen: Seen) -> list[Fragment]:
    """One touchpoint a minute, e0 at the start."""
    made = [
        touchpoint(
            minute, type, "web", list(map(Id, ids)), START + minute * MINUTE, START + minute * MINUTE, 0, registry
        )
        for minute, (type, ids) in enumerate(seen)
    ]
    return list(fragments_of(made, registry).values())


def told(policy: str, one: str, other: str | None, *seen: Seen) -> Explanation:
    known = registry(policy)
    return explain(fragments(known, *seen), known, Id(one), None if other is None else Id(other))


VISIT = ("page.viewed", ["customer:C-1", "cookie:ck-1"])
LOGIN = ("identity.observed", ["customer:C-1", "email:ada@example.com"])


def test_one_person_is_explained_by_the_edges_between_the_two() -> None:
    why = told("", "cookie:ck-1", "email:ada@example.com", VISIT, LOGIN, VISIT)
    assert why.verdict == "same"
    assert [(edge.a, edge.b, edge.count) for edge in why.path] == [
        ("cookie:ck-1", "customer:C-1", 2),
        ("customer:C-1", "email:ada@example.com", 1),
    ]
    assert (why.path[0].first, why.path[0].first_touchpoint) == ("2026-03-02T08:00:00Z", "e0")
    assert (why.path[0].last, why.path[0].last_touchpoint) == ("2026-03-02T08:02:00Z", "e2")
    assert why.path[0].sources == {"web/shop": 2}


def test_a_skipped_edge_says_which_rule_and_whose_values() -> None:
    other = ("page.viewed", ["customer:C-2", "cookie:ck-1"])
    why = told("", "customer:C-1", "cookie:ck-1", VISIT, other)
    assert why.verdict == "different"
    assert [edge.reasons for edge in why.skipped] == [("unique:customer",)]
    assert why.skipped[0].changes == (
        "customer:C-1 and customer:C-2 would be one person: a person has one customer while identity.unique names it",
    )


def test_a_limit_says_how_many_there_would_be() -> None:
    seen = [("page.viewed", ["customer:C-1", f"email:{name}@example.com"]) for name in ("ada", "bea", "cem")]
    why = told("limits = { email = 2 }", "customer:C-1", "email:ada@example.com", *seen)
    assert why.skipped[0].changes == ("the person would have 3 email values: identity.limits allows 2",)


def test_a_veto_names_its_time_and_what_lifts_it() -> None:
    veto = ("identity.unlinked", ["customer:C-1", "cookie:ck-1"])
    why = told("", "customer:C-1", "cookie:ck-1", VISIT, veto)
    assert why.skipped[0].reasons == ("forbidden",)
    assert "unlinked at 2026-03-02T08:01:00Z: a later identity.observed" in why.skipped[0].changes[0]
    lifted = told("", "customer:C-1", "cookie:ck-1", VISIT, veto, ("identity.observed", VISIT[1]))
    assert lifted.verdict == "same"


def test_two_who_meet_only_through_a_third_see_the_edge_that_was_skipped_on_the_way() -> None:
    other = ("page.viewed", ["customer:C-2", "cookie:ck-1"])
    late = ("page.viewed", ["customer:C-3", "device:d-1"])
    shared = ("page.viewed", ["cookie:ck-1", "device:d-1"])
    why = told("", "customer:C-1", "customer:C-3", VISIT, other, late, shared)
    assert why.verdict == "different"
    assert ("cookie:ck-1", "customer:C-1") in [(edge.a, edge.b) for edge in why.skipped]


def test_strangers_are_said_to_be_strangers() -> None:
    why = told("", "customer:C-1", "customer:C-9", VISIT, ("page.viewed", ["customer:C-9"]))
    assert not why.skipped
    assert "No touchpoint showed the two together" in text(why)


def test_a_hub_is_shown_to_those_who_were_seen_with_it() -> None:
    till = [("page.viewed", [f"customer:C-{n}", "device:till"]) for n in range(3)]
    why = told("hub_degree = 2", "customer:C-0", "customer:C-1", *till)
    assert [(hub.identifier, hub.seen_with) for hub in why.hubs] == [
        ("device:till", {"customer:C-0": 1, "customer:C-1": 1}),
    ]


def test_one_identifier_shows_its_person_with_kept_and_skipped_edges() -> None:
    other = ("page.viewed", ["customer:C-2", "cookie:ck-1"])
    why = told("", "customer:C-2", None, VISIT, LOGIN, other)
    assert why.verdict == "person"
    assert why.persons[0].identifiers == ["customer:C-2", "cookie:ck-1"]
    assert [(edge.a, edge.b) for edge in why.kept] == [("cookie:ck-1", "customer:C-2")]
    assert [(edge.a, edge.b) for edge in why.skipped] == [("cookie:ck-1", "customer:C-1")]


def test_an_identifier_that_was_never_seen_is_unknown() -> None:
    with pytest.raises(UnknownIdentifier):
        told("", "customer:C-9", None, VISIT)


def test_an_address_is_shown_as_the_policy_publishes_it() -> None:
    for shown, label in (("raw", "email:ada@example.com"), ("sha256", "email:sha256")):
        known = Registry(load(f'[publish]\nidentifiers = {{ email = "{shown}" }}'))
        found = known.identify("email", "Ada@Example.com")
        assert found.id is not None and found.plain is not None
        tp = touchpoint(0, "page.viewed", "web", [Id("customer:C-1"), found.id], START, START, 0, known)
        tp.plain = {found.id: found.plain}
        asked = explain(fragments_of([tp], known).values(), known, found.id).asked
        assert asked == [label.replace("email:sha256", found.id)]


def test_an_explanation_is_json_and_text() -> None:
    why = told("", "cookie:ck-1", "email:ada@example.com", VISIT, LOGIN)
    assert json.loads(to_json(why))["verdict"] == "same"
    assert text(why).splitlines()[1:] == [
        "because of:",
        "  cookie:ck-1 - customer:C-1  once, 2026-03-02T08:00:00Z (e0)",
        "  customer:C-1 - email:ada@example.com  once, 2026-03-02T08:01:00Z (e1)",
    ]


def test_the_graph_tells_kept_and_skipped_edges_apart() -> None:
    known = registry()
    drawn = graph(fragments(known, VISIT, ("page.viewed", ["customer:C-2", "cookie:ck-1"])), known)
    assert nx.get_edge_attributes(drawn, "kept") == {
        ("customer:C-1", "cookie:ck-1"): False,
        ("customer:C-2", "cookie:ck-1"): True,
    }
