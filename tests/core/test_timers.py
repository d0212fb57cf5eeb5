"""Timers say of every root once when it is due, whatever was armed, put off, brought forward or forgotten before."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.timers import BUCKET, Timers
from pipeline.core.times import SECOND
from pipeline.core.touchpoint import Id

TIMES = st.one_of(st.integers(1, 5 * BUCKET), st.integers(1, 40).map(lambda number: number * BUCKET // 8))
ROOTS = st.sampled_from([Id(f"cookie:{name}") for name in "abcd"])
STEPS = st.one_of(
    st.tuples(st.just("arm"), ROOTS, TIMES),
    st.tuples(st.just("never"), ROOTS, st.just(0)),
    st.tuples(st.just("forget"), ROOTS, st.just(0)),
    st.tuples(st.just("next"), ROOTS, st.just(0)),
    st.tuples(st.just("due"), ROOTS, TIMES),
)


@given(st.lists(STEPS, max_size=60))
def test_they_are_a_table_of_times_whatever_is_done_to_them(steps: list[tuple[str, Id, int]]) -> None:
    timers, table = Timers(), dict[Id, int]()
    for what, root, time in steps:
        if what == "arm":
            timers.arm(root, time)
            table[root] = time
        elif what == "never":
            timers.arm(root, 0)
            table.pop(root, None)
        elif what == "forget":
            assert timers.forget(root) == table.pop(root, 0)
        elif what == "due":
            expected = sorted((at, one) for one, at in table.items() if at <= time)
            assert list(timers.due(time)) == [one for _, one in expected]
            for _, one in expected:
                del table[one]
        assert timers.next() == min(table.values(), default=0)
        assert len(timers) == len(table)


def test_a_deadline_that_is_put_off_again_and_again_takes_one_entry() -> None:
    timers = Timers()
    for second in range(3600):
        timers.arm(Id("cookie:a"), (3600 + second) * SECOND)
        timers.arm(Id("cookie:b"), (3600 + second) * SECOND)
        timers.next()
    assert timers.entries == 2
