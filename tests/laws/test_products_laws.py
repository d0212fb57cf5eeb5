"""Products are a function of the set of touchpoints and the time, whoever owns which shard of how many.

Once nothing comes any more and a sweep has passed, what workers published is what `replay` says at that time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.catalogue.products import Products
from pipeline.core.catalogue.totals import TOLD_AGAIN
from pipeline.core.effects import Output
from pipeline.core.group import Group
from pipeline.core.identifiers import Registry
from pipeline.core.mail import Answer, Ask, decode
from pipeline.core.policy import load
from pipeline.core.replay import replay
from pipeline.core.times import DAY, HOUR, MINUTE
from pipeline.core.touchpoint import Id, Touchpoint
from tests.core.test_products import bought, fact, said, viewed, wished
from tests.deployment import Deployment
from tests.published import Published

SKUS = "ABCDEFGH"
BUYERS = (Id("loyalty:L-1"), Id("customer:C-1"), Id("cookie:c-1"), Id("cookie:c-2"))
SWEEPS = [TOLD_AGAIN, *(hours * HOUR for hours in (3, 25, 26, 50, 51, 75))]
"""When the clock looks again after the last touchpoint: numbers are told, SKUs look at them within a day."""

basket = st.lists(st.sampled_from(SKUS), min_size=1, max_size=4, unique=True).map(" ".join)
steps = st.one_of(
    st.tuples(st.just("buy"), basket, st.integers(0, 15)),
    st.tuples(st.just("buy"), basket, st.integers(0, 15)),
    st.tuples(st.just("update"), basket, st.integers(0, 15)),
    st.tuples(st.just("cancel"), basket, st.integers(0, 15)),
    st.tuples(st.just("view"), basket, st.integers(0, 3)),
    st.tuples(st.just("wish"), basket, st.integers(0, 3)),
    st.tuples(st.just("price"), st.sampled_from(SKUS), st.integers(1, 9)),
)


def made(number: int, step: tuple[str, str, int]) -> Touchpoint:
    act, skus, which = step
    who, id, order = BUYERS[which % len(BUYERS)], f"e{number}", f"o{which}"
    if act == "price":
        return fact(id, number, skus, price=str(which))
    if act == "buy":
        return bought(id, number, skus, order, who)
    if act == "view":
        return viewed(id, number, skus, who)
    if act == "wish":
        return wished(id, number, skus, who)
    return said(id, f"order.{act.rstrip('e')}{'led' if act == 'cancel' else 'ed'}", number, who, skus=skus, order=order)


def dealt_to(workers: int, turn: int, registry: Registry, kept: Deployment) -> list[Group]:
    """Every shard has an owner; each time another one."""
    owned = [[shard for shard in range(registry.shards) if (shard + turn) % workers == one] for one in range(workers)]
    return [kept.worker(registry, shards=shards) for shards in owned if shards]


def live(touchpoints: Sequence[Touchpoint], shards: int, workers: int, moves: set[int]) -> tuple[Published, int]:
    """What workers publish that hand shards on at some of the touchpoints, and the time when they have come to rest."""
    registry, kept = Registry(load(""), shards=shards), Deployment(shards)
    groups, clock = dealt_to(workers, 0, registry, kept), 0
    for number, tp in enumerate(touchpoints):
        if number in moves:
            groups = dealt_to(workers, number, registry, kept)
        shard = registry.home(tp.ids[0] if tp.ids else Id("anywhere"))
        next(group for group in groups if shard in group.shards).touch(shard, tp)
        clock = max(clock, tp.received)
        kept.settle(groups, clock)
    for passed in SWEEPS:
        kept.settle(groups, clock + passed)
    return kept.published, clock + SWEEPS[-1]


@settings(max_examples=40)
@given(
    st.lists(steps, min_size=1, max_size=30),
    st.sampled_from((1, 3, 8)),
    st.integers(1, 3),
    st.sets(st.integers(0, 29), max_size=3),
)
def test_however_many_shards_and_workers_products_are_those_of_a_replay(
    told: list[tuple[str, str, int]], shards: int, workers: int, moves: set[int]
) -> None:
    touchpoints = [made(number, step) for number, step in enumerate(told)]
    published, until = live(touchpoints, shards, workers, moves)
    for number in (1, shards):
        alone = Published(replay(touchpoints, Registry(load(""), shards=number), until))
        assert published.products == alone.products


def busy_shop() -> list[Touchpoint]:
    return [bought(f"o{n}", n, " ".join({SKUS[n % 8], SKUS[n * 3 % 8], SKUS[n * 5 % 8]})) for n in range(240)]


def test_how_often_an_sku_was_bought_is_told_once_an_hour_to_each_shard_that_asked() -> None:
    registry, kept = Registry(load(""), shards=4), Deployment(4)
    groups = dealt_to(2, 0, registry, kept)
    sent: Counter[type] = Counter()
    for tp in busy_shop():
        shard = registry.home(tp.ids[0])
        next(group for group in groups if shard in group.shards).touch(shard, tp)
        for group in groups:
            effects = group.drain(tp.received, tp.received)
            sent.update(type(decode(message)) for _, message in effects.mail)
            for to, message in effects.mail:
                next(group for group in groups if to in group.shards).receive(to, message)
    hours, names = 240 * MINUTE // HOUR, len(SKUS) + 1
    assert 0 < sent[Ask] <= 2 * len(SKUS) * names, "each SKU asks until it is answered"
    assert sent[Answer] - sent[Ask] <= (hours + 1) * names * 2, "two shards of the other worker may listen"


def test_old_news_that_arrives_late_does_not_replace_newer_news() -> None:
    registry = Registry(load(""))
    post: list[object] = []
    products = Products(registry, post.append, lambda _: None, durable=True)
    for turn, orders in ((2, 20), (1, 10)):
        products.handlers[Answer](Answer(Id("A"), "B", orders, turn, True))
    assert products.totals.known("B", lambda _: None) == 20


def test_a_product_that_nothing_happens_to_follows_the_orders_of_others_within_a_day() -> None:
    group, outputs = Group(Registry(load("")), "record"), list[Output]()
    group.add(0)
    history = [bought("o1", 0, "A B"), *(bought(f"o{n}", n, "C D") for n in range(2, 12))]
    for tp in history:
        group.touch(0, tp)
        outputs += group.drain(tp.received, tp.received).outputs
    for passed in (1, 2):
        outputs += group.drain(tp.received + passed * DAY, tp.received + passed * DAY).outputs
    assert Published(outputs).products["A"]["bought_together"] == [{"sku": "B", "orders": 1, "lift": 11.0}]


@pytest.mark.parametrize("workers", [1, 2])
def test_what_was_told_outlives_the_worker_that_heard_it(workers: int) -> None:
    touchpoints = busy_shop()[:60]
    published, until = live(touchpoints, 4, workers, set(range(1, 60, 7)))
    assert published.products == Published(replay(touchpoints, Registry(load("")), until)).products
