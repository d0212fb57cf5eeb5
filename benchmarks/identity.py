"""`make cost`: what identity costs where it is hard. CPU time of one process, no Kafka; figures are of the machine.

1. Touchpoints per second where 0 %, 5 % and 30 % of them carry a conflict (a tablet that two customers use), a hub (a
   till's device) or a late link, in turn, round after round.
2. A component of 1,000 identifiers in which a fragment changes in each epoch: solved from the edges at hand, and from
   all fragments.
3. An index cluster of 50,000 customers held together by 1,000 shared devices, half of them hubs: what an epoch costs,
   beside the same customers without shared devices.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from random import Random

from pipeline.core.cluster import Cluster
from pipeline.core.fold import fold
from pipeline.core.fragment import Fragment
from pipeline.core.group import Group
from pipeline.core.grouping import grouping
from pipeline.core.identifiers import Registry
from pipeline.core.policy import Policy, load
from pipeline.core.times import HOUR, SECOND, parse
from pipeline.core.touchpoint import Data, Id, Touchpoint

START = parse("2026-03-02T08:00:00Z")
PER_SHOPPER = 13
EPOCH = 2_000
COMPONENT = 1_000
EPOCHS = 200
CUSTOMERS, DEVICES = 50_000, 1_000
ROOM = 5
"""So many more customers than its own make a device a hub."""
KINDS = ("page.viewed", "product.viewed", "cart.item_added", "identity.observed")


def main() -> None:
    parser = argparse.ArgumentParser(prog="cost", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--touchpoints", type=int, default=60_000, help="of each share")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--customers", type=int, default=CUSTOMERS, help="of the index cluster")
    given = parser.parse_args()
    _shares(given.touchpoints, given.rounds)
    _component()
    _cluster(given.customers)


# -- 1. shares of what is hard ---------------------------------------------------------------------------------------


def _shares(touchpoints: int, rounds: int) -> None:
    worlds = {share: list(shop(touchpoints, share)) for share in (0.0, 0.05, 0.3)}
    rates: dict[float, list[float]] = {share: [] for share in worlds}
    counts: dict[float, dict[str, int]] = {}
    for _ in range(rounds):
        for share, made in worlds.items():
            took, counts[share] = _run(made, Policy())
            rates[share].append(len(made) / took)
    print(f"{touchpoints:,} touchpoints, {PER_SHOPPER} a shopper, one process, documents and state rows included")
    print(f"{'conflicts, hubs, late links':28} {'touchpoints/s':>14} {'ratio':>6}")
    best = statistics.median(rates[0.0])
    for share, measured in rates.items():
        rate = statistics.median(measured)
        told = ", ".join(f"{what} {counts[share].get(what, 0):,}" for what in ("created", "merged", "split", "hubs"))
        print(f"{share:28.0%} {rate:14,.0f} {rate / best:6.2f}   {told}")


def shop(touchpoints: int, share: float) -> Iterator[Touchpoint]:
    """Shoppers side by side, of whom each has a customer id, an e-mail, a device and a cookie."""
    rnd = Random(1)
    shoppers = touchpoints // PER_SHOPPER
    for number in range(touchpoints):
        shopper = rnd.randrange(shoppers)
        ids = [
            f"customer:C-{shopper}",
            (f"device:d-{shopper}", f"cookie:k-{shopper}", f"email:{shopper:064x}")[number % 3],
        ]
        late = 0
        if rnd.random() < share:
            hard = rnd.randrange(3)
            if hard == 0:
                ids[1] = f"device:d-{shopper ^ 1}"
            elif hard == 1:
                ids.append(f"device:till-{shopper % 50}")
            else:
                ids, late = [f"email:{shopper:064x}", f"cookie:k-{shopper}"], rnd.randrange(HOUR)
        yield touchpoint(number, ids, START + number * SECOND // 100, late)


def touchpoint(number: int, ids: Sequence[str], received: int, late: int = 0) -> Touchpoint:
    """ids: the strongest first."""
    return Touchpoint(
        id=f"e{number}",
        source="web/shop",
        channel="web",
        type=KINDS[number % 2],
        time=received - late,
        received=received,
        ids=tuple(map(Id, ids)),
        data=Data(session=f"s-{number % 97}"),
    )


def _run(made: Sequence[Touchpoint], policy: Policy) -> tuple[float, dict[str, int]]:
    """CPU seconds, and what was counted."""
    registry = Registry(policy)
    group = Group(registry)
    group.add(0)
    counts: dict[str, int] = {}
    began = _begin()
    for place, one in enumerate(made, 1):
        group.touch(0, one)
        if place % EPOCH == 0 or place == len(made):
            for what, by in group.drain(one.received, one.received).counts.items():
                counts[what] = counts.get(what, 0) + by
    return time.process_time() - began, counts


def _begin() -> float:
    gc.collect()
    return time.process_time()


# -- 2. one large component ------------------------------------------------------------------------------------------


def _component() -> None:
    registry = Registry(load("[identity]\nnormalise = false\nhub_degree = 1000\n"))
    fragments: dict[Id, Fragment] = {}
    rnd = Random(1)
    for number, ids in enumerate(_web(rnd)):
        _fold(fragments, touchpoint(number, ids, START + number * SECOND), registry)
    members = sorted({Id(name) for ids in _web(Random(1)) for name in ids})
    cluster = Cluster(fragments.get, registry)
    cluster.change(members)
    anchors = sorted(fragments)

    def epochs(solve: Callable[[Id], object]) -> list[float]:
        took = []
        for number in range(EPOCHS):
            anchor = rnd.choice(anchors)
            partner = rnd.choice(members)
            if partner.partition(":")[0] == "customer":
                continue
            _fold(fragments, touchpoint(number, [anchor, partner], START + HOUR + number * SECOND), registry)
            began = time.process_time()
            solve(anchor)
            took.append((time.process_time() - began) * 1_000)
        return sorted(took)

    kept = epochs(lambda anchor: cluster.change([anchor]))
    plain = epochs(lambda _: grouping(members, fragments.get, registry))
    skipped = sum(group.conflicts for group in grouping(members, fragments.get, registry).groups) // 2
    print(f"\na component of {len(members):,} identifiers with {skipped:,} skipped edges, one fragment changes")
    for name, took in (("edges at hand", kept), ("all fragments", plain)):
        print(f"{name:28} p50 {statistics.median(took):6.2f} ms   p99 {took[len(took) * 99 // 100]:6.2f} ms")


def _web(rnd: Random) -> Iterator[list[str]]:
    """Customers who share devices, cookies and e-mails with their neighbours."""
    customers = COMPONENT * 3 // 10
    weaker = [f"device:d-{n}" for n in range(COMPONENT * 2 // 10)]
    weaker += [f"cookie:k-{n}" for n in range(COMPONENT * 3 // 10)]
    weaker += [f"email:e-{n}" for n in range(COMPONENT - customers - len(weaker))]
    for number in range(customers):
        for step in range(4):
            yield [f"customer:C-{number}", weaker[(number * 3 + step) % len(weaker)]]
    for _ in range(COMPONENT):
        yield [f"customer:C-{rnd.randrange(customers)}", rnd.choice(weaker)]


def _fold(fragments: dict[Id, Fragment], made: Touchpoint, registry: Registry) -> None:
    anchor = made.ids[0]
    fold(fragments.setdefault(anchor, Fragment(anchor)), made, registry)


# -- 3. an index cluster ---------------------------------------------------------------------------------------------


def _cluster(customers: int) -> None:
    print(f"\n{customers:,} customers, {DEVICES:,} devices, every second one a hub")
    for name, shared in (("one index cluster", True), ("no shared devices", False)):
        _epochs_of(name, customers, shared)


def _epochs_of(name: str, customers: int, shared: bool) -> None:
    group = Group(Registry(load(f"[identity]\nhub_degree = {customers // DEVICES + ROOM}\n")))
    group.add(0)
    shard = group.home(Id("device:0"))
    began = _begin()
    _feed(group, _meetings(customers, shared))
    built = time.process_time() - began
    largest = max(map(len, shard.roots.clusters.values()))
    rnd = Random(2)
    took = []
    for epoch in range(EPOCHS):
        at = START + (epoch + 10) * HOUR
        for number in range(EPOCH // 10):
            customer = rnd.randrange(customers)
            group.touch(
                0, touchpoint(epoch * EPOCH + number, _seen(customer, number, shared * customers // DEVICES, rnd), at)
            )
        began = time.process_time()
        group.drain(at, at)
        took.append((time.process_time() - began) * 1_000)
    took.sort()
    print(
        f"{name:28} largest cluster {largest:7,}   built in {built:6.1f} s   an epoch of {EPOCH // 10} touchpoints: "
        f"p50 {statistics.median(took):6.1f} ms, p99 {took[len(took) * 99 // 100]:6.1f} ms"
    )


def _meetings(customers: int, shared: bool) -> Iterator[list[str]]:
    """Every customer on an own cookie, and on a device with neighbours; every second device with some more, so that it
    is a hub, and each with one customer of the next."""
    per_device = max(2, customers // DEVICES)
    for customer in range(customers):
        device = customer // per_device
        yield [f"customer:C-{customer}", f"cookie:k-{customer}"]
        if shared:
            yield [f"customer:C-{customer}", f"device:d-{device}"]
            if customer % per_device == 0:
                yield [f"customer:C-{customer}", f"device:d-{device - 1}"]
            elif device % 2 == 0 and customer % 3 == 0:
                yield [f"customer:C-{(customer + per_device) % customers}", f"device:d-{device}"]


def _seen(customer: int, number: int, per_device: int, rnd: Random) -> list[str]:
    names = [f"customer:C-{customer}"]
    if number % 4 == 0 and per_device:
        names.append(f"device:d-{customer // per_device}")
    elif number % 4 == 1:
        names.append(f"cookie:new-{rnd.getrandbits(40)}")
    else:
        names.append(f"cookie:k-{customer}")
    return names


def _feed(group: Group, meetings: Iterable[list[str]]) -> None:
    at = START
    for number, ids in enumerate(meetings, 1):
        at = START + number * SECOND // 100
        group.touch(0, touchpoint(-number, ids, at))
        if number % EPOCH == 0:
            group.drain(at, at)
    group.drain(at, at)


if __name__ == "__main__":
    main()
