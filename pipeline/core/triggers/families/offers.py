"""price_drop, low_stock, back_in_stock: news of an SKU that the person holds in a cart, on the wish list or by a stock
subscription. The deadline is the time of the fact.

A price drops if it is lower than before and low enough beside the newest price on the person's items; the next drop
counts once the price has risen. Stock is low when it falls to the policy's number, back when it was nothing. Stock of
single stores says nothing here. An order of the SKU ends the episode, and so does taking it away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Final

import msgspec

from pipeline.core.catalogue.facts import Price, Stock
from pipeline.core.episode import Episode, Point, Quiet, Ref
from pipeline.core.fragment import Fragment, Offered
from pipeline.core.money import EXACT
from pipeline.core.policy_sections import Triggers
from pipeline.core.triggers.family import Family
from pipeline.core.triggers.holdings import Hold, given_up, held_at, holds
from pipeline.core.triggers.known import Known

_ALL: Final = Decimal(1)

News = Iterator[tuple[Price | Stock, Hold]]
"""Facts that the person is to hear of, with what it held then."""


def _price_drops(known: Known, sku: str) -> News:
    prices = known.prices.get(sku, ())
    if not prices:
        return
    found = holds(known, sku)
    armed, before = True, None
    for price in prices:
        amount = Decimal(price.amount)
        if before is not None and amount > before:
            armed = True
        falls, before = before is None or amount < before, amount
        hold = _dear(known, held_at(found, price.time), price) if falls and armed else None
        if hold is not None:
            armed = False
            yield price, hold


def _dear(known: Known, held: Sequence[Hold], price: Price) -> Hold | None:
    """The newest item with a price in this currency, if it is so much dearer."""
    main = known.policy.profile.currency
    priced = [
        hold
        for hold in held
        if hold.line.price is not None and (hold.line.currency or main) == (price.currency or main)
    ]
    if not priced:
        return None
    hold = max(priced, key=_newest)
    assert hold.line.price is not None
    most = EXACT.multiply(Decimal(hold.line.price), _ALL - known.policy.triggers.price_drop)
    return hold if Decimal(price.amount) <= most else None


def _low_stocks(known: Known, sku: str) -> News:
    low = known.policy.triggers.low_stock
    return _stock_news(known, sku, lambda before, after: before > low >= after, lambda _: True)


def _back_in_stock(known: Known, sku: str) -> News:
    def waited(hold: Hold) -> bool:
        return hold.subscribed or known.stock_at(sku, hold.since) == 0

    return _stock_news(known, sku, lambda before, after: before == 0 < after, waited)


def _stock_news(
    known: Known, sku: str, is_news: Callable[[Decimal, Decimal], bool], concerns: Callable[[Hold], bool]
) -> News:
    news = [
        after
        for before, after in pairwise(known.stocks.get(sku, ()))
        if is_news(Decimal(before.count), Decimal(after.count))
    ]
    found = holds(known, sku) if news else []
    for fact in news:
        held = [hold for hold in held_at(found, fact.time) if concerns(hold)]
        if held:
            yield fact, max(held, key=_newest)


def _newest(hold: Hold) -> tuple[int, str]:
    return hold.line.changed, hold.fragment


def _episodes(name: str, news: Callable[[Known, str], News], known: Known) -> list[Episode]:
    return [_episode(name, known, sku, fact, hold) for sku in known.offered for fact, hold in news(known, sku)]


def _episode(name: str, known: Known, sku: str, fact: Price | Stock, hold: Hold) -> Episode:
    time, line, currency = fact.time, hold.line, hold.line.currency or known.policy.profile.currency
    if isinstance(fact, Price):
        line = msgspec.structs.replace(line, price=fact.amount)
    point = Point(
        time, fact.event, fact.source, hold.fragment, hold.channel, hold.kind, name, {sku: line}, currency, item=sku
    )
    key = "\n".join((name, sku, fact.event, fact.source, hold.fragment))
    episode = Episode(
        key,
        None,
        [point],
        [(point.ref, hold.fragment)],
        point.lines,
        time + known.policy.triggers.episode_expiry,
        any_order=False,
    )
    if hold.end <= time:
        episode.end, episode.ended_at, episode.order = "converted", time, hold.order
    else:
        _close(episode, known, sku, time)
    if episode.ended_at is None or episode.ended_at > time:
        episode.quiet.append(Quiet(time, time, fact.event, point, episode.ended_at))
    return episode


def _close(episode: Episode, known: Known, sku: str, time: int) -> None:
    order = next((one for one in known.orders if one.time >= time and sku in one.skus), None)
    gone = given_up(holds(known, sku), time)
    if order is not None and (gone is None or order.time <= gone):
        episode.end, episode.ended_at, episode.order = "converted", order.time, order
    elif gone is not None:
        episode.end, episode.ended_at = "emptied", gone


def _facts(offered: Offered) -> Iterator[Price | Stock]:
    yield from offered.prices
    yield from offered.stocks


def _earliest(fragment: Fragment, policy: Triggers) -> int | None:
    if not fragment.offers:
        return None
    firsts = [facts[0].time for one in fragment.offers.values() for facts in (one.prices, one.stocks) if facts]
    return min(firsts, default=None)


def _refs(fragment: Fragment) -> Iterable[tuple[Ref, int]]:
    for sku, offered in fragment.offers.items():
        for fact in _facts(offered):
            yield (fact.event, f"{fact.source}\n{sku}"), fact.received


def _family(name: str, news: Callable[[Known, str], News]) -> Family:
    return Family((name,), _earliest, lambda known: _episodes(name, news, known), _refs)


PRICE_DROP: Final = _family("price_drop", _price_drops)
LOW_STOCK: Final = _family("low_stock", _low_stocks)
BACK_IN_STOCK: Final = _family("back_in_stock", _back_in_stock)
