"""carts: what the person still has in carts, and how many carts of 90 days were abandoned, and recovered by an order.

All of it comes from events and deadlines, never from what was sent. Abandoned: a deadline passed while the cart was
open; counted at its newest. Recovered: an order ended the cart after that; counted at the order.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from pipeline.core.blocks.horizon import Horizon, written
from pipeline.core.blocks.ingredients import MOMENTS
from pipeline.core.cart import episodes
from pipeline.core.episode import CartLine, Episode, abandoned_at, open_carts, recovered_at, value_of, value_text
from pipeline.core.fragment import Fragment
from pipeline.core.money import number, published
from pipeline.core.policy import Policy
from pipeline.core.times import DAY

_WINDOW: Final = 90 * DAY


def carts(fragments: Sequence[Fragment], policy: Policy, horizon: Horizon) -> dict[str, Any] | None:
    if not any(fragment.carts for fragment in fragments):
        return None
    horizon.needs |= MOMENTS
    known, now = episodes(fragments, None, policy), horizon.now
    for episode in known:
        for quiet in episode.quiet:
            horizon.fades_at(quiet.deadline_at)
    still_open = [_open(episode, policy.profile.currency, horizon) for episode in open_carts(known, now)]
    abandoned = sum(_recent(abandoned_at(episode, now), horizon) for episode in known)
    recovered = sum(_recent(recovered_at(episode), horizon) for episode in known)
    if not (still_open or abandoned or recovered):
        return None
    return {"open": still_open, "abandoned_90d": abandoned, "recovered_90d": recovered}


def _recent(time: int | None, horizon: Horizon) -> bool:
    return time is not None and horizon.within(time, _WINDOW)


def _open(episode: Episode, main_currency: str, horizon: Horizon) -> dict[str, Any]:
    horizon.changes_at(episode.idle_at)
    horizon.changes_at(episode.expires_at)
    last, lines = episode.last, list(episode.lines.values())
    currency = last.currency or main_currency
    return {
        "cart_id": episode.cart_id,
        "stage": last.stage,
        "channel": last.channel,
        "value": value_text(value_of(lines, currency, last.value), currency),
        "currency": currency,
        "last_change": written(last.time),
        "idle": horizon.now >= episode.idle_at,
        "lines": [line_shown(line, currency) for line in lines],
    }


def line_shown(line: CartLine, currency: str) -> dict[str, Any]:
    price = None if line.price is None else published(Decimal(line.price), line.currency or currency)
    return {"sku": line.sku, "name": line.name, "quantity": number(line.quantity), "price": price}
