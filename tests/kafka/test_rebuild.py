"""`selvedge rebuild` on a real broker: with another policy, from the topic and from an archive, beside a worker."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.core import times
from pipeline.core.identifiers import Registry
from pipeline.core.policy import load
from pipeline.core.replay import replay
from pipeline.core.touchpoint import Touchpoint
from pipeline.dialects import Reader
from pipeline.settings import Settings
from tests.kafka.eventually import eventually
from tests.kafka.fleet import ROOT, START, Fleet
from tests.kafka.test_worker_replay import output
from tests.published import Published

DEVICES_FIRST = '[identity]\norder = ["device", "customer", "email", "cookie"]\nunique = ["customer"]\nlimits = {}\n'


@pytest.fixture
def fleet(settings: Settings, tmp_path: Path) -> Iterator[Fleet]:
    with Fleet(settings, tmp_path, ("pipeline", "worker")) as fleet:
        yield fleet


def seen(number: int, *identifiers: tuple[str, str]) -> bytes:
    time = times.text(START + number * times.SECOND)
    event: dict[str, Any] = {"specversion": "1.0", "id": f"e-{number}", "source": "web/shop", "type": "page.viewed"}
    data = {"identifiers": [{"type": type, "value": value} for type, value in identifiers]}
    return msgspec.json.encode({**event, "time": time, "recordedtime": time, "data": data})


HISTORY = [seen(n, ("customer", f"C-{n % 7}"), ("device", f"d-{n % 5}"), ("cookie", f"c-{n}")) for n in range(60)] + [
    seen(60 + n, ("cookie", f"c-{n}"), ("email", f"{n % 4}@example.com")) for n in range(20)
]


def held(fleet: Fleet) -> Published:
    """What a consumer holds. Fails if a revision falls."""
    published = Published()
    for topic in ("profiles", "identities", "triggers"):
        for record in fleet.records(topic):
            published.take(output(topic, record))
    return published


def replayed(policy: str, lines: list[bytes]) -> Published:
    registry = Registry(load(policy))
    read = [one for line in lines for one in Reader(registry).read(line, None) if isinstance(one, Touchpoint)]
    return Published(replay(read, registry))


def same(fleet: Fleet, expected: Published) -> bool:
    found = held(fleet)
    return (found.identities, found.documents()) == (expected.identities, expected.documents())


def rebuild(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipeline", "rebuild", *arguments]
    environment = {**os.environ, **settings.environment()}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)


def test_a_changed_fold_key_is_refused_by_name_until_the_state_is_rebuilt(fleet: Fleet, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text(DEVICES_FIRST)
    changed = dataclasses.replace(fleet.settings, policy_path=policy)
    fleet.send_raw(HISTORY[:50])
    worker = fleet.start()
    eventually(lambda: same(fleet, replayed("", HISTORY[:50])))
    beside = rebuild(dataclasses.replace(changed, session_timeout_ms=1_000))
    assert beside.returncode == 1 and "stop the workers first" in beside.stderr
    assert worker.stop() == 0

    fleet.send_raw(HISTORY[50:])
    refused = fleet.start(policy_path=policy)
    assert refused.ended() != 0
    assert "identity.order is" in refused.said and "selvedge rebuild" in refused.said

    done = rebuild(changed)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{len(HISTORY)} touchpoints read, 0 records refused; corrected: ")
    assert same(fleet, replayed(DEVICES_FIRST, HISTORY))
    more = [seen(100, ("customer", "C-1"), ("cookie", "c-100"))]
    fleet.send_raw(more)
    goes_on = fleet.start(policy_path=policy)
    eventually(lambda: same(fleet, replayed(DEVICES_FIRST, HISTORY + more)))
    assert goes_on.stop() == 0


def test_an_archive_goes_before_the_topic_and_what_is_in_both_counts_once(fleet: Fleet, tmp_path: Path) -> None:
    archive = tmp_path / "archive.jsonl"
    archive.write_bytes(b"".join(line + b"\n" for line in HISTORY[:60]))
    fleet.send_raw(HISTORY[40:])
    done = rebuild(fleet.settings, str(archive))
    assert done.returncode == 0, done.stderr
    assert same(fleet, replayed("", HISTORY))
