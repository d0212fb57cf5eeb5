"""An explanation in words, one fact a line. Long lists are cut; JSON has all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

from pipeline.core.explain.records import Difference, Edge, Explanation, Fate, Hub, Person

SHOWN: Final = 50

T = TypeVar("T")


def text(explanation: Explanation) -> str:
    return "\n".join(_lines(explanation)) + "\n"


def _lines(explanation: Explanation) -> Iterator[str]:
    yield _headline(explanation)
    if explanation.verdict == "person" and not explanation.persons[0].shared:
        yield from _cut([f"  {identifier}" for identifier in explanation.persons[0].identifiers])
    if explanation.path:
        yield "because of:"
        yield from map(_edge, explanation.path)
    if explanation.kept:
        yield "seen together:"
        yield from _cut([_edge(edge) for edge in explanation.kept])
    if explanation.skipped:
        yield "seen together but not used:"
        for edge in explanation.skipped[:SHOWN]:
            yield _edge(edge)
            yield from (f"      {change}" for change in edge.changes)
        yield from _more(explanation.skipped)
    if explanation.hubs:
        yield "used by many, joins nobody:"
        for hub in explanation.hubs[:SHOWN]:
            yield from _hub(hub)
        yield from _more(explanation.hubs)
    if explanation.verdict == "different" and not explanation.skipped and not any(map(_relevant, explanation.hubs)):
        yield "No touchpoint showed the two together, nor others that would join them."
    if explanation.difference is not None:
        yield from _difference(explanation.difference)


def _headline(explanation: Explanation) -> str:
    asked = " and ".join(explanation.asked)
    if explanation.verdict == "different":
        ours, theirs = explanation.persons
        return f"{asked} are two persons: {_person(ours)} and {_person(theirs)}."
    if explanation.verdict == "same":
        return f"{asked} are one person: {_person(explanation.persons[0])}."
    if explanation.persons[0].shared:
        return f"{asked} is shared: it joins nobody and is a person of its own, {explanation.persons[0].profile_id}."
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


def _relevant(hub: Hub) -> bool:
    """It says why the two are not one."""
    return hub.both


def _hub(hub: Hub) -> Iterator[str]:
    names = list(hub.seen_with)
    others = f" and {len(names) - 5} more" if len(names) > 5 else ""
    both = ": it would join the two if it were not shared" if hub.both else ""
    yield f"  {hub.identifier}, since {hub.since}, seen with {', '.join(names[:5])}{others}{both}"
    if hub.change:
        yield f"      {hub.change}"


def _difference(difference: Difference) -> Iterator[str]:
    if difference.same:
        yield f"With {difference.policy} nothing would differ for them."
        return
    yield f"With {difference.policy}:"
    yield f"  {_verdict(difference)}"
    yield from _named("would join", difference.joined)
    yield from _named("would leave", difference.left)
    yield from _named("would be shared", difference.shared)
    yield from _named("would be shared no more", difference.not_shared)
    yield from _named("would be blocked", difference.absent)
    yield from _cut([_fate(fate) for fate in difference.edges])
    if difference.rebuild:
        yield f"  {', '.join(difference.rebuild)}: applying it takes `selvedge rebuild`"


def _verdict(difference: Difference) -> str:
    persons = " and ".join(map(_person, difference.persons))
    if difference.verdict == "absent":
        return "not all of them would be identifiers"
    if difference.verdict == "person":
        return f"the person would be {persons}"
    return f"they would be {'one person' if difference.verdict == 'same' else 'two persons'}: {persons}"


def _named(what: str, names: Sequence[str]) -> Iterator[str]:
    if names:
        others = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        yield f"  {what}: {', '.join(names[:SHOWN])}{others}"


def _fate(fate: Fate) -> str:
    def told(reasons: Sequence[str]) -> str:
        return f"not used ({', '.join(reasons)})" if reasons else "used"

    return f"  {fate.a} - {fate.b}  now {told(fate.before)}, then {told(fate.after)}"


def _cut(lines: Sequence[str]) -> Iterator[str]:
    yield from lines[:SHOWN]
    yield from _more(lines)


def _more(items: Sequence[T]) -> Iterator[str]:
    if len(items) > SHOWN:
        yield f"  … and {len(items) - SHOWN:,} more (--format json has all)"
