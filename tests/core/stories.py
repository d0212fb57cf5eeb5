"""Random stories of carts: a few shoppers on a few devices shop, buy, log in, are linked and unlinked. Each fact may
arrive late. Minutes lie on a coarse grid, so that facts meet deadlines exactly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from tests.core.shopper import Facts

POLICIES = {
    "plain": "require_consent = false",
    "consent": "",
    "keep": 'require_consent = false\nany_order = "keep"',
    "steps": 'require_consent = false\nsteps = ["0m", "24h"]\ncap_24h = 2\ncap_7d = 4',
    "delays": 'require_consent = false\ncart_delay = "60m"\ncheckout_delay = "30m"\nregroup = "2h"\ncap_24h = 3',
}

_WHO = (
    "cookie:c-1",
    "email:jane@example.com",
    "cookie:c-1 email:jane@example.com",
    "cookie:c-2 email:joe@example.com",
    "device:d-1 email:jane@example.com",
    "customer:C-2 cookie:c-2",
    "customer:C-1 email:jane@example.com",
    "customer:C-1 email:joe@example.com",
    "email:jane@example.com email:joe@example.com",
)
_SKUS = ("A", "B", "A B", "A*2", "B C")
_HOUR, _DAY = 60, 24 * 60

_minutes = st.one_of(
    st.integers(0, 15).map(lambda steps: steps * 10),
    st.integers(0, 40),
    st.sampled_from((180, 300, 20 * _HOUR, _DAY, 25 * _HOUR, 26 * _HOUR, 2 * _DAY, 50 * _HOUR, 4 * _DAY)),
)
_late = st.sampled_from((0, 0, 0, 0, 1, 2, 3, 5, 20, 45, 70, 100, 200, 300, _DAY))


def _acts(carts: Sequence[str | None], whom: Sequence[str]) -> st.SearchStrategy[tuple[Any, ...]]:
    who, link = st.sampled_from(whom), st.sampled_from([one for one in whom if " " in one])
    cart, checkout = st.sampled_from(carts), st.sampled_from(("ch-1", None, None))
    some = st.sampled_from(_SKUS)
    return st.one_of(
        st.tuples(st.just("add"), who, some, cart),
        st.tuples(st.just("add"), who, some, cart),
        st.tuples(st.just("remove"), who, some, cart),
        st.tuples(st.just("snapshot"), who, st.sampled_from((*_SKUS, "")), cart),
        st.tuples(st.just("checkout"), who, st.sampled_from(("", "A", "A B")), cart, checkout),
        st.tuples(st.just("order"), who, st.sampled_from((*_SKUS, "Z")), cart, checkout),
        st.tuples(st.just("view"), who),
        st.tuples(st.just("observe"), link),
        st.tuples(st.just("unlink"), link),
        st.tuples(st.just("consent"), who, st.sampled_from(("granted", "denied", "revoked"))),
        st.tuples(st.just("click"), who),
    )


@st.composite
def stories(draw: st.DrawFn, size_max: int = 12, carts: Sequence[str | None] = ("cart-1", "cart-2", None)) -> Facts:
    """The facts of a story under one of the policies. carts: ids; None: no id."""
    moments = st.lists(st.tuples(_minutes, _late, _acts(carts, _WHO)), min_size=1, max_size=size_max)
    return _told_as(draw(st.sampled_from(sorted(POLICIES))), draw(moments))


@st.composite
def punctual_stories(draw: st.DrawFn, size_max: int = 12) -> Facts:
    """Stories of one person, in steps of ten minutes, of which nothing is received more than two minutes late. Any
    order closes a cart: otherwise a late removal could say that an order did not."""
    whom = ("email:jane@example.com", "email:jane@example.com cookie:c-1", "email:jane@example.com device:d-1")
    moment = st.tuples(st.integers(0, 60).map(lambda n: n * 10), st.integers(0, 2), _acts(("cart-1", "cart-2"), whom))
    moments = st.lists(moment.filter(lambda moment: moment[2][0] != "unlink"), min_size=1, max_size=size_max)
    return _told_as(draw(st.sampled_from([name for name in sorted(POLICIES) if name != "keep"])), draw(moments))


def _told_as(policy: str, moments: list[tuple[float, float, tuple[Any, ...]]]) -> Facts:
    """A pair is unlinked once and then never linked again: of the two, fragments keep only the newest time."""
    facts = Facts(f"[triggers]\n{POLICIES[policy]}\n")
    settled = {who for _, _, (act, who, *_) in moments if act == "observe"}
    for minute, late, (act, who, *rest) in moments:
        if act == "unlink":
            if who in settled:
                continue
            settled.add(who)
        if act in ("add", "remove", "snapshot"):
            getattr(facts, act)(minute, who, *rest, late=late)
        elif act == "checkout":
            skus, cart, checkout = rest
            facts.checkout(minute, who, skus, cart, checkout=checkout, late=late)
        elif act == "order":
            skus, cart, checkout = rest
            facts.order(minute, who, skus, cart, checkout=checkout, late=late)
        elif act == "consent":
            facts.consent(minute, who, rest[0], late=late)
        elif act == "click":
            facts.click(minute, who, None, link="https://shop.example/r", late=late)
        else:
            getattr(facts, act)(minute, who, late=late)
    return facts
