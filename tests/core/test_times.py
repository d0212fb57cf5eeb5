"""Times are exact to the microsecond and survive being written and read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core import times


@given(st.integers(times.EARLIEST, times.LATEST))
def test_a_time_that_is_written_is_read_as_itself(time: int) -> None:
    assert times.parse(times.text(time)) == time


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2026-03-01T10:31:07Z", "2026-03-01T10:31:07Z"),
        ("2026-03-01T10:31:07.250Z", "2026-03-01T10:31:07.25Z"),
        ("2026-03-01t10:31:07.000001z", "2026-03-01T10:31:07.000001Z"),
        ("2026-03-01T13:31:07+03:00", "2026-03-01T10:31:07Z"),
        ("2026-03-01T10:31:07", "2026-03-01T10:31:07Z"),
        ("2026-03-01T10:31:07.1234564Z", "2026-03-01T10:31:07.123456Z"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
    ],
)
def test_forms_of_rfc_3339_are_one_time(text: str, written: str) -> None:
    assert times.text(times.parse(text)) == written


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-03-01",
        "2026-02-30T00:00:00Z",
        "2026-03-01T25:00:00Z",
        "1772361067",
        "0001-01-01T00:00:00+05:00",
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        times.parse(text)


@given(st.text())
def test_no_text_does_anything_but_parse_or_be_refused(text: str) -> None:
    try:
        time = times.parse(text)
    except ValueError:
        return
    assert times.EARLIEST <= time <= times.LATEST


@pytest.mark.parametrize(
    ("text", "length"),
    [("0m", 0), ("90s", 90 * times.SECOND), ("60m", times.HOUR), ("24h", times.DAY), ("30d", 30 * times.DAY)],
)
def test_durations_are_microseconds(text: str, length: int) -> None:
    assert times.duration(text) == length
    assert times.duration(times.duration_text(length)) == length


@pytest.mark.parametrize("text", ["", "5", "m", "-1m", "1.5h", "1w", " 1m", "01m", "٣m"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        times.duration(text)
