"""Under which distributed traces touchpoints came, so that what they cause can name the trace.

Of a person's traces an output has the newest that fits it; it never decides what is published. Most touchpoints have
none, and then nothing is done or kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pipeline.core.fragment import Fragment

TRACES_KEPT: Final = 4
"""A trigger is due long after the touchpoint that it is of; what came meanwhile may be traced, too."""


def note_trace(fragment: Fragment, received: int, trace: str) -> None:
    """Law: the newest TRACES_KEPT of the set of (received, trace)."""
    fragment.traces = tuple(sorted({*fragment.traces, (received, trace)})[-TRACES_KEPT:])


def newest_trace(fragments: Iterable[Fragment], after: int = 0, until: int | None = None) -> str | None:
    """Of the touchpoints received from `after` to `until` (None: ever) the newest one's."""
    found = [
        one
        for fragment in fragments
        for one in fragment.traces
        if one[0] >= after and (until is None or one[0] <= until)
    ]
    return max(found)[1] if found else None


def span_of(trace: str) -> int:
    """Which span of the trace it names: the number of the parent."""
    return int(trace[36:52], 16)
