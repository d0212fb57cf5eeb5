"""Explanations: the path, the obstacle and what would lift it, by small examples."""

from __future__ import annotations

import json
import xml.etree.ElementTree as xml
from collections.abc import Sequence

import networkx as nx
import pytest

from pipeline.core.explain.case import explain
from pipeline.core.explain.difference import difference
from pipeline.core.explain.evidence import UnreadableEvidence, decode, encode
from pipeline.core.explain.graph import graph, graphml
from pipeline.core.explain.known import Known, Malformed, UnknownIdentifier
from pipeline.core.explain.picture import svg
from pipeline.core.explain.records import Difference, Explanation, to_json
from pipeline.core.explain.text import text
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
    known = known_by(policy, *seen)
    return explain(known, known.find(one), None if other is None else known.find(other))


def known_by(policy: str, *seen: Seen) -> Known:
    rules = registry(policy)
    return Known(fragments(rules, *seen), rules)


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
    assert why.skipped[0].changes[0] == (
        "customer:C-1 and customer:C-2 would be one person: a person has one customer while identity.unique names it"
    )


def test_a_limit_says_how_many_there_would_be() -> None:
    seen = [("page.viewed", ["customer:C-1", f"email:{name}@example.com"]) for name in ("ada", "bea", "cem")]
    why = told("limits = { email = 2 }", "customer:C-1", "email:ada@example.com", *seen)
    assert why.skipped[0].changes[0] == "the person would have 3 email values: identity.limits allows 2"


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
        asked = explain(Known(fragments_of([tp], known).values(), known), found.id).asked
        assert asked == [label.replace("email:sha256", found.id)]


def test_an_explanation_is_json_and_text() -> None:
    why = told("", "cookie:ck-1", "email:ada@example.com", VISIT, LOGIN)
    assert json.loads(to_json(why))["verdict"] == "same"
    assert text(why).splitlines()[1:] == [
        "because of:",
        "  cookie:ck-1 - customer:C-1  once, 2026-03-02T08:00:00Z (e0)",
        "  customer:C-1 - email:ada@example.com  once, 2026-03-02T08:01:00Z (e1)",
    ]


def test_an_edge_that_a_newer_touchpoint_would_bring_back_says_so_and_at_what_price() -> None:
    other = ("page.viewed", ["customer:C-2", "cookie:ck-1"])
    why = told("", "customer:C-1", "cookie:ck-1", VISIT, LOGIN, other)
    assert why.skipped[0].changes[-1] == (
        "a touchpoint with both after 2026-03-02T08:02:00Z would make the two one person, without customer:C-2"
    )


def test_those_who_share_only_a_hub_are_told_so() -> None:
    till = [("page.viewed", [f"customer:C-{n}", "device:till"]) for n in range(3)]
    why = told("hub_degree = 2", "customer:C-0", "customer:C-1", *till)
    assert why.hubs[0].both
    assert why.hubs[0].change == "seen with 3 anchors: identity.hub_degree allows device 2"
    assert "No touchpoint" not in text(why)


def test_a_shared_identifier_says_that_it_joins_nobody() -> None:
    till = [("page.viewed", [f"customer:C-{n}", "device:till"]) for n in range(3)]
    assert text(told("hub_degree = 2", "device:till", None, *till)).startswith("device:till is shared: it joins nobody")


def test_an_oversize_component_is_the_reason() -> None:
    chain = [("page.viewed", [f"cookie:ck-{n}", f"cookie:ck-{n + 1}"]) for n in range(4)]
    why = told("component_max = 4", "cookie:ck-0", "cookie:ck-1", *chain)
    assert [edge.reasons for edge in why.skipped] == [("oversize",)]
    assert "component_max" in why.skipped[0].changes[0]


@pytest.mark.parametrize("text", ["ck-1", ":ck-1", "cookie:", "cookie: ", ""])
def test_what_is_no_identifier_is_told_apart_from_one_never_seen(text: str) -> None:
    with pytest.raises(Malformed, match="type:value"):
        known_by("", VISIT).find(text)


def test_an_unknown_identifier_suggests_those_that_look_like_it() -> None:
    known = known_by("", VISIT, LOGIN)
    with pytest.raises(UnknownIdentifier, match="did you mean cookie:ck-1"):
        known.find("device:ck-1")
    with pytest.raises(UnknownIdentifier, match=r"did you mean email:ada@example\.com"):
        known.find("email:ada@exmaple.com")
    with pytest.raises(UnknownIdentifier, match="blocked"):
        known.find("cookie:null")


def test_a_contact_hint_is_said_to_join_nobody() -> None:
    rules = Registry(load(""))
    with pytest.raises(UnknownIdentifier, match="contact hints"):
        Known([], rules).find("email:not-an-address")


# -- the graph ---------------------------------------------------------------------------------------------------------

TILL = [("page.viewed", [f"customer:C-{n}", "device:till"]) for n in range(1, 5)]
FAMILY = [VISIT, LOGIN, ("page.viewed", ["customer:C-2", "cookie:ck-1"]), *TILL]


def test_the_graph_tells_kept_skipped_and_shared_edges_apart() -> None:
    drawn = graph(known_by("hub_degree = 2", *FAMILY), Id("customer:C-1"))
    kinds = {frozenset(two): kind for *two, kind in drawn.edges(data="kind")}
    assert kinds[frozenset(("customer:C-1", "email:ada@example.com"))] == "kept"
    assert kinds[frozenset(("customer:C-1", "cookie:ck-1"))] == "skipped"
    assert kinds[frozenset(("customer:C-1", "device:till"))] == "shared"
    assert "customer:C-4" not in drawn


def test_graphml_is_read_back_as_the_same_graph() -> None:
    drawn = graph(known_by("hub_degree = 2", *FAMILY), Id("customer:C-1"))
    again = nx.parse_graphml(graphml(drawn))
    assert dict(again.nodes) == dict(drawn.nodes)
    assert {frozenset(edge): again.edges[edge] for edge in again.edges} == {
        frozenset(edge): drawn.edges[edge] for edge in drawn.edges
    }


def test_the_picture_names_every_identifier_and_marks_hubs_and_skipped_edges() -> None:
    rules = registry("hub_degree = 2")
    drawn = graph(Known(fragments(rules, *FAMILY), rules), Id("customer:C-1"))
    shown = xml.fromstring(svg(drawn))
    space = "{http://www.w3.org/2000/svg}"
    names = {one.text for one in shown.iter(f"{space}text")}
    assert names >= set(drawn.nodes) | {"unique:customer"}
    classes = [one.get("class", "") for one in shown.iter()]
    assert classes.count("skipped") == 2
    assert any("hub" in one for one in classes)
    spots = [one for one in shown.iter(f"{space}text") if one.get("class") == "name"]
    assert len({(one.get("x"), one.get("y")) for one in spots}) == len(spots)


def test_a_picture_of_very_many_stays_one_that_can_be_read() -> None:
    crowd = [("page.viewed", ["customer:C-1", f"cookie:{n:040}"]) for n in range(200)]
    others = [("page.viewed", [f"customer:C-{n}", f"cookie:{n:040}"]) for n in range(2, 40)]
    known = known_by("limits = {}\nhub_degree = 50", *others, *crowd)
    shown = svg(graph(known, Id("customer:C-1")))
    assert "not shown" in shown
    assert "left out" in shown


# -- another policy ----------------------------------------------------------------------------------------------------


def compared(policy: str, other: str, one: str, two: str | None, *seen: Seen) -> Difference:
    now = known_by(policy, *seen)
    then = now.under(registry(other))
    return difference(now, then, "other.toml", now.find(one), None if two is None else now.find(two))


APART = 'forbidden = [[["customer", "C-1"], ["email", "ada@example.com"]]]'


@pytest.mark.parametrize(
    ("other", "edge", "reason"),
    [
        ("person_max = 2", ("cookie:ck-1", "customer:C-1"), "person_max"),
        (APART, ("customer:C-1", "email:ada@example.com"), "forbidden"),
    ],
)
def test_another_policy_that_keeps_two_apart_names_the_edge(other: str, edge: tuple[str, str], reason: str) -> None:
    found = compared("", other, "cookie:ck-1", "email:ada@example.com", VISIT, LOGIN)
    assert (found.same, found.verdict) == (False, "different")
    assert [(fate.a, fate.b, fate.before, fate.after) for fate in found.edges] == [(*edge, (), (reason,))]


def test_another_policy_that_changes_nothing_for_them_says_so() -> None:
    found = compared("", "person_max = 3", "cookie:ck-1", "email:ada@example.com", VISIT, LOGIN)
    assert found.same
    assert "nothing would differ" in text(told("", "cookie:ck-1", "email:ada@example.com", VISIT, LOGIN).beside(found))


def test_hubs_are_counted_anew_under_another_policy() -> None:
    found = compared("hub_degree = 2", "hub_degree = 9", "customer:C-1", None, *FAMILY)
    assert found.not_shared == ["device:till"]
    back = compared("hub_degree = 9", "hub_degree = 2", "customer:C-4", "device:till", *FAMILY)
    assert (back.shared, back.verdict) == (["device:till"], "different")


def test_values_that_another_policy_blocks_are_said_to_be_gone() -> None:
    seen = ("page.viewed", ["customer:C-1", "email:x@example.com", "cookie:ck-1"])
    rules = registry('blocked = ["C-1"]')
    then = Known(fragments(rules, (seen[0], seen[1][1:])), rules)
    now = known_by("", seen)
    found = difference(now, then, "other.toml", now.find("email:x@example.com"), now.find("cookie:ck-1"))
    assert (found.verdict, found.absent, found.left) == ("same", ["customer:C-1"], ["customer:C-1"])
    assert found.rebuild == ["identity.blocked"]
    assert "`selvedge rebuild`" in text(explain(now, now.find("cookie:ck-1")).beside(found))


def test_a_look_under_another_policy_is_what_its_own_fold_would_say() -> None:
    for other in ("hub_degree = 2", "hub_fanout = 1", "person_max = 3"):
        rules = registry(other)
        then = known_by("", *FAMILY).under(rules)
        plain = Known(fragments(rules, *FAMILY), rules).under(rules)
        for id in plain._met_by:
            assert explain(then, id).persons == explain(plain, id).persons, other


# -- evidence ----------------------------------------------------------------------------------------------------------


def test_evidence_explains_as_the_fragments_do() -> None:
    rules = registry("hub_degree = 2")
    known = Known(fragments(rules, *FAMILY), rules)
    kept = decode(encode(known.fragments.values(), rules))
    again = Known(kept.fragments, Registry(load(kept.policy)))
    for name in ("customer:C-1", "device:till"):
        assert explain(again, Id(name)) == explain(known, Id(name))
    with pytest.raises(UnreadableEvidence):
        decode(b"something else")
