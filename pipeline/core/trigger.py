"""evaluate: from a person's facts, compare the triggers that should exist now with the ledger of those published.

A trigger is a view, not an event handler: whoever was told something that turned out wrong is told so. First what was
fired is reviewed, then what is due is fired or suppressed. Evaluating twice at one clock gives nothing new; the same
facts, ledger and clock give the same records, however they arrived.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from pipeline.core.identifiers import Registry
from pipeline.core.ledger import Told
from pipeline.core.person import Person
from pipeline.core.touchpoint import Id
from pipeline.core.triggers.case import Case
from pipeline.core.triggers.due import agenda
from pipeline.core.triggers.firing import fire
from pipeline.core.triggers.lifecycle import past, review

NOTHING: Final[Mapping[Id, int]] = MappingProxyType({})


class Outcome(msgspec.Struct):
    """records: for the `triggers` topic, in order. told: new ledger entries by the identifier in whose seat they
    belong. wake: the next clock time, later than now, at which something can change with no new fact; None: never.
    held: the smallest deadline that waits only for facts to be read; evaluate again once they were. past: ids of the
    entries that can be dropped, if it is noted as `forgotten` up to when what was told is not known any more."""

    records: list[dict[str, Any]] = []
    told: dict[Id, dict[str, Told]] = {}
    wake: int | None = None
    held: int | None = None
    past: Collection[str] = ()


def evaluate(
    person: Person,
    ledger: Mapping[Id, Mapping[str, Told]],
    now: int,
    caught_up_to: int,
    registry: Registry,
    as_of: int | None,
    revision: int,
    *,
    hold_from: int = 0,
    forgotten: Mapping[Id, int] = NOTHING,
) -> Outcome:
    """ledger: the entries in the seats of the person's identifiers. caught_up_to: all facts received up to then were
    read. as_of: only facts received up to then count; None: all. revision: of the profile. hold_from: the clock at
    which the person's owner began to read. forgotten: identifier -> up to which deadline the ledger in its seat has
    forgotten what was told."""
    case = Case(person, now, caught_up_to, registry, as_of, revision)
    if any(ledger.values()):
        case.read(ledger)
        review(case)
    elif case.level < 0:
        return Outcome(wake=min(case.later, default=None))
    case.forgotten = forgotten
    found = agenda(case, hold_from, forgotten)
    fire(case, found.due)
    return Outcome(case.records, case.changed, case.wake, found.held, past(case))
