"""attribution: by which campaigns the person came. A touch is a touchpoint with a campaign; of many the first and the
newest are known. Credit for the last order is shared among the touches up to it by four rules: all to the first, all
to the last, the same to each, or by position (`position_weights`: first, those between, last).

Shares are whole ten-thousandths that add up to 1: what rounding leaves goes to the largest remainders.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from pipeline.core.blocks.horizon import written
from pipeline.core.facts.bounded import place
from pipeline.core.fragment import CampaignTouch, Fragment

_PARTS: Final = 10_000

Weights = Sequence[Fraction]


def attribution(
    fragments: Iterable[Fragment], last_order: int | None, bounds: tuple[int, int], position: Sequence[Decimal]
) -> dict[str, Any] | None:
    """last_order: time of the last order. bounds: how many touches are kept, the first and the newest."""
    touches = _touches(fragments, bounds)
    if not touches:
        return None
    path = [_shown(touch) for touch in touches]
    block: dict[str, Any] = {"first": path[0], "last": path[-1], "path": path}
    before = [touch for touch in touches if last_order is not None and touch.time <= last_order]
    if before:
        keys = [f"{touch.channel}/{touch.origin or ''}/{touch.medium or ''}" for touch in before]
        block["credit"] = {rule: _credit(keys, weights) for rule, weights in _rules(len(keys), position).items()}
    return block


def _touches(fragments: Iterable[Fragment], bounds: tuple[int, int]) -> list[CampaignTouch]:
    """Each event once, in order, though it may be on several fragments."""
    kept = {place(touch): touch for fragment in fragments for touch in fragment.touches}
    touches = [kept[where] for where in sorted(kept)]
    first, newest = bounds
    return touches if len(touches) <= first + newest else touches[:first] + touches[-newest:]


def _shown(touch: CampaignTouch) -> dict[str, Any]:
    return {
        "channel": touch.channel,
        "source": touch.origin,
        "medium": touch.medium,
        "campaign": touch.name,
        "time": written(touch.time),
    }


def _rules(count: int, position: Sequence[Decimal]) -> Mapping[str, Weights]:
    """The weight of each of `count` touches; they add up to 1."""
    none = [Fraction(0)] * (count - 1)
    return {
        "first": [Fraction(1), *none],
        "last": [*none, Fraction(1)],
        "linear": [Fraction(1, count)] * count,
        "position": _by_position(count, [Fraction(weight) for weight in position]),
    }


def _by_position(count: int, weights: Weights) -> Weights:
    """Without touches between, their weight goes to the ends in proportion; ends of no weight share it."""
    first, between, last = weights
    if count == 1:
        return [Fraction(1)]
    if count == 2:
        ends = first + last
        return [first / ends, last / ends] if ends else [Fraction(1, 2)] * 2
    return [first, *[between / (count - 2)] * (count - 2), last]


def _credit(keys: Sequence[str], weights: Weights) -> dict[str, float]:
    shares: dict[str, Fraction] = {}
    for key, weight in zip(keys, weights, strict=True):
        if weight:
            shares[key] = shares.get(key, Fraction(0)) + weight
    parts = {key: int(share * _PARTS) for key, share in shares.items()}
    by_remainder = sorted(shares, key=lambda key: (parts[key] - shares[key] * _PARTS, key))
    for key in by_remainder[: _PARTS - sum(parts.values())]:
        parts[key] += 1
    return {key: parts[key] / _PARTS for key in sorted(parts)}
