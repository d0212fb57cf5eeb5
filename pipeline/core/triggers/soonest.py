"""How soon something of a person can be due, without looking at every fact."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from pipeline.core.fragment import Fragment
from pipeline.core.policy_sections import Triggers
from pipeline.core.triggers.families import ALL
from pipeline.core.triggers.known import Known


def earliest(fragments: Sequence[Fragment], policy: Triggers) -> int | None:
    """Before this clock time nothing of these fragments can be due, whatever else is known; None: nothing ever."""
    times = [family.earliest(fragment, policy) for fragment in fragments for family in ALL]
    return min((time + policy.grace for time in times if time is not None), default=None)


def clocks(known: Known) -> list[int | None]:
    """The same of each family and what is known of a person, closer."""
    policy, fragments = known.policy.triggers, known.fragments
    found: list[int | None] = []
    for family, on in zip(ALL, _are_on(policy.enabled), strict=True):
        time = None
        if on and family.soonest is not None:
            time = family.soonest(known)
        elif on:
            for fragment in fragments:
                first = family.earliest(fragment, policy)
                if first is not None and (time is None or first < time):
                    time = first
        found.append(None if time is None else time + policy.grace)
    return found


@lru_cache(maxsize=64)
def _are_on(enabled: tuple[str, ...]) -> tuple[bool, ...]:
    return tuple(not set(family.names).isdisjoint(enabled) for family in ALL)
