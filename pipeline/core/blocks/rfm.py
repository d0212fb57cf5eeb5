"""commerce.rfm: how lately, how often and for how much somebody buys, each as a score of 1 to 5 by fixed cut points.

Recency is of the last order in any currency, in whole days; frequency and value are of the main currency, of the last
365 days. Orders that are no longer known in detail count only for recency.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from pipeline.core.blocks.horizon import Horizon
from pipeline.core.money import published, total
from pipeline.core.policy_sections import Profile
from pipeline.core.sales import Bought
from pipeline.core.times import DAY

YEAR: Final = 365 * DAY


def rfm(sold: Iterable[Bought], last: int, profile: Profile, horizon: Horizon) -> dict[str, Any]:
    """last: time of the last order."""
    currency, cuts = profile.currency, profile.rfm
    recent = [
        one.sale for one in sold if (one.sale.currency or currency) == currency and horizon.within(one.sale.time, YEAR)
    ]
    days = max(0, horizon.now - last) // DAY
    horizon.fades_at(last + (days + 1) * DAY)
    value = total(sale.net for sale in recent)
    recency = 5 - sum(days > cut for cut in cuts.recency_days)
    frequency = 1 + sum(len(recent) >= cut for cut in cuts.frequency)
    monetary = 1 + sum(value >= cut for cut in cuts.monetary)
    return {
        "recency_days": days,
        "frequency_365d": len(recent),
        "monetary_365d": published(value, currency),
        "score": f"{recency}{frequency}{monetary}",
    }
