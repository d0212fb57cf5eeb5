"""commerce.ropo: research online, purchase offline. A line of an order that was placed in a store counts if the person
viewed its SKU or product online, or put it into a cart there, in the 30 days before (`ropo_window`); the latest such
moment is when it was researched. Reverse: an order placed online in the 30 days after a visit to a store or a scan.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from pipeline.core.blocks.horizon import Horizon, written
from pipeline.core.blocks.ingredients import LOOKS, PUTS
from pipeline.core.blocks.rfm import YEAR
from pipeline.core.events import IN_STORE, ONLINE
from pipeline.core.fragment import Fragment, Line
from pipeline.core.sales import Bought
from pipeline.core.times import HOUR

_PUTS: Final = frozenset({"add", "set"})


class Researched(NamedTuple):
    """A line bought in a store. Sorts by what happened last."""

    bought_at: int
    researched_at: int
    sku: str
    store: str | None


def ropo(sold: Sequence[Bought], fragments: Sequence[Fragment], window: int, horizon: Horizon) -> dict[str, Any]:
    offline = [one for one in sold if one.sale.channel in IN_STORE]
    if offline:
        horizon.needs |= LOOKS | PUTS
    found = list(_researched(offline, _online(fragments), window)) if offline else []
    block: dict[str, Any] = {"flag": bool(found)}
    if found:
        last = max(found, key=lambda one: (*one[:3], one.store or ""))
        block["last"] = {
            "sku": last.sku,
            "researched_at": written(last.researched_at),
            "bought_at": written(last.bought_at),
            "lag_hours": (last.bought_at - last.researched_at) // HOUR,
            "store": last.store,
        }
    block["count_365d"] = sum(horizon.within(one.bought_at, YEAR) for one in found)
    block["reverse_count_365d"] = sum(horizon.within(time, YEAR) for time in _after_a_visit(sold, fragments, window))
    return block


def _researched(offline: Iterable[Bought], online: Mapping[str, list[int]], window: int) -> Iterator[Researched]:
    """online: see `_online`."""
    for one in offline:
        assert one.order.placed is not None
        time = one.sale.time
        for line in one.order.placed.lines:
            latest = max((_latest(online.get(name, ()), time) for name in _names(line)), default=None)
            if latest is not None and latest >= time - window:
                yield Researched(time, latest, line.sku, one.order.placed.store)


def _latest(times: Sequence[int], until: int) -> int:
    """The last of ascending times up to `until`; before all times if there is none."""
    place = bisect_right(times, until)
    return times[place - 1] if place else -(2**62)


def _online(fragments: Iterable[Fragment]) -> dict[str, list[int]]:
    """Name of an SKU or a product -> when the person was at it online, ascending."""
    found: dict[str, list[int]] = {}
    for fragment in fragments:
        for view in fragment.views:
            if view.channel in ONLINE:
                _note(found, view.lines, view.time)
        for cart in fragment.carts.values():
            for change in cart.changes:
                if change.kind in _PUTS and change.channel in ONLINE:
                    _note(found, change.lines, change.time)
    for times in found.values():
        times.sort()
    return found


def _note(found: dict[str, list[int]], lines: Iterable[Line], time: int) -> None:
    for line in lines:
        for name in _names(line):
            found.setdefault(name, []).append(time)


def _names(line: Line) -> tuple[str, ...]:
    """What a line is known by: its SKU and, apart from it, its product."""
    return (f"s{line.sku}",) if line.product_id is None else (f"s{line.sku}", f"p{line.product_id}")


def _after_a_visit(sold: Iterable[Bought], fragments: Iterable[Fragment], window: int) -> list[int]:
    visits = sorted({visit.time for fragment in fragments for visit in fragment.visits})
    if not visits:
        return []
    online = [one.sale.time for one in sold if one.sale.channel in ONLINE]
    return [time for time in online if _latest(visits, time) >= time - window]
