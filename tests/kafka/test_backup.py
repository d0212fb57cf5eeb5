"""A backup is all there is, and a restore goes on where it ends: exact counts, nothing published twice."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from pipeline.kafka import clients
from pipeline.kafka.state import CLAIM
from pipeline.kafka.topics import apply
from pipeline.ops.backup import BackupFailed, backup, restore
from pipeline.settings import Settings
from tests.kafka.fleet import Fleet, await_counted, only_once

NAMES = [f"c-{number}" for number in range(30)]


def quiet(line: str) -> None:
    """Nobody listens."""


def test_workers_go_on_after_a_restore_where_the_backup_ends(settings: Settings, tmp_path: Path) -> None:
    with Fleet(settings, tmp_path) as fleet:
        fleet.start(), fleet.start()
        fleet.send(NAMES * 7)
        await_counted(fleet)
        with pytest.raises(BackupFailed, match="members: stop the workers first"):
            backup(settings, tmp_path / "too-early", quiet)
        assert [worker.stop() for worker in fleet.workers] == [0, 0]
        fleet.send(NAMES)
        backup(settings, tmp_path / "copy", quiet)

    again = dataclasses.replace(settings, prefix=f"{settings.prefix}.restored", group="")
    restore(again, tmp_path / "copy", quiet)
    (tmp_path / "again").mkdir()
    with Fleet(again, tmp_path / "again") as restored:
        restored.sent = fleet.sent
        restored.start()
        restored.send(NAMES * 2)
        await_counted(restored)
        assert only_once(restored.records("triggers")) and only_once(restored.records("profiles"))
        with pytest.raises(BackupFailed, match=r"these topics are not empty: .*another SELVEDGE_PREFIX"):
            restore(again, tmp_path / "copy", quiet)


def test_a_killed_worker_left_its_shards_unfinished(settings: Settings, tmp_path: Path) -> None:
    apply(settings)
    producer = clients.producer(settings)
    producer.produce(settings.topic("state"), b"1", CLAIM + b"worker-1", 0)
    assert producer.flush(30) == 0
    with pytest.raises(BackupFailed, match="workers own shards: worker-1; stop them first"):
        backup(settings, tmp_path / "too-early", quiet)


def test_what_is_no_backup_is_named(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(BackupFailed, match="holds no finished backup"):
        restore(settings, tmp_path, quiet)
    apply(settings)
    backup(settings, tmp_path / "empty", quiet)
    with pytest.raises(BackupFailed, match="is not empty"):
        backup(settings, tmp_path / "empty", quiet)
    with pytest.raises(BackupFailed, match="the backup has 4 shards: set SELVEDGE_SHARDS=4"):
        restore(dataclasses.replace(settings, shards=8), tmp_path / "empty", quiet)
    (tmp_path / "empty" / "state" / "0.gz").write_bytes(b"")
    (tmp_path / "empty" / "mail" / "1.gz").unlink()
    with pytest.raises(BackupFailed, match=r"mail/1.gz cannot be read"):
        restore(dataclasses.replace(settings, prefix=f"{settings.prefix}.r"), tmp_path / "empty", quiet)
