"""Brokers and workers do what they were told a little later; tests wait for the fact itself, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_S = 30.0


def eventually(true: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
    """Returns when `true()` is; fails when it has not been for `patience_s` seconds."""
    deadline = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < deadline, f"not so after {patience_s:g} s"
        time.sleep(0.05)
