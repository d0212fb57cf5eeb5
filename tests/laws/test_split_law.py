"""A wrong merge is undone without a trace: when two persons are told apart, each has exactly its own facts.

Two persons of a few identifiers each act before, while and after somebody takes them for one. In the end their
documents are those of two persons who were never seen together, but for the edge that is now kept out (`conflicts`).
"""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.identifiers import Registry
from pipeline.core.replay import replay
from pipeline.core.times import DAY, HOUR, MINUTE
from pipeline.core.touchpoint import Id, Touchpoint
from tests.histories import CHANNELS, START, TYPES, WARES, policy, touchpoint
from tests.published import Published
from tests.strategies import History, shards

SIDES = (
    (("customer", "C-1"), ("email", "ada@example.com"), ("cookie", "ck-1"), ("device", "d-1")),
    (("loyalty", "L-2"), ("email", "bea@example.com"), ("cookie", "ck-2"), ("phone", "+49301234571")),
)
UNTIL = START + 9 * DAY
JOINED, APART = START + DAY, START + 2 * DAY
ACTS = sorted({*TYPES, *WARES} - {"identity.unlinked"})
REGISTRY = Registry(policy("plain"))


def side(number: int) -> list[Id]:
    return [id for one in SIDES[number] if (id := REGISTRY.identify(*one).id) is not None]


@st.composite
def deeds(draw: st.DrawFn, number: int) -> History:
    """What one of the two does, over three days; some of it is received late."""
    ids = st.lists(st.sampled_from(side(number)), min_size=1, max_size=3, unique=True)
    minutes, late = st.integers(0, 3 * DAY // MINUTE), st.sampled_from((0, 0, HOUR, DAY))
    some = draw(
        st.lists(st.tuples(st.sampled_from(ACTS), st.sampled_from(CHANNELS), ids, minutes, late, st.integers(0, 5)))
    )
    made = []
    for count, (type, channel, who, minute, delay, item) in enumerate(some):
        time = START + minute * MINUTE
        made.append(touchpoint(number * 1_000 + count, type, channel, who, time, time + delay, item, REGISTRY))
    return made


def seen(number: int, type: str, ids: tuple[Id, ...], time: int) -> Touchpoint:
    return touchpoint(number, type, "web", ids, time, time, 0, REGISTRY)


def documents(history: History, shards: int) -> dict[str, Any]:
    """Without what tells that somebody was kept apart."""
    in_order = sorted(history, key=lambda tp: tp.received)
    found = Published(replay(in_order, Registry(policy("plain"), shards=shards), UNTIL)).documents()
    for document in found.values():
        del document["identity"]["conflicts"]
    return found


@settings(max_examples=60)
@given(deeds(0), deeds(1), st.sampled_from(side(0)), st.sampled_from(side(1)), shards)
def test_a_split_gives_each_side_exactly_its_own_facts_back(
    ours: History, theirs: History, one: Id, other: Id, number: int
) -> None:
    ends = [seen(5_000, "page.viewed", (one,), START), seen(5_001, "page.viewed", (other,), START)]
    joined = seen(6_000, "identity.observed", (one, other), JOINED)
    unlinked = seen(6_001, "identity.unlinked", (one, other), APART)
    both = [*ours, *theirs, *ends]
    alone = msgspec.structs.replace(joined, ids=joined.ids[:1])
    apart = documents([*both, alone], number)
    assert documents([*both, joined, unlinked], number) == apart
    assert len(documents([*both, joined], number)) == len(apart) - 1, "they were one person"
