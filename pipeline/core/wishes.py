"""The wish list of a person over all its fragments: of each SKU the newest change."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.core.facts.wishes import law
from pipeline.core.fragment import Fragment, Wish


def wishes_of(fragments: Iterable[Fragment], as_of: int | None) -> list[Wish]:
    """What is wished, the oldest wish first; each has a line. as_of: only what was received up to then; None: all."""
    newest: dict[str, Wish] = {}
    for fragment in fragments:
        for wish in (*fragment.wishes.values(), *(fragment.wished if as_of is not None else ())):
            if as_of is not None and wish.received > as_of:
                continue
            known = newest.get(wish.sku)
            if known is None or law(wish) > law(known):
                newest[wish.sku] = wish
    return sorted((wish for wish in newest.values() if wish.line is not None), key=lambda wish: (wish.time, wish.sku))
