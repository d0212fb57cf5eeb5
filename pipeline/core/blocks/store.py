"""store: where the person goes. home: the store with most days in 365 on which it was named (tie: the latest).
last_visit: when the person was last in a store. basket: the last that was saved in a store and not bought.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pipeline.core import days
from pipeline.core.blocks.carts import line_shown
from pipeline.core.blocks.horizon import Horizon, written
from pipeline.core.cart import basket_episodes
from pipeline.core.episode import Episode, open_carts
from pipeline.core.events import IN_STORE
from pipeline.core.fragment import Fragment
from pipeline.core.policy import Policy

_DAYS: Final = 365


def store(fragments: Sequence[Fragment], policy: Policy, horizon: Horizon) -> dict[str, Any] | None:
    block: dict[str, Any] = {}
    home = _home(fragments, policy.profile.timezone, horizon)
    if home is not None:
        block["home"] = home
    visit = _last_visit(fragments)
    if visit is not None:
        block["last_visit"] = written(visit)
    saved = _saved(fragments, policy, horizon)
    if saved is not None:
        block["basket"] = _basket(*saved, policy.profile.currency)
    return block or None


def _home(fragments: Sequence[Fragment], zone: str, horizon: Horizon) -> str | None:
    named: dict[str, dict[int, int]] = {}
    for fragment in fragments:
        for number_, stores in fragment.stores.items():
            for name, time in stores.items():
                of_store = named.setdefault(name, {})
                of_store[number_] = max(time, of_store.get(number_, time))
    if not named:
        return None
    oldest = days.day(horizon.now, zone) - _DAYS + 1
    recent = {name: {day: time for day, time in on.items() if day >= oldest} for name, on in named.items()}
    recent = {name: on for name, on in recent.items() if on}
    if not recent:
        return None
    horizon.fades_at(days.start(min(min(on) for on in recent.values()) + _DAYS, zone))
    return max(recent, key=lambda name: (len(recent[name]), max(recent[name].values()), name))


def _last_visit(fragments: Sequence[Fragment]) -> int | None:
    """Any activity in a store, and visits and baskets wherever they were told from."""
    times = [visit.time for fragment in fragments for visit in fragment.visits[-1:]]
    times += [cart.changes[-1].time for fragment in fragments for cart in fragment.baskets.values()]
    for fragment in fragments:
        times += [time for kind, time in fragment.devices.items() if kind.partition("\n")[0] in IN_STORE]
    return max(times, default=None)


def _saved(fragments: Sequence[Fragment], policy: Policy, horizon: Horizon) -> tuple[int, Episode] | None:
    """The basket that was saved last, with when."""
    saved = {
        (change.event, change.source): change.time
        for fragment in fragments
        for basket in fragment.baskets.values()
        for change in basket.changes
        if change.kind == "set"
    }
    found = None
    for episode in open_carts(basket_episodes(fragments, None, policy), horizon.now) if saved else ():
        time = max((saved[ref] for ref, _ in episode.changes if ref in saved), default=None)
        if time is not None:
            horizon.fades_at(episode.expires_at)
            if found is None or (time, episode.key) > (found[0], found[1].key):
                found = (time, episode)
    return found


def _basket(saved_at: int, episode: Episode, main_currency: str) -> dict[str, Any]:
    currency = episode.last.currency or main_currency
    return {"saved_at": written(saved_at), "lines": [line_shown(line, currency) for line in episode.lines.values()]}
