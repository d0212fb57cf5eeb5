"""What another policy would change for the identifiers asked for: a look at the same facts under both."""

from __future__ import annotations

from pipeline.core.explain.case import Case
from pipeline.core.explain.known import Known
from pipeline.core.explain.records import Difference, Fate
from pipeline.core.policy_changes import changes
from pipeline.core.touchpoint import Id


def difference(now: Known, then: Known, policy: str, one: Id, other: Id | None = None) -> Difference:
    """now, then: what is known under the policy in force and under the other one, which is called `policy`."""
    asked = [one] if other is None or other == one else [one, other]
    before = Case(now, *asked)
    present = [id for id in asked if id in then]
    after = Case(then, *present) if present else None
    ours = {id for name in asked for id in before.group_of[name].ids}
    groups = {after.group_of[name].owner: after.group_of[name] for name in present} if after else {}
    theirs = {id for group in groups.values() for id in group.ids}
    fates = _fates(before, after, ours | theirs)
    around = ours | theirs | before.hubs_at(ours).keys() | (after.hubs_at(theirs).keys() if after else set())
    label = now.label
    persons = [after.person(group) for group in groups.values()] if after else []
    shared = sorted(label(id) for id in around & then.hubs - now.hubs)
    not_shared = sorted(label(id) for id in around & now.hubs - then.hubs if id in then)
    absent = sorted(label(id) for id in around if id not in then)
    kept = {before.person(before.group_of[name]).profile_id for name in asked}
    same = not (fates or shared or not_shared or absent or ours ^ theirs) and kept == {p.profile_id for p in persons}
    return Difference(
        policy,
        same and len(kept) == len(persons),
        _verdict(len(asked), len(present), len(persons)),
        persons,
        sorted(map(then.label, theirs - ours)),
        sorted(map(label, ours - theirs)),
        fates,
        shared,
        not_shared,
        absent,
        [change.key for change in changes(now.registry.policy, then.registry.policy) if change.fold],
    )


def _verdict(asked: int, present: int, persons: int) -> str:
    if present < asked:
        return "absent"
    if asked == 1:
        return "person"
    return "same" if persons == 1 else "different"


def _fates(before: Case, after: Case | None, members: set[Id]) -> list[Fate]:
    """Edges at these identifiers that are used under one policy only, or not used for other reasons. Edges at hubs are
    none: `shared` says why."""
    if after is None:
        return []
    found = []
    for two in sorted(before.edges.keys() & after.edges.keys()):
        was, will = before.reasons.get(two, ()), after.reasons.get(two, ())
        if was != will and not members.isdisjoint(two):
            found.append(Fate(before.known.label(two[0]), before.known.label(two[1]), was, will))
    return found
