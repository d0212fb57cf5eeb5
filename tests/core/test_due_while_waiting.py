"""What is due while seats of a cluster are on their way is looked at once they are there."""

from __future__ import annotations

from pipeline.core.group import Group
from pipeline.core.identifiers import Registry
from pipeline.core.mail import Arrived, encode
from pipeline.core.policy import load
from pipeline.core.times import MILLISECOND, SECOND
from pipeline.core.touchpoint import Data, Id, Touchpoint

BUNDLE = Id("customer:gone")


def seen(number: int, customer: str, received: int) -> Touchpoint:
    ids = (Id(f"customer:{customer}"), Id("device:tablet"))
    return Touchpoint(f"e{number}", "web/s", "web", "page.viewed", received, received, ids, Data(session=f"s{number}"))


def test_documents_that_were_due_meanwhile_are_published_for_all_persons_of_the_cluster() -> None:
    group, now = Group(Registry(load(""), shards=1), "wall"), 1_000 * SECOND
    group.add(0)
    for number, customer in enumerate("ABAB"):
        group.touch(0, seen(number, customer, now))
        now += MILLISECOND
        if number in (1, 3):
            group.drain(now, now)
    [root] = group.shard(0).roots.clusters
    seat = group.shard(0).roots.seat(root)
    seat.waiting = {BUNDLE: (0, 1)}
    assert not group.drain(now + 5 * SECOND, now).outputs
    group.receive(0, encode(Arrived(root, BUNDLE, 1, 1)))
    outputs = group.drain(now + 6 * SECOND, now).outputs
    assert sorted(output.topic for output in outputs) == ["profile-changes"] * 2 + ["profiles"] * 2
