"""What is due of a person's episodes, and when more will be.

Every quiet point of an episode is a deadline, and so is each further step after it while the cart stays as it is. A
deadline is due at deadline + grace, once all facts up to it were read (`caught_up_to`), or `max_hold` later without. Of
several due of one episode only the newest counts. A closed episode has none; of an expired one only what is too old.
What the ledger has forgotten was told before, or is as old.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from pipeline.core.episode import Episode, Point, Quiet
from pipeline.core.touchpoint import Id
from pipeline.core.triggers.case import Case


class Due(msgspec.Struct, frozen=True):
    """step: from 1. point: what the episode held at the deadline."""

    episode: Episode
    quiet: Quiet
    step: int
    deadline: int
    point: Point
    family: str


class Agenda(msgspec.Struct):
    """due: by deadline. held: the smallest deadline whose grace is over and that waits for facts to be read."""

    due: list[Due] = []
    held: int | None = None


def agenda(case: Case, hold_from: int, forgotten: Mapping[Id, int]) -> Agenda:
    """hold_from: a hold lasts at least until `max_hold` after this clock time, at which the carts' owner began.
    forgotten: see `evaluate`. Notes when more becomes due."""
    found = Agenda()
    for clock in case.later:
        case.wake_at(clock)
    for episode in case.episodes:
        if not is_open(episode):
            continue
        newest: Due | None = None
        for due in deadlines(case, episode):
            ready_at = _ready_at(case, due.deadline, hold_from)
            if ready_at <= case.now:
                newest = due if newest is None or due.deadline > newest.deadline else newest
                continue
            case.wake_at(ready_at)
            if case.now >= due.deadline + case.policy.grace:
                found.held = due.deadline if found.held is None else min(found.held, due.deadline)
        if newest is None or (case.now >= episode.expires_at and not too_old(case, newest.deadline)):
            continue
        if not forgotten or not _is_forgotten(case, newest, forgotten.get(newest.point.fragment, 0)):
            found.due.append(newest)
    found.due.sort(key=lambda due: due.deadline)
    return found


def _is_forgotten(case: Case, due: Due, until: int) -> bool:
    """Whether it may have been told by a trigger of which nothing is known any more. until: 0: of none."""
    if due.deadline <= until:
        return True
    if due.episode.points[0].time > until or not too_old(case, due.deadline):
        return False
    return not any(case.holder(told.covers[0]) is due.episode for told in case.told.values())


def is_open(episode: Episode) -> bool:
    """Whether nothing but time can have closed it."""
    return episode.end in (None, "expired")


def too_old(case: Case, deadline: int) -> bool:
    return case.now - deadline > case.policy.max_age


def deadlines(case: Case, episode: Episode) -> Iterator[Due]:
    """All of an episode, past and to come, by what is known."""
    for quiet in episode.quiet:
        family = quiet.point.stage
        if family in case.policy.enabled:
            for step, later in enumerate(case.policy.steps, 1):
                deadline = quiet.deadline_at + later
                if quiet.until is None or quiet.until > deadline:
                    yield Due(episode, quiet, step, deadline, episode.at(deadline) or quiet.point, family)


def _ready_at(case: Case, deadline: int, hold_from: int) -> int:
    """When a deadline is due if no more facts are read than were."""
    ready_at = deadline + case.policy.grace
    if case.caught_up_to >= deadline:
        return ready_at
    if case.now < ready_at:
        return ready_at
    return max(ready_at, hold_from) + case.policy.max_hold
