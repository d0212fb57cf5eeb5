"""What a history would have come to under another policy: persons merged, split and moved, triggers affected.

Persons are compared by their identifiers: those that overlap, directly or through others, are looked at together. Many
before and one after are merged, one before and many after split; otherwise identifiers moved. Triggers are compared by
their ids, each with its last record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from pipeline.core.policy_changes import Change
from pipeline.core.touchpoint import Id

NONE = "none"
"""Status of a trigger that there is not."""


class Outcome(msgspec.Struct):
    """What a history came to. persons: profile id -> identifiers. triggers: trigger id -> its last record. labels:
    identifiers as people read them. refused: reason -> records that went to the dead letters."""

    persons: dict[str, frozenset[Id]]
    shared: set[Id]
    triggers: dict[str, dict[str, Any]]
    labels: dict[Id, str]
    refused: dict[str, int]


class Group(msgspec.Struct, frozen=True):
    profile_id: str
    identifiers: list[str]


class Regrouped(msgspec.Struct, frozen=True):
    """Persons that hang together by their identifiers, before and after."""

    before: list[Group]
    after: list[Group]


class Moved(msgspec.Struct, frozen=True):
    identifier: str
    before: str
    after: str


class TriggerChange(msgspec.Struct, frozen=True):
    """before, after: status, none where there is no such trigger; each with its reasons."""

    trigger_id: str
    episode_id: str
    family: str
    step: int
    deadline_at: str
    before: str
    before_reasons: list[str]
    after: str
    after_reasons: list[str]
    profile_id: str


class Transition(msgspec.Struct, frozen=True):
    """All triggers with the same two statuses. reasons: of how many; those after, or before where there are none."""

    before: str
    after: str
    total: int
    reasons: dict[str, int]
    samples: list[TriggerChange]


class Persons(msgspec.Struct, frozen=True):
    """before, after: how many there are. merged, split: how many persons before are concerned. moved: how many
    identifiers went from one person to another where neither is all. renamed: persons with the same identifiers and
    another profile id. gone, new: identifiers that only one policy knows. shared, not_shared: hubs under one only."""

    before: int
    after: int
    merged: int
    merged_samples: list[Regrouped]
    split: int
    split_samples: list[Regrouped]
    moved: int
    moved_samples: list[Moved]
    renamed: int
    renamed_samples: list[Moved]
    gone: int
    gone_samples: list[str]
    new: int
    new_samples: list[str]
    shared: int
    shared_samples: list[str]
    not_shared: int
    not_shared_samples: list[str]


class Difference(msgspec.Struct, frozen=True):
    """keys: of the policy that differ. rebuild: one of them decides how touchpoints are folded, so that applying it
    takes `selvedge rebuild`. refused: reason -> dead letters before and after, where they differ."""

    keys: list[Change]
    rebuild: bool
    touchpoints: int
    persons: Persons
    triggers: list[Transition]
    triggers_same: int
    refused: dict[str, tuple[int, int]]

    @property
    def nothing(self) -> bool:
        """Whether the outcomes are equal."""
        persons = self.persons
        changed = persons.merged + persons.split + persons.moved + persons.renamed + persons.gone + persons.new
        return not (changed + persons.shared + persons.not_shared or self.triggers or self.refused)


def compare(old: Outcome, new: Outcome, keys: list[Change], touchpoints: int, samples: int) -> Difference:
    """samples: how many of each kind are told."""
    transitions, same = _triggers(old.triggers, new.triggers, samples)
    return Difference(
        keys,
        any(key.fold for key in keys),
        touchpoints,
        _persons(old, new, samples),
        transitions,
        same,
        {
            reason: (old.refused.get(reason, 0), new.refused.get(reason, 0))
            for reason in sorted(old.refused.keys() | new.refused.keys())
            if old.refused.get(reason, 0) != new.refused.get(reason, 0)
        },
    )


# -- persons ---------------------------------------------------------------------------------------------------------


def _persons(old: Outcome, new: Outcome, samples: int) -> Persons:
    labels = new.labels | old.labels
    merged: list[Regrouped] = []
    split: list[Regrouped] = []
    moved: list[Moved] = []
    renamed: list[Moved] = []
    merged_total = split_total = 0
    for before, after in _overlapping(old.persons, new.persons):
        if len(before) == len(after) == 1:
            if before != after and old.persons[before[0]] == new.persons[after[0]]:
                renamed.append(Moved(_first(old.persons[before[0]], labels), before[0], after[0]))
        elif len(after) == 1:
            merged_total += len(before)
            merged.append(_regrouped(before, after, old, new, labels))
        elif len(before) == 1:
            split_total += 1
            split.append(_regrouped(before, after, old, new, labels))
        else:
            moved += _moves(before, after, old, new, labels)
    known, still = (_identifiers(outcome) for outcome in (old, new))
    lists = [known - still, still - known, new.shared - old.shared, old.shared & still - new.shared]
    gone, fresh, shared, not_shared = (sorted(labels.get(id, id) for id in ids) for ids in lists)
    return Persons(
        before=len(old.persons),
        after=len(new.persons),
        merged=merged_total,
        merged_samples=merged[:samples],
        split=split_total,
        split_samples=split[:samples],
        moved=len(moved),
        moved_samples=moved[:samples],
        renamed=len(renamed),
        renamed_samples=renamed[:samples],
        gone=len(gone),
        gone_samples=gone[:samples],
        new=len(fresh),
        new_samples=fresh[:samples],
        shared=len(shared),
        shared_samples=shared[:samples],
        not_shared=len(not_shared),
        not_shared_samples=not_shared[:samples],
    )


def _identifiers(outcome: Outcome) -> set[Id]:
    return {id for ids in outcome.persons.values() for id in ids}


def _overlapping(
    old: Mapping[str, frozenset[Id]], new: Mapping[str, frozenset[Id]]
) -> Iterator[tuple[list[str], list[str]]]:
    """Persons before and after that share identifiers, directly or through others; each once, by profile id."""
    holder = {id: person for person, ids in new.items() for id in ids}
    origin = {id: person for person, ids in old.items() for id in ids}
    seen: set[str] = set()
    for start in sorted(old):
        if start in seen:
            continue
        before, after, waiting = {start}, set[str](), [start]
        while waiting:
            reached = {holder[id] for id in old[waiting.pop()] if id in holder} - after
            after |= reached
            found = {origin[id] for person in reached for id in new[person] if id in origin} - before
            before |= found
            waiting += found
        seen |= before
        if after:
            yield sorted(before), sorted(after)


def _regrouped(
    before: Iterable[str], after: Iterable[str], old: Outcome, new: Outcome, labels: Mapping[Id, str]
) -> Regrouped:
    def groups(profile_ids: Iterable[str], outcome: Outcome) -> list[Group]:
        return [Group(id, sorted(labels.get(one, one) for one in outcome.persons[id])) for id in profile_ids]

    return Regrouped(groups(before, old), groups(after, new))


def _moves(
    before: list[str], after: list[str], old: Outcome, new: Outcome, labels: Mapping[Id, str]
) -> Iterator[Moved]:
    """Identifiers that are not where most of their person is: the one with the same profile id, else the one that
    has most of its identifiers."""
    for person in before:
        ids = old.persons[person]
        most = max(after, key=lambda other: (len(ids & new.persons[other]), other))
        goes_on = person if person in after and ids & new.persons[person] else most
        for other in after:
            if other != goes_on:
                yield from (Moved(labels.get(id, id), person, other) for id in sorted(ids & new.persons[other]))


def _first(ids: Iterable[Id], labels: Mapping[Id, str]) -> str:
    return min(labels.get(id, id) for id in ids)


# -- triggers --------------------------------------------------------------------------------------------------------


def _triggers(
    old: Mapping[str, dict[str, Any]], new: Mapping[str, dict[str, Any]], samples: int
) -> tuple[list[Transition], int]:
    """Changes by the two statuses, the most frequent first; how many triggers are the same."""
    changes: dict[tuple[str, str], list[TriggerChange]] = {}
    same = 0
    for id in sorted(old.keys() | new.keys()):
        before, after = old.get(id), new.get(id)
        if _told(before) == _told(after):
            same += 1
            continue
        change = _change(before, after)
        changes.setdefault((change.before, change.after), []).append(change)
    transitions = [
        Transition(*statuses, len(found), dict(_reasons(found)), found[:samples]) for statuses, found in changes.items()
    ]
    return sorted(transitions, key=lambda one: (-one.total, one.before, one.after)), same


def _told(record: Mapping[str, Any] | None) -> tuple[Any, ...] | None:
    if record is None:
        return None
    members = ("status", "reasons", "deadline_at", "send_not_before", "channels")
    return tuple(record[member] for member in members)


def _change(before: dict[str, Any] | None, after: dict[str, Any] | None) -> TriggerChange:
    record: dict[str, Any] = after or before or {}
    return TriggerChange(
        record["trigger_id"],
        record["episode_id"],
        record["family"],
        record["step"],
        record["deadline_at"],
        before["status"] if before else NONE,
        before["reasons"] if before else [],
        after["status"] if after else NONE,
        after["reasons"] if after else [],
        record["profile_id"],
    )


def _reasons(changes: Iterable[TriggerChange]) -> list[tuple[str, int]]:
    return Counter(
        reason for change in changes for reason in change.after_reasons or change.before_reasons
    ).most_common()


# -- words -----------------------------------------------------------------------------------------------------------


def text(difference: Difference) -> str:
    return "\n".join(_lines(difference)) + "\n"


def _lines(difference: Difference) -> Iterator[str]:
    yield from _policy_lines(difference)
    persons = difference.persons
    yield f"History: {difference.touchpoints:,} touchpoints, {persons.before:,} persons, then {persons.after:,}."
    if difference.nothing:
        yield "Nothing would differ."
        return
    for reason, (before, after) in difference.refused.items():
        yield f"  dead letters, {reason}: {before:,}, then {after:,}"
    yield "Persons:"
    yield from _person_lines(persons)
    yield f"Triggers: {difference.triggers_same:,} as before"
    for change in difference.triggers:
        yield from _transition_lines(change)


def _policy_lines(difference: Difference) -> Iterator[str]:
    if not difference.keys:
        yield "The policies are the same."
    for key in difference.keys:
        yield f"{key.key}: {key.old} -> {key.new}{'  [fold]' * key.fold}"
    if difference.rebuild:
        yield "Keys marked [fold] decide how touchpoints are folded: applying them takes `selvedge rebuild`."


def _person_lines(persons: Persons) -> Iterator[str]:
    kinds: list[tuple[int, str, Iterable[Any], Callable[[Any], str]]] = [
        (persons.merged, "persons merged", persons.merged_samples, _regrouped_line),
        (persons.split, "persons split", persons.split_samples, _regrouped_line),
        (persons.moved, "identifiers moved", persons.moved_samples, _moved_line),
        (persons.renamed, "persons with another profile id", persons.renamed_samples, _moved_line),
        (persons.shared, "identifiers newly shared", persons.shared_samples, str),
        (persons.not_shared, "identifiers shared no more", persons.not_shared_samples, str),
        (persons.gone, "identifiers gone", persons.gone_samples, str),
        (persons.new, "identifiers new", persons.new_samples, str),
    ]
    for total, what, samples, line in kinds:
        if total:
            yield f"  {total:,} {what}"
            yield from (f"    {line(sample)}" for sample in samples)
    if not any(kind[0] for kind in kinds):
        yield "  all as before"


def _regrouped_line(sample: Regrouped) -> str:
    return f"{' + '.join(map(_group, sample.before))} -> {' + '.join(map(_group, sample.after))}"


def _group(group: Group) -> str:
    names = group.identifiers
    more = f", … {len(names) - 4} more" if len(names) > 4 else ""
    return f"{group.profile_id[:8]} ({', '.join(names[:4])}{more})"


def _moved_line(sample: Moved) -> str:
    return f"{sample.identifier}: {sample.before[:8]} -> {sample.after[:8]}"


def _transition_lines(change: Transition) -> Iterator[str]:
    reasons = "".join(f", {reason} {count:,}" for reason, count in change.reasons.items())
    what = f"{change.before} -> {change.after}" if change.before != change.after else f"{change.before}, but otherwise"
    yield f"  {change.total:,} {what}{reasons}"
    for sample in change.samples:
        why = f"{_status(sample.before, sample.before_reasons)} -> {_status(sample.after, sample.after_reasons)}"
        yield f"    {sample.family} {sample.episode_id}, step {sample.step}, deadline {sample.deadline_at}: {why}"


def _status(status: str, reasons: Iterable[str]) -> str:
    named = ", ".join(reasons)
    return f"{status} ({named})" if named else status
