"""What the core counts for metrics: each thing once, and again after a restart only what is new."""

from __future__ import annotations

from collections import Counter

from pipeline.core.group import Group
from pipeline.core.times import MINUTE
from pipeline.core.touchpoint import Id, Touchpoint
from tests.core.touchpoints import added, registry, touchpoint


def counted(group: Group, *touchpoints: Touchpoint) -> Counter[str]:
    for one in touchpoints:
        group.touch(0, one)
    now = max((one.received for one in touchpoints), default=0) + MINUTE
    return Counter(group.drain(now, now).counts)


def loyal(id: str, minute: float, customer: str, *others: str) -> Touchpoint:
    return touchpoint(id, minute, ids=(Id(f"loyalty:{customer}"), *map(Id, others)))


def test_merges_conflicts_and_flips_are_counted_when_they_happen() -> None:
    group = Group(registry(), "wall")
    group.add(0)
    counts = counted(group, loyal("a", 0, "L-1", "cookie:c-1"), loyal("b", 1, "L-2", "cookie:c-2"))
    assert (counts["touchpoints"], counts["created"], counts["conflicts"], counts["flips"]) == (2, 2, 0, 0)
    counts = counted(group, loyal("c", 2, "L-1", "email:x@example.com"), loyal("d", 3, "L-2", "email:x@example.com"))
    assert (counts["conflicts"], counts["merged"]) == (1, 0)
    assert counted(group, loyal("e", 4, "L-1", "email:x@example.com"))["conflicts"] == 0


def test_a_restart_counts_no_conflict_again() -> None:
    group = Group(registry(), "wall")
    group.add(0)
    for one in (loyal("a", 0, "L-1", "email:x@example.com"), loyal("b", 1, "L-2", "email:x@example.com")):
        group.touch(0, one)
    effects = group.drain(9 * MINUTE + one.received, one.received)
    assert effects.counts["conflicts"] == 1
    again = Group(registry(), "wall")
    again.add(0, [(key, row) for key, row in effects.rows[0].items() if row is not None])
    assert counted(again, loyal("c", 20, "L-1", "cookie:c-9", "email:x@example.com"))["conflicts"] == 0


def test_what_a_bound_drops_is_counted_by_bound() -> None:
    group = Group(registry("[bounds]\ncarts = 1"), "wall")
    group.add(0)
    counts = counted(group, *(added(f"a-{n}", n, "S-1", f"cart-{n}") for n in range(4)))
    assert counts["dropped.carts"] == 3


def test_held_rows_and_bytes_are_those_of_the_state() -> None:
    group = Group(registry(), "wall")
    group.add(0)
    for number in range(20):
        group.touch(0, loyal(f"e-{number}", number, f"L-{number % 7}", f"cookie:c-{number}"))
    rows = group.drain(99 * MINUTE + 1, 0).rows[0]
    kinds = {"nodes": b"N", "fragments": b"F", "replicas": b"R", "seats": b"S"}
    for kind, first in kinds.items():
        of = [row for key, row in rows.items() if key[:1] == first and row is not None]
        assert group.held()[kind] == (len(of), sum(map(len, of)))
