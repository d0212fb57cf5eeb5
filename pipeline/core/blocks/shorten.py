"""A document that grew too large for a record is cut with a mark: the block `cut` names what is not complete.

The longest list or table loses its second half, again and again, until the document fits. Lists of a document begin
with what matters most: strongest identifiers, first lines of a cart.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

_encode: Final = msgspec.json.Encoder().encode


def shorten(blocks: dict[str, Any], most: int) -> dict[str, Any]:
    """The blocks, cut in place if their JSON is longer than `most` bytes."""
    cut: set[str] = set()
    while len(_encode(blocks)) > most:
        name = max(blocks.keys() - {"cut"}, key=lambda name: (_size(blocks[name]), name))
        _halve(blocks, name)
        cut.add(name)
        blocks["cut"] = sorted(cut)
    return blocks


def _halve(holder: Any, place: Any) -> None:
    """Halves the container at `holder[place]`, or the part of it that makes up most of it; no container: removes it."""
    value = holder[place]
    if not isinstance(value, (dict, list)) or not value:
        del holder[place]
        return
    places = list(value) if isinstance(value, dict) else range(len(value))
    largest = max(places, key=lambda place: _size(value[place]))
    if len(value) == 1 or _size(value[largest]) * 2 > _size(value):
        _halve(value, largest)
        return
    for last in reversed(list(places)[len(value) // 2 :]):
        del value[last]


def _size(value: Any) -> int:
    return len(_encode(value))
