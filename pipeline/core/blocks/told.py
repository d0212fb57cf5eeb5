"""triggers: what the person was told of, from the ledger. A retracted trigger counts nowhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pipeline.core.blocks.horizon import Horizon, written
from pipeline.core.ledger import Told
from pipeline.core.times import DAY

_WINDOW: Final = 7 * DAY


def triggers(ledger: Mapping[str, Told], horizon: Horizon) -> dict[str, Any]:
    last_fired: dict[str, int] = {}
    sent = suppressed = 0
    for told in ledger.values():
        if told.live:
            last_fired[told.family] = max(told.fired_at, last_fired.get(told.family, told.fired_at))
            sent += horizon.within(told.fired_at, _WINDOW)
        elif told.status == "suppressed":
            suppressed += horizon.within(told.evaluated_at, _WINDOW)
    return {
        "last_fired": {family: written(last_fired[family]) for family in sorted(last_fired)},
        "sent_7d": sent,
        "suppressed_7d": suppressed,
    }
