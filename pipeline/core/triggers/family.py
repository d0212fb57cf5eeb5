"""What a family of triggers is: three questions about facts. All else (when it is due, why it is not sent, whom it
reaches, what withdraws it, under which ids it is known) is the same for all families.

A family answers with episodes. Rules for these:
* `points[i].stage` is the name of the family that a deadline at that point belongs to.
* `quiet` has one entry for each deadline: it counts if the episode was open then. `until` ends it for later steps.
* `changes` names the facts that it is made of, so that a trigger is found again by its newest fact (`Point.ref`).
* `key` and the first fact give the episode's id: two persons must not come to the same.
* `order` is the order that closed it, in time or not: known late, it withdraws; after the trigger fired, it recovers.
* Nothing here knows the present: the same facts give the same episodes at any time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from pipeline.core.episode import Episode, Ref
from pipeline.core.fragment import Fragment
from pipeline.core.policy_sections import Triggers
from pipeline.core.triggers.known import Known


class Family(msgspec.Struct, frozen=True):
    """names: as in the policy's `enabled`.

    earliest: before this time nothing of a fragment can have a deadline; None: it has no such facts. The fast path of
    every person: no loop over more than it must.
    soonest: the same of one person, closer: nothing that can still be told has a deadline before it, by what is known;
    None: as `earliest` says of all fragments. Who is still busy, or has bought, needs no closer look.
    episodes: of one person, by what is known. refs: every fact that can be in `changes`, with its received time.
    patient: no deadline comes sooner after its facts than `alarms.waits` says; only then a person who was told nothing
    need not be looked at when one of them is received."""

    names: tuple[str, ...]
    earliest: Callable[[Fragment, Triggers], int | None]
    episodes: Callable[[Known], list[Episode]]
    refs: Callable[[Fragment], Iterable[tuple[Ref, int]]]
    soonest: Callable[[Known], int | None] | None = None
    patient: bool = False
