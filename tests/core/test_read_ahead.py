"""A shard may read ahead of the clock: what it finds there is judged once the clock comes to it, and is not lost."""

from __future__ import annotations

import json

from pipeline.core.group import Group
from pipeline.core.identifiers import Registry
from pipeline.core.policy import load
from pipeline.core.times import HOUR
from pipeline.core.touchpoint import Id
from tests.core.test_products import fact
from tests.core.touchpoints import NOON, added, touchpoint

READER = Id("cookie:c-9")


def families(group: Group, clock: int) -> list[str]:
    outputs = group.drain(clock, clock).outputs
    return [json.loads(one.value or b"")["family"] for one in outputs if one.topic == "triggers"]


def test_an_old_price_does_not_take_the_place_of_the_deadline_of_a_basket_that_is_still_to_come() -> None:
    group = Group(Registry(load("[triggers]\nrequire_consent = false")), "record")
    group.add(0)
    for tp in (fact("f", -60, "A", price="9"), touchpoint("v", 0, ids=(READER,))):
        group.touch(0, tp)
    assert families(group, NOON) == []
    group.touch(0, added("a", 600, "A", type="store.item_scanned", source="store/S-1"))
    assert families(group, NOON) == [], "not received yet"
    assert families(group, NOON + 13 * HOUR) == ["store_basket"]
