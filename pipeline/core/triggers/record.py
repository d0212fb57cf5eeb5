"""The record of a trigger on the `triggers` topic, ready for JSON. Times are RFC 3339 text, money decimal text.

A record is written when a trigger fires or is suppressed; what follows (recovered, retracted) repeats it with a new
status, so that a withdrawal says what it withdraws.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from pipeline.core.blocks.horizon import written
from pipeline.core.episode import CartLine, Episode, Point, value_text
from pipeline.core.ledger import Told
from pipeline.core.money import number, published
from pipeline.core.triggers.case import Case
from pipeline.core.triggers.due import Due
from pipeline.core.triggers.families import GROUPED
from pipeline.core.triggers.known import Known
from pipeline.core.triggers.reasons import Reach

Others = list[tuple[Episode, Point]]
"""The other carts of a group, each as it was at the deadline."""


def record(case: Case, told: Told, due: Due, others: Others, reach: Reach) -> dict[str, Any]:
    return {
        "trigger_id": told.trigger_id,
        "episode_id": told.episode_id,
        "family": told.family,
        "step": told.step,
        "status": told.status,
        "revision": told.revision,
        "reason": told.reason,
        "reasons": list(told.reasons),
        "via_link": told.via_link,
        "profile_id": case.person.profile_id,
        "profile_revision": case.revision,
        "anchor_at": written(told.anchor_at),
        "deadline_at": written(told.deadline_at),
        "evaluated_at": written(told.evaluated_at),
        "fired_at": _written_if(told.fired_at),
        "send_not_before": _written_if(told.send_not_before),
        "expires_at": _written_if(told.expires_at),
        "addressable": bool(reach.used),
        "channels": reach.used,
        "excluded_channels": reach.excluded,
        "cart": _cart(case.known, due.deadline, due.episode, due.point),
        "other_carts": [_cart(case.known, due.deadline, episode, point) for episode, point in others],
        "devices": _kinds([(due.episode, due.point), *others]),
        "evidence": {
            "last_change": due.point.event,
            "last_activity": due.quiet.last_activity,
            "progress": written(case.caught_up_to),
        },
    }


def revised(told: Told, fired: bytes) -> dict[str, Any]:
    """The record of a trigger that fired (`fired`: JSON) with what it has become."""
    made: dict[str, Any] = msgspec.json.decode(fired)
    made.update(
        status=told.status,
        revision=told.revision,
        reason=told.reason,
        reasons=list(told.reasons),
        via_link=told.via_link,
        evaluated_at=written(told.evaluated_at),
    )
    return made


def _written_if(time: int) -> str | None:
    return written(time) if time else None


def _cart(known: Known, deadline: int, episode: Episode, point: Point) -> dict[str, Any]:
    lines, currency = point.lines.values(), point.currency
    return {
        "cart_id": episode.cart_id,
        "stage": point.stage if point.stage in GROUPED else None,
        "source": point.source,
        "value": value_text(point.worth, currency),
        "currency": currency,
        "recovery_url": point.recovery_url,
        "lines": [_line(line, currency, known.stock_at(line.sku, deadline)) for line in lines],
    }


def _line(line: CartLine, currency: str, stock: Decimal | None) -> dict[str, Any]:
    price = None if line.price is None else published(Decimal(line.price), line.currency or currency)
    return {
        "sku": line.sku,
        "name": line.name,
        "variant": line.variant,
        "quantity": number(line.quantity),
        "price": price,
        "url": line.url,
        "image_url": line.image_url,
        "stock": None if stock is None else number(stock),
    }


def _kinds(carts: Others) -> list[str]:
    """Kinds of device the carts were changed on, in the order of first use."""
    points = [point for episode, newest in carts for point in episode.points if point.time <= newest.time]
    return list(dict.fromkeys(point.kind for point in sorted(points, key=lambda point: (point.time, point.kind))))
