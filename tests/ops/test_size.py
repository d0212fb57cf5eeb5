"""`selvedge size`: more in needs no less of anything, and the README shows what the command says."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pipeline.ops.size import Wanted, size, text

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
WANTED = st.builds(
    Wanted, st.integers(1, 10**10), st.integers(1, 10**9), st.integers(1, 400), replication=st.sampled_from([1, 3])
)


@given(WANTED, WANTED)
def test_who_wants_more_needs_no_less(one: Wanted, other: Wanted) -> None:
    less, more = (Wanted(*map(pick, one, other)) for pick in (min, max))
    small, large = size(less), size(more)
    assert small.workers <= large.workers and small.shards <= large.shards
    assert small.disk_bytes <= large.disk_bytes and small.network_bytes <= large.network_bytes
    assert small.workers * small.memory_bytes <= large.workers * large.memory_bytes * 1.001
    assert large.shards >= large.workers


def test_the_answer_says_what_it_assumes() -> None:
    said = "\n".join(text(Wanted(1_000_000, 500_000, 30)))
    assert all(word in said for word in ("shards", "workers", "memory", "disk", "network", "Measured", "Assumed"))


def test_the_readme_shows_what_the_command_says() -> None:
    rows = re.findall(r"^\| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \| (.*?) \| (.*?) \| (.*?) \|$", README, re.M)
    assert len(rows) == 3
    for touchpoints, persons, *shown in rows:
        lines = text(Wanted(int(touchpoints.replace(",", "")), int(persons.replace(",", "")), 30))[1:6]
        assert shown == [figure(line) for line in lines]


def figure(line: str) -> str:
    """The number of a line, with its unit."""
    found = re.search(r"\s([\d,.]+(?: [kMGTP]?B(?:/s)?)?)  ", line + "  ")
    assert found is not None
    return found[1]
