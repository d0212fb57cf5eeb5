"""Products are a function of the set of touchpoints and the time, whoever owns which shard of how many.

Once nothing comes any more, what workers published is what `replay` says: at once on the clock of records, which then
stands still, and after a minute or two on that of the wall.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.catalogue.product import ALL_ORDERS
from pipeline.core.catalogue.products import LOOKED_AT, Products
from pipeline.core.catalogue.totals import TOLD_AGAIN
from pipeline.core.effects import Output
from pipeline.core.group import Group
from pipeline.core.identifiers import Registry
from pipeline.core.mail import Answer, Ask, decode
from pipeline.core.policy import load
from pipeline.core.replay import replay
from pipeline.core.times import SECOND
from pipeline.core.touchpoint import Id, Touchpoint
from tests.core.test_products import bought, fact, said, viewed, wished
from tests.deployment import Deployment
from tests.published import Published

SKUS = "ABCDEFGH"
BUYERS = (Id("loyalty:L-1"), Id("customer:C-1"), Id("cookie:c-1"), Id("cookie:c-2"))
REST = {
    "record": [0] * 5,
    "wall": [n * SECOND + told * TOLD_AGAIN for told in range(3) for n in range(len(SKUS) // LOOKED_AT + 3)],
}
"""When workers look again after the last touchpoint: numbers are told, then all SKUs looked at."""

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


def dealt_to(workers: int, turn: int, registry: Registry, kept: Deployment, clock: str = "record") -> list[Group]:
    """Every shard has an owner; each time another one."""
    owned = [[shard for shard in range(registry.shards) if (shard + turn) % workers == one] for one in range(workers)]
    return [kept.worker(registry, clock, shards) for shards in owned if shards]


def handed_over(worker: Group, leave: set[int], registry: Registry, kept: Deployment, clock: str) -> list[Group]:
    """All shards are given up; those come back that do not leave for a new worker."""
    memory = {shard: worker.remove(shard) for shard in worker.shards}
    for shard in memory.keys() - leave:
        worker.restore(shard, memory[shard])
    return [worker, kept.worker(registry, clock, leave)]


def live(
    touchpoints: Sequence[Touchpoint], shards: int, workers: int, moves: set[int], kind: str = "record"
) -> tuple[Published, int]:
    """What workers publish that hand shards on at some of the touchpoints, and the time when they have come to rest."""
    registry, kept = Registry(load(""), shards=shards), Deployment(shards)
    groups, clock = dealt_to(workers, 0, registry, kept, kind), 0
    for number, tp in enumerate(touchpoints):
        if number in moves:
            groups = dealt_to(workers, number, registry, kept, kind)
        shard = registry.home(tp.ids[0] if tp.ids else Id("anywhere"))
        next(group for group in groups if shard in group.shards).touch(shard, tp)
        clock = max(clock, tp.received)
        kept.settle(groups, clock)
    for passed in REST[kind]:
        kept.settle(groups, clock + passed)
    return kept.published, clock + REST[kind][-1]


@settings(max_examples=40)
@given(
    st.lists(steps, min_size=1, max_size=30),
    st.sampled_from((1, 3, 8)),
    st.integers(1, 3),
    st.sets(st.integers(0, 29), max_size=3),
    st.sampled_from(sorted(REST)),
)
def test_however_many_shards_and_workers_products_are_those_of_a_replay(
    told: list[tuple[str, str, int]], shards: int, workers: int, moves: set[int], clock: str
) -> None:
    touchpoints = [made(number, step) for number, step in enumerate(told)]
    published, until = live(touchpoints, shards, workers, moves, clock)
    for number in (1, shards):
        alone = Published(replay(touchpoints, Registry(load(""), shards=number), until))
        assert published.products == alone.products


def busy_shop() -> list[Touchpoint]:
    return [bought(f"o{n}", n, " ".join({SKUS[n % 8], SKUS[n * 3 % 8], SKUS[n * 5 % 8]})) for n in range(240)]


def test_how_often_an_sku_was_bought_is_told_once_a_minute_to_each_shard_that_asked() -> None:
    registry, kept = Registry(load(""), shards=4), Deployment(4)
    groups = dealt_to(2, 0, registry, kept, "wall")
    sent: Counter[type] = Counter()
    shop = busy_shop()
    for number, tp in enumerate(shop):
        clock, shard = shop[0].received + number * SECOND, registry.home(tp.ids[0])
        next(group for group in groups if shard in group.shards).touch(shard, tp)
        for group in groups:
            effects = group.drain(clock, clock)
            sent.update(type(decode(message)) for _, message in effects.mail)
            for to, message in effects.mail:
                next(group for group in groups if to in group.shards).receive(to, message)
    minutes, names = len(shop) * SECOND // TOLD_AGAIN, len(SKUS) + 1
    assert 0 < sent[Ask] <= 2 * len(SKUS) * names, "each SKU asks until it is answered"
    assert sent[Answer] - sent[Ask] <= (minutes + 1) * names * 2, "two shards of the other worker may listen"


def test_old_news_that_arrives_late_does_not_replace_newer_news() -> None:
    registry = Registry(load(""))
    post: list[object] = []
    products = Products(registry, post.append, lambda _: None, durable=True)
    for turn, orders in ((2, 20), (1, 10)):
        products.handlers[Answer](Answer(Id("A"), "B", orders, turn, True))
    assert products.totals.known("B", lambda _: None) == 20


@pytest.mark.parametrize(("clock", "passed"), [("record", 0), ("wall", SECOND)])
def test_a_product_that_nothing_happens_to_follows_the_orders_of_others_once_they_rest(clock: str, passed: int) -> None:
    group, outputs = Group(Registry(load("")), clock), list[Output]()
    group.add(0)
    history = [bought("o1", 0, "A B"), *(bought(f"o{n}", n, "C D") for n in range(2, 12))]
    for tp in history:
        group.touch(0, tp)
        outputs += group.drain(tp.received, tp.received).outputs
    while (due := group.next_due) is not None and due <= tp.received + passed:
        outputs += group.drain(max(due, tp.received), tp.received).outputs
    assert Published(outputs).products["A"]["bought_together"] == [{"sku": "B", "orders": 1, "lift": 11.0}]


def test_lifts_of_a_large_catalogue_are_looked_at_some_a_second() -> None:
    group = Group(Registry(load("")), "wall")
    group.add(0)
    group.touch(0, bought("o1", 0, " ".join(f"S{n}" for n in range(50))))
    start = bought("o1", 0, "A").received
    group.drain(start, start)
    group.touch(0, bought("o2", 1, "T U"))
    seconds = [len(group.drain(start + n * SECOND, start).rows.get(0, {})) for n in range(60, 90)]
    looked = [count for count in seconds[1:] if count]
    assert len(looked) >= 50 // LOOKED_AT - 1 and max(looked) <= LOOKED_AT + 1
    assert group.next_due is None or group.next_due > start + 90 * SECOND, "then all are right"


@pytest.mark.parametrize("workers", [1, 2])
def test_what_was_told_outlives_the_worker_that_heard_it(workers: int) -> None:
    touchpoints = busy_shop()[:60]
    published, until = live(touchpoints, 4, workers, set(range(1, 60, 7)))
    assert published.products == Published(replay(touchpoints, Registry(load("")), until)).products


@pytest.mark.parametrize("clock", sorted(REST))
def test_who_keeps_some_of_its_shards_follows_the_orders_of_skus_that_left_with_the_others(clock: str) -> None:
    registry, kept = Registry(load(""), shards=8), Deployment(8)
    leave = {registry.home(Id(name)) for name in (ALL_ORDERS, "B", "C")}
    assert registry.home(Id("A")) not in leave
    workers = [kept.worker(registry, clock), kept.worker(registry, clock, ())]
    touchpoints = [bought("o1", 0, "A B"), *(bought(f"o{n}", n, "B") for n in range(2, 6)), bought("o6", 6, "C")]
    for tp in touchpoints:
        shard = registry.home(tp.ids[0])
        next(group for group in workers if shard in group.shards).touch(shard, tp)
        for passed in REST[clock]:
            kept.settle(workers, tp.received + passed)
        if tp is touchpoints[0]:
            workers = handed_over(workers[0], leave, registry, kept, clock)
    until = touchpoints[-1].received + REST[clock][-1]
    alone = Published(replay(touchpoints, registry, until)).products
    assert kept.published.products == alone
    for group in workers:
        kept.commit(group.finish(until))
    assert kept.published.products == alone, "a look at each by the way tells nothing else"


@pytest.mark.parametrize("clock", sorted(REST))
def test_a_document_stays_as_it_is_while_orders_of_another_sku_are_asked_for_but_not_for_long(clock: str) -> None:
    registry, kept = Registry(load(""), shards=8), Deployment(8)
    worker, first = kept.worker(registry, clock), bought("o1", 0, "A B")
    worker.touch(registry.home(first.ids[0]), first)
    kept.settle([worker], first.received)
    left, _ = handed_over(worker, {registry.home(Id("B"))}, registry, kept, clock)
    effects = left.drain(first.received + TOLD_AGAIN, first.received)
    assert Ask(Id("B"), "A") in [decode(message) for _, message in effects.mail]
    assert not effects.outputs, "its lift is as it was, not unknown"
    effects = left.drain(first.received + 2 * TOLD_AGAIN, first.received)
    (document,) = [json.loads(output.value) for output in effects.outputs if output.value is not None]
    assert document["sku"] == "A", "what else is known of it must not wait for a worker that is down"
    assert [one.get("lift") for one in document["bought_together"]] == [None]
