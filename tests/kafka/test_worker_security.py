"""A worker behind a secured listener: every client it has goes through."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from pipeline.settings import load
from tests.kafka.fleet import Fleet, await_counted
from tests.kafka.test_security_settings import Secured, secured

__all__ = ["secured"]


@pytest.mark.parametrize("protocol", ["SASL_SSL", "SSL"])
def test_a_worker_counts_behind_a_secured_listener(secured: Secured, protocol: str, tmp_path: Path) -> None:
    options = secured.client_certificate() if protocol == "SSL" else {}
    given = load(secured.environment(protocol, **options))
    settings = dataclasses.replace(given, prefix=f"worker-{protocol}", group="", shards=2, replication=1, epoch_ms=100)
    with Fleet(settings, tmp_path) as fleet:
        fleet.send(["c-1", "c-2", "c-3"] * 3)
        worker = fleet.start()
        await_counted(fleet)
        assert worker.stop() == 0
