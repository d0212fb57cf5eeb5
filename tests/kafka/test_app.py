"""What a worker does by itself, and how often."""

from __future__ import annotations

from pipeline.kafka.app import epoch_s
from pipeline.kafka.stats import Lag


def behind(seconds: float, *unread: int) -> list[Lag]:
    return [Lag(touchpoints, 0, seconds) for touchpoints in unread]


def test_an_epoch_is_as_long_as_set_unless_reading_is_far_behind() -> None:
    assert epoch_s(200, []) == epoch_s(200, behind(10.0, 10_000)) == 0.2
    assert epoch_s(200, behind(20.0, 1_500, 1_500)) == 2.0
    assert epoch_s(200, behind(60.0, 10_000)) == epoch_s(200, behind(1e9, 10_000)) == 4.0
    assert epoch_s(5_000, behind(60.0, 10_000)) == 5.0


def test_a_live_stream_of_old_records_is_not_far_behind() -> None:
    assert epoch_s(200, behind(1e7, 900, 900)) == 0.2
