"""store_basket: what somebody scanned or saved in a store and did not buy. Orders act on it as on a cart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pipeline.core.cart import basket_episodes
from pipeline.core.episode import Episode, Ref
from pipeline.core.fragment import Fragment
from pipeline.core.policy_sections import Triggers
from pipeline.core.triggers.family import Family
from pipeline.core.triggers.known import Known


def _earliest(fragment: Fragment, policy: Triggers) -> int | None:
    if not fragment.baskets:
        return None
    return min(basket.changes[0].time for basket in fragment.baskets.values()) + policy.store_basket_delay


def _episodes(known: Known) -> list[Episode]:
    return basket_episodes(known.fragments, known.as_of, known.policy)


def _refs(fragment: Fragment) -> Iterable[tuple[Ref, int]]:
    for basket in fragment.baskets.values():
        for change in basket.changes:
            yield (change.event, change.source), change.received


STORE_BASKETS: Final = Family(("store_basket",), _earliest, _episodes, _refs, patient=True)
