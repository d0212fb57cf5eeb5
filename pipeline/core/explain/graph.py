"""The graph around the identifiers asked for: their persons, who else a skipped edge leads to, the hubs around.

It is GraphML as it is. Nodes: label, type, person, shared, asked, place (by strength, inside the person). Edges: kind
(kept, skipped, or shared: at a hub), count, first, last, first_touchpoint, last_touchpoint, reasons.
"""

from __future__ import annotations

import networkx as nx

from pipeline.core.explain.case import Case
from pipeline.core.explain.known import Known
from pipeline.core.grouping import PersonIds
from pipeline.core.touchpoint import Id


def graph(known: Known, *asked: Id) -> nx.Graph:
    case = Case(known, *asked)
    persons = {case.group_of[id].owner: case.group_of[id] for id in asked}
    members = {id for group in persons.values() for id in group.ids}
    drawn = nx.Graph()
    for group in persons.values():
        _add_person(drawn, case, group, asked)
    for two in case.edges_at(*list(persons.values())):
        for end in two:
            if end not in members and case.group_of[end].owner not in persons:
                group = persons[case.group_of[end].owner] = case.group_of[end]
                _add_person(drawn, case, group, asked)
    for two in case.edges_at(*persons.values()):
        if two not in case.reasons or not members.isdisjoint(two):
            edge = case.edge(two)
            _add_edge(drawn, edge.a, edge.b, edge, "skipped" if edge.reasons else "kept")
    for hub, seen in sorted(case.hubs_at(members).items()):
        _add_person(drawn, case, case.group_of[hub], asked)
        for id, count in sorted(seen.items()):
            drawn.add_edge(known.label(hub), known.label(id), kind="shared", count=count, reasons="")
    return drawn


def graphml(drawn: nx.Graph) -> str:
    lines = "\n".join(nx.generate_graphml(drawn)) + "\n"
    return lines.replace(">True</data>", ">true</data>").replace(">False</data>", ">false</data>")


def _add_person(drawn: nx.Graph, case: Case, group: PersonIds, asked: tuple[Id, ...]) -> None:
    registry = case.known.registry
    for place, id in enumerate(group.ids):
        label = case.known.label(id)
        drawn.add_node(
            label,
            label=label,
            type=registry.type(id),
            person=registry.profile_id(group.owner),
            shared=group.shared,
            asked=id in asked,
            place=place,
        )


def _add_edge(drawn: nx.Graph, a: str, b: str, edge: object, kind: str) -> None:
    told = {name: getattr(edge, name) for name in ("count", "first", "last", "first_touchpoint", "last_touchpoint")}
    drawn.add_edge(a, b, kind=kind, **told, reasons=" ".join(edge.reasons))  # type: ignore[attr-defined]
