"""The index of one shard: what is united does not depend on the order of the links."""

from __future__ import annotations

from itertools import permutations

from pipeline.core.identifiers import Registry
from pipeline.core.mail import Link, Mail, Point, Unite
from pipeline.core.policy import load
from pipeline.core.touchpoint import Id
from pipeline.core.unionfind import Index

COOKIE = Id("cookie:ck")


def test_whoever_was_seen_before_a_hub_was_one_is_united_with_it_in_any_order() -> None:
    """Who was one person at that time must be known, however late it comes in."""
    received = {Id(f"customer:C-{number}"): number for number in range(1, 5)}
    for order in permutations(received):
        index = alone("[identity]\nhub_degree = 2\n")
        for anchor in order:
            index.link(Link(COOKIE, anchor, received[anchor], received[anchor], False))
        assert index.node(COOKIE).hub == 3, "since the third anchor"
        together = {name for name in received if index.climb(name)[0] == index.climb(COOKIE)[0]}
        assert together >= {Id("customer:C-1"), Id("customer:C-2")}


def test_a_late_point_does_not_lead_back_to_a_former_root() -> None:
    """Parents only fall: so every way to a root has an end, and gets shorter."""
    index = alone("")
    first, second, third = sorted((Id(f"cookie:ck-{n}") for n in range(3)), key=Registry(load("")).order)
    index.unite(Unite(third, second))
    index.unite(Unite(second, first))
    index.point(Point(third, first))
    index.point(Point(third, second))
    assert index.node(third).parent == first


def alone(policy: str) -> Index:
    """An index that is the only shard: it handles its own mail at once."""
    taken: dict[str, object] = {}

    def post(message: Mail) -> None:
        handler = taken.get(type(message).__name__)
        if handler is not None:
            handler(message)

    index = Index(Registry(load(policy)), 0, post, durable=True)
    index.tell(born=lambda name: None, hub=lambda name, since: None, lost=lambda name: None)
    taken.update(Unite=index.unite, Point=index.point, Link=index.link)
    return index
