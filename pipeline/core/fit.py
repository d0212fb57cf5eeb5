"""A fragment that grew too large for a record is cut in place, so that no input can stop its shard.

Each collection has a bound of its own; this is for fragments whose rows are long. The largest member loses its older
half, again and again, until the row fits. What is cut is counted in `dropped`. The newest facts and the sums that
older ones leave behind stay longest. Which facts are there decides what is cut, not the order in which they came.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from pipeline.core.facts.bounded import count_dropped
from pipeline.core.facts.consents import law
from pipeline.core.facts.orders import drop_oldest_order
from pipeline.core.facts.sightings import drop_oldest_set, drop_oldest_share
from pipeline.core.fragment import Cart, Fragment

_encode: Final = msgspec.msgpack.Encoder().encode


def encode_within(fragment: Fragment, most: int) -> bytes:
    """The fragment as bytes, `most` of them at most; cut in place if it was larger."""
    row = _encode(fragment)
    while len(row) > most:
        _cut(fragment)
        count_dropped(fragment, "fragment_bytes")
        fragment.deeds += 1
        row = _encode(fragment)
    return row


def _cut(fragment: Fragment) -> None:
    name = max(_MEMBERS, key=lambda name: (len(_encode(getattr(fragment, name))), name))
    rows = getattr(fragment, name)
    if name in ("carts", "baskets"):
        _cut_carts(rows)
        return
    if name in _LISTS:
        del rows[: (len(rows) + 1) // 2]
        return
    drop = _DROPS.get(name)
    for _ in range((len(rows) + 1) // 2):
        if drop is not None:
            drop(fragment)
        else:
            del rows[min(rows, key=lambda key: (_AGES[name](key, rows[key]), key))]


def _cut_carts(carts: dict[str, Cart]) -> None:
    """The largest cart loses the older half of its changes, the last change half of its lines."""
    key = max(carts, key=lambda key: (len(_encode(carts[key])), key))
    changes = carts[key].changes
    lines = changes[-1].lines
    if len(changes) > 1:
        del changes[: len(changes) // 2]
    elif len(lines) > 1:
        changes[-1] = msgspec.structs.replace(changes[-1], lines=lines[: len(lines) // 2])
    else:
        del carts[key]


_DROPS: Final[dict[str, Callable[[Fragment], None]]] = {
    "sets": drop_oldest_set,
    "rest": drop_oldest_share,
    "orders": drop_oldest_order,
}
_AGES: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "plain": lambda id, _: id,
    "shared": lambda _, since: since,
    "vetoes": lambda _, veto: veto[0],
    "hints": lambda _, seen: seen.last,
    "traits": lambda _, kept: kept[0].time,
    "consents": lambda _, kept: law(kept[-1]),
    "returns": lambda _, one: one.time,
    "activity": lambda time, _: time,
    "clicks": lambda _, click: click.time,
    "days": lambda number, _: number,
    "sessions": lambda _, newest: newest,
    "devices": lambda _, newest: newest,
    "older": lambda _, older: older.last,
    "wishes": lambda _, wish: wish.time,
    "lists": lambda _, shared: shared.time,
    "stores": lambda number, _: number,
    "sizes": lambda _, sizes: sizes.time,
    "bounces": lambda _, bounce: bounce.time,
    "offers": lambda _, offered: offered.wanted,
    "subscriptions": lambda _, known: known[-1].time,
}
_LISTS: Final = ("wished", "views", "visits", "touches")
"""Members in the order of time."""
_MEMBERS: Final = ("carts", "baskets", *_DROPS, *_AGES, *_LISTS)
