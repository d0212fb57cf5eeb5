"""segments: the names of the policy's rules that hold for the document, in the order of the alphabet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pipeline.core import days
from pipeline.core.blocks.horizon import Horizon, written
from pipeline.core.rules import compiled, ready

_OF_TIME: Final = "as_of"


def segments(document: Mapping[str, Any], rules: Mapping[str, str], zone: str, horizon: Horizon) -> list[str] | None:
    """document: its blocks and `profile_id`. rules: name -> text of the rule. Rules may ask for `as_of`: for them it is
    the start of the day of the view in `zone`, so that what holds does so for the whole day, whenever it is looked at.
    """
    if not rules:
        return None
    named = {name: compiled(text) for name, text in rules.items()}
    wanted = frozenset().union(*(rule.names for rule in named.values()))
    known = {name: ready(name, document[name]) for name in wanted if name in document}
    if _OF_TIME in wanted:
        today = days.day(horizon.now, zone)
        known[_OF_TIME] = written(days.start(today, zone))
        horizon.fades_at(days.start(today + 1, zone))
    return sorted(name for name, rule in named.items() if rule.holds(known)) or None
