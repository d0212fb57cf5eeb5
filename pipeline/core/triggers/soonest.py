"""How soon something of a person can be due, without looking at every fact."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from pipeline.core.fragment import Fragment
from pipeline.core.policy_sections import Triggers
from pipeline.core.triggers.families import ALL
from pipeline.core.triggers.family import Family
from pipeline.core.triggers.known import Known


def earliest(fragments: Sequence[Fragment], policy: Triggers) -> int | None:
    """Before this clock time nothing of these fragments can be due, whatever else is known; None: nothing ever."""
    times = [family.earliest(fragment, policy) for fragment in fragments for family in ALL]
    return min((time + policy.grace for time in times if time is not None), default=None)


def soonest(family: Family, known: Known) -> int | None:
    """The same of one family and what is known of a person, closer."""
    policy = known.policy.triggers
    if not _is_on(family, policy.enabled):
        return None
    if family.soonest is not None:
        time = family.soonest(known)
    else:
        times = [time for one in known.fragments if (time := family.earliest(one, policy)) is not None]
        time = min(times) if times else None
    return None if time is None else time + policy.grace


@lru_cache(maxsize=1024)
def _is_on(family: Family, enabled: tuple[str, ...]) -> bool:
    return not set(family.names).isdisjoint(enabled)
