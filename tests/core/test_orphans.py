"""Orphans: who waits at which root, also for who takes the shard over."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.identifiers import Registry
from pipeline.core.orphans import Orphans
from pipeline.core.policy import Policy
from pipeline.core.touchpoint import Id

NAMES = [Id(f"cookie:{one}") for one in "abc"]
ROOTS = [Id(f"email:{one}") for one in "xy"]
key = Registry(Policy()).key
notes = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from([*ROOTS, None])), max_size=20)


def waiting(orphans: Orphans) -> dict[Id, list[Id]]:
    return {root: sorted(orphans.at(root)) for root in ROOTS}


@given(notes)
def test_each_waits_at_the_root_that_was_noted_last(noted: list[tuple[Id, Id | None]]) -> None:
    orphans, last = Orphans(key), dict[Id, Id | None]()
    for name, root in noted:
        orphans.note(name, root)
        last[name] = root
    assert waiting(orphans) == {root: sorted(name for name in last if last[name] == root) for root in ROOTS}
    assert all((name in orphans) == (last.get(name) is not None) for name in NAMES)


@given(st.lists(notes, max_size=4))
def test_who_takes_over_knows_them_all(epochs: list[list[tuple[Id, Id | None]]]) -> None:
    orphans, rows = Orphans(key), dict[bytes, bytes]()
    for noted in epochs:
        for name, root in noted:
            orphans.note(name, root)
        for row_key, row in orphans.collect():
            rows.pop(row_key, None) if row is None else rows.update({row_key: row})
    heir = Orphans(key)
    for row_key, row in rows.items():
        heir.load(row_key, row)
    assert waiting(heir) == waiting(orphans)
