"""segments: the names of the policy's rules that hold for the document, in the order of the alphabet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pipeline.core.blocks.horizon import Horizon, written
from pipeline.core.rules import compiled, ready
from pipeline.core.times import DAY

_OF_TIME: Final = "as_of"


def segments(document: Mapping[str, Any], rules: Mapping[str, str], horizon: Horizon) -> list[str] | None:
    """document: its blocks and `profile_id`. rules: name -> text of the rule. Rules may ask for `as_of`, the time of
    the view: then the document is looked at again every day."""
    if not rules:
        return None
    named = {name: compiled(text) for name, text in rules.items()}
    wanted = frozenset().union(*(rule.names for rule in named.values()))
    known = {name: ready(name, document[name]) for name in wanted if name in document}
    if _OF_TIME in wanted:
        known[_OF_TIME] = written(horizon.now)
        horizon.fades_at(horizon.now + DAY)
    return sorted(name for name, rule in named.items() if rule.holds(known)) or None
