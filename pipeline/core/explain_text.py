"""An explanation in words, one fact a line."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.core.explain import Edge, Explanation, Hub, Person


def text(explanation: Explanation) -> str:
    return "\n".join(_lines(explanation)) + "\n"


def _lines(explanation: Explanation) -> Iterator[str]:
    yield _headline(explanation)
    if explanation.verdict == "person":
        yield from (f"  {identifier}" for identifier in explanation.persons[0].identifiers)
    if explanation.path:
        yield "because of:"
        yield from map(_edge, explanation.path)
    if explanation.kept:
        yield "seen together:"
        yield from map(_edge, explanation.kept)
    if explanation.skipped:
        yield "seen together but not used:"
        for edge in explanation.skipped:
            yield _edge(edge)
            yield from (f"      {change}" for change in edge.changes)
    if explanation.hubs:
        yield "shared, joins nobody:"
        yield from map(_hub, explanation.hubs)
    if explanation.verdict == "different" and not explanation.skipped:
        yield "No touchpoint showed the two together, nor others that would join them."


def _headline(explanation: Explanation) -> str:
    asked = " and ".join(explanation.asked)
    if explanation.verdict == "different":
        ours, theirs = explanation.persons
        return f"{asked} are two persons: {_person(ours)} and {_person(theirs)}."
    if explanation.verdict == "same":
        return f"{asked} are one person: {_person(explanation.persons[0])}."
    return f"{asked} belongs to {_person(explanation.persons[0])}."


def _person(person: Person) -> str:
    size = len(person.identifiers)
    notes = [f"{size} identifiers" if size > 1 else "1 identifier"]
    notes += ["shared"] * person.shared + ["oversize"] * person.oversize
    return f"{person.profile_id} ({', '.join(notes)})"


def _edge(edge: Edge) -> str:
    if edge.count == 1:
        when = f"once, {edge.first} ({edge.first_touchpoint})"
    else:
        span = f"{edge.first} ({edge.first_touchpoint}) to {edge.last} ({edge.last_touchpoint})"
        when = f"{edge.count} times, {span}"
    reasons = f"  [{', '.join(edge.reasons)}]" if edge.reasons else ""
    return f"  {edge.a} - {edge.b}  {when}{reasons}"


def _hub(hub: Hub) -> str:
    return f"  {hub.identifier}, since {hub.since}, seen with {', '.join(hub.seen_with)}"
