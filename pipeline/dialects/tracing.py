"""The distributed trace of a touchpoint: W3C trace context, as CloudEvents carry it or as the transport does.

Its own attributes (`traceparent`, `tracestate` of the CloudEvents extension) say where it began and come first; then
the headers of the record or the recorded request. What is not well-formed is as if it were not there: a trace never
costs a touchpoint.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_PARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2})(-.*)?")
_KEY: Final = r"(?:[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
_MEMBER: Final = re.compile(_KEY + r"=[ -+\--<>-~]{0,255}[!-+\--<>-~]")
_STATE_CHARS_MAX: Final = 512
_MEMBERS_MAX: Final = 32
_VERSION: Final = "00"


def trace(parent: str | None, state: str | None) -> str | None:
    """`parent`, and after a space `state`, if they are well-formed. What later versions of the format add is left
    out."""
    found = None if parent is None else _PARENT.fullmatch(parent.strip())
    if found is None or (found[2] and found[0].startswith(_VERSION)):
        return None
    well = f"{_VERSION}-{found[1]}"
    kept = _state(state) if state else ""
    return f"{well} {kept}" if kept else well


def trace_of(headers: Mapping[str, str]) -> str | None:
    """headers: names in lower case."""
    own = trace(headers.get("ce_traceparent"), headers.get("ce_tracestate"))
    return own or trace(headers.get("traceparent"), headers.get("tracestate"))


def _state(state: str) -> str:
    """Without blanks between members; empty if it is not well-formed."""
    members = [member.strip(" \t") for member in state.split(",")]
    members = [member for member in members if member]
    joined = ",".join(members)
    good = len(members) <= _MEMBERS_MAX and len(joined) <= _STATE_CHARS_MAX and all(map(_MEMBER.fullmatch, members))
    return joined if good else ""
