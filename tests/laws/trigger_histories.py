"""Random histories of a few shoppers for the laws of triggers: devices, log-ins, merges, unlinks, carts, baskets,
wishes, views, orders in any channel, late by up to a day, repeated. Minutes lie on a coarse grid, so that facts meet
deadlines exactly. The same seed gives the same history.
"""

from __future__ import annotations

from random import Random
from typing import Any

from tests.core.shopper import Facts

_FAST = 'wishlist_delay = "26h"\nbrowse_delay = "60m"\n'
POLICIES = {
    "plain": f"require_consent = false\n{_FAST}",
    "consent": _FAST,
    "keep": f'require_consent = false\nany_order = "keep"\n{_FAST}',
    "steps": f'require_consent = false\nsteps = ["0m", "24h"]\ncap_24h = 2\ncap_7d = 4\n{_FAST}',
    "delays": 'require_consent = false\ncheckout_delay = "30m"\nregroup = "2h"\ncap_24h = 3\nfamily_window = "5h"\n'
    'wishlist_delay = "3h"\nbrowse_delay = "20m"\nbrowse_order_block = "6h"\n',
    "threshold": f'require_consent = false\nthreshold = {{ EUR = "15" }}\n{_FAST}',
    "quiet": f'require_consent = false\nquiet_hours = "15:00-20:00"\n{_FAST}[profile]\ntimezone = "UTC"\n',
}

# Identifiers of one person are at home at different shards.
_ONE = ("email:jane@example.com", "cookie:c-2", "device:d-2", "email:jane@example.com cookie:c-2")
_MANY = (
    "cookie:c-5",
    "email:jane@example.com",
    "cookie:c-5 email:jane@example.com",
    "cookie:c-2 email:joe@example.com",
    "device:d-1 email:jane@example.com",
    "customer:C-2 cookie:c-2",
    "customer:C-1 email:jane@example.com",
    "customer:C-1 email:joe@example.com",
    "email:jane@example.com email:joe@example.com",
)
_SKUS = ("A", "B", "A B", "A*2", "B C")
_CHANNELS = ("web/shop", "web/shop", "app/shop", "store/S-1", "call/desk")
_LATE = ((0, 0, 0, 0, 0, 1, 2, 3, 20, 45, 70, 100), (0, 0, 0, 70, 100, 200, 300, 1440))
_FAR = (180, 300, 1200, 1440, 1500, 1560, 2880, 3000, 5760)
_AROUND = {"order": 5, "view": 2, "observe": 2, "unlink": 1, "consent": 1, "click": 1}
THEMES = (
    {"add": 6, "remove": 3, "snapshot": 3, "checkout": 3, **_AROUND},
    {"scan": 4, "save": 1, "wish": 4, "unwish": 1, "add": 1, **_AROUND},
    {"look": 12, "add": 1, "order": 1, "view": 3, "observe": 1},
    {"add": 3, "snapshot": 1, "checkout": 2, "scan": 2, "wish": 2, "look": 5, **_AROUND},
    {"add": 3, "scan": 2, "order": 4, "observe": 1},
)
"""What is done, how often."""


def history(seed: int, *, late: bool = True, persons: bool = True, step: int = 1) -> Facts:
    """late: some facts arrive late. persons: several, who merge and split. step: minutes of the grid."""
    rnd = Random(seed)
    facts = Facts("[triggers]\n" + POLICIES[rnd.choice(sorted(POLICIES))])
    whom = _MANY if persons else _ONE
    settled: dict[str, str] = {}
    if not persons:
        facts.observe(0, "email:jane@example.com cookie:c-2 device:d-2")
        settled = dict.fromkeys(whom, "observe")
    theme, delays = rnd.choice(THEMES), rnd.choice(_LATE) if late else (0,)
    minutes = [0]
    for act in rnd.choices(list(theme), weights=list(theme.values()), k=rnd.choice((2, 4, 6, 9, 12))):
        near = rnd.choice(minutes) + rnd.choice((rnd.randrange(-2, 9) * 10, 60))
        minute = max(0, rnd.choice((near, near, rnd.randrange(40), rnd.choice(_FAR))))
        minutes.append(minute)
        _tell(facts, rnd, act, minute // step * step, rnd.choice(whom), rnd.choice(delays), settled)
    return facts


def _tell(facts: Facts, rnd: Random, act: str, minute: int, who: str, late: int, settled: dict[str, str]) -> None:
    cart, skus, checkout = rnd.choice(("cart-1", "cart-2")), rnd.choice(_SKUS), rnd.choice(("ch-1", None, None))
    more: dict[str, Any] = {"late": late}
    if act in ("add", "remove", "snapshot"):
        emptied = act == "snapshot" and rnd.random() < 0.3
        getattr(facts, act)(minute, who, "" if emptied else skus, cart, **more)
    elif act == "checkout":
        facts.checkout(minute, who, rnd.choice(("", "A", "A B")), cart, checkout=checkout, **more)
    elif act in ("scan", "save"):
        getattr(facts, act)(minute, who, skus, "basket-1", **more)
    elif act in ("wish", "unwish", "look"):
        getattr(facts, act)(minute, who, skus, **more)
    elif act == "order":
        named = rnd.choice((cart, None, None))
        bought = rnd.choice((*_SKUS, "Z"))
        facts.order(minute, who, bought, named, checkout=checkout, source=rnd.choice(_CHANNELS), **more)
    elif act == "consent":
        facts.consent(minute, who, rnd.choice(("granted", "granted", "denied", "revoked")), **more)
    elif act == "click":
        facts.click(minute, who, None, link="https://shop.example/r", **more)
    elif act in ("observe", "unlink"):
        _link(facts, act, minute, who, settled, more)
    else:
        facts.view(minute, who, **more)


def _link(facts: Facts, act: str, minute: int, who: str, settled: dict[str, str], more: dict[str, Any]) -> None:
    """A pair is either observed or unlinked once: of pairs that were both, fragments keep only the newest times."""
    if " " not in who or (who in settled and (act, settled[who]) != ("observe", "observe")):
        facts.view(minute, who, **more)
        return
    settled[who] = act
    getattr(facts, act)(minute, who, **more)
