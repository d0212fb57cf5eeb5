"""On which days which store was named: by any touchpoint with a store, and by an order placed in one."""

from __future__ import annotations

from typing import Final

from pipeline.core.days import day
from pipeline.core.events import IN_STORE
from pipeline.core.facts.bounded import count_dropped, drop_oldest
from pipeline.core.fragment import Fragment
from pipeline.core.identifiers import Registry
from pipeline.core.touchpoint import Touchpoint

_DAYS_MAX: Final = 366
_STORES_MAX: Final = 20
"""On one day."""


def store_of(tp: Touchpoint) -> str | None:
    """Where a touchpoint was. The store of an order alone may be the one at which it is picked up."""
    store, order = tp.data.store, tp.data.order
    if store is not None and store.id:
        return store.id
    if order is not None and tp.type == "order.placed" and tp.channel in IN_STORE:
        return order.store or None
    return None


def fold_store(fragment: Fragment, tp: Touchpoint, registry: Registry) -> None:
    store = store_of(tp)
    if store is None:
        return
    number = day(tp.time, registry.policy.profile.timezone)
    stores = fragment.stores.setdefault(number, {})
    stores[store] = max(tp.time, stores.get(store, tp.time))
    drop_oldest(fragment, "stores", stores, _STORES_MAX, lambda newest: newest)
    if len(fragment.stores) > _DAYS_MAX:
        del fragment.stores[min(fragment.stores)]
        count_dropped(fragment, "store_days")
