"""What a worker does by itself, and how often."""

from __future__ import annotations

from pipeline.kafka.app import epoch_s


def test_an_epoch_is_as_long_as_set_unless_reading_is_far_behind() -> None:
    assert epoch_s(200, 0.0) == epoch_s(200, 10.0) == 0.2
    assert epoch_s(200, 20.0) == 2.0
    assert epoch_s(200, 60.0) == epoch_s(200, 1e9) == 4.0
    assert epoch_s(5_000, 60.0) == 5.0
