"""The demo: what it compares, what it shows, and that live and replayed are equal."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.core.effects import Output
from pipeline.core.group import Group
from pipeline.core.identifiers import Registry
from pipeline.core.policy import Policy
from pipeline.core.replay import Replay
from pipeline.core.touchpoint import Touchpoint
from pipeline.demo.growth import Growth
from pipeline.demo.outcome import Outcome, differences
from pipeline.dialects import Reader
from pipeline.sample import generate

SHARDS = 4
Arrived = tuple[bytes, Touchpoint]
"""The key of its record, and a touchpoint."""


def profile(**more: Any) -> dict[str, Any]:
    return {"profile_id": "p-1", "revision": 1, "status": "active", "as_of": "2026-03-01T00:00:00Z", **more}


def trigger(**more: Any) -> dict[str, Any]:
    told = {"trigger_id": "t-1", "revision": 1, "status": "fired", "reason": None, "family": "cart", "step": 1}
    return told | {"deadline_at": "2026-03-01T00:00:00Z"} | more


def outcome(*records: tuple[str, str, dict[str, Any] | None]) -> Outcome:
    made = Outcome()
    for record in records:
        made.take(*record)
    return made


def test_profiles_are_equal_whatever_their_revision_and_view_time() -> None:
    one = outcome(("profiles", "p-1", profile(traits={"size": 1})))
    other = outcome(("profiles", "p-1", profile(traits={"size": 1}, revision=9, as_of="2026-03-02T00:00:00Z")))
    assert not any(differences(one, other).values())


def test_a_profile_that_says_something_else_is_a_difference() -> None:
    one = outcome(("profiles", "p-1", profile(traits={"size": 1})))
    other = outcome(("profiles", "p-1", profile(traits={"size": 2})))
    assert len(differences(one, other)["profiles"]) == 1
    assert len(differences(one, outcome())["profiles"]) == 1


def test_the_latest_revision_of_a_trigger_counts_in_whatever_order_it_is_read() -> None:
    fired, retracted = trigger(), trigger(revision=2, status="retracted", reason="emptied")
    one = outcome(("triggers", "e-1", fired), ("triggers", "e-1", retracted))
    other = outcome(("triggers", "e-1", retracted), ("triggers", "e-1", fired))
    assert not any(differences(one, other).values())
    assert differences(one, outcome(("triggers", "e-1", fired)))["triggers"]


def test_dead_letters_are_counted_by_reason() -> None:
    one = outcome(("dead-letters", "", {"reason": "not_json"}))
    assert differences(one, outcome())["dead letters"]


def test_redirects_are_not_persons_and_a_tombstone_takes_a_row_away() -> None:
    seen = outcome(("profiles", "p-1", profile()), ("profiles", "p-2", profile(status="merged", merged_into="p-1")))
    assert (seen.persons, seen.redirects) == (1, 1)
    seen.take("profiles", "p-2", None)
    assert (seen.persons, seen.redirects) == (1, 0)


def test_growth_is_told_once_for_what_reads_the_same() -> None:
    document = profile(
        updated_at="2026-03-12T17:05:00Z",
        identity={"kind": "anonymous"},
        identifiers=[{"type": "cookie"}, {"type": "cookie"}],
        lineage={"touchpoints": 5},
    )
    growth = Growth()
    assert growth.see(document) == "03-12 17:05  anonymous: cookie · 5 touchpoints"
    assert growth.see(document | {"updated_at": "2026-03-12T18:05:00Z"}) is None
    assert growth.see(None) is None


@pytest.fixture(scope="module")
def arrived() -> list[Arrived]:
    read = Reader(Registry(Policy())).read
    return [
        (record.key or b"", one)
        for record in generate(2, shoppers=400, touchpoints=5_000)
        for one in read(record.value, record.received, record.headers)
        if isinstance(one, Touchpoint)
    ]


@pytest.fixture(scope="module")
def replayed(arrived: list[Arrived]) -> Outcome:
    made = Outcome()
    run = Replay(Registry(Policy()), lambda output: _take(made, output))
    for _, touchpoint in arrived:
        run.touch(touchpoint)
    run.finish()
    return made


@pytest.mark.parametrize("batch", [20, 300, 5_000])
def test_the_shop_has_the_same_outcome_in_any_batches_on_the_record_clock(
    arrived: list[Arrived], replayed: Outcome, batch: int
) -> None:
    live = Outcome()
    for output in _in_batches(arrived, batch):
        _take(live, output)
    found = differences(live, replayed)
    assert not any(found.values()), found


def _in_batches(arrived: list[Arrived], batch: int) -> list[Output]:
    """All shards in one process; each reads its partition in batches, the clock is as far as the slowest has read."""
    chance = random.Random(batch)
    group = Group(Registry(Policy(), shards=SHARDS), "record", durable=False)
    partitions: list[list[Touchpoint]] = [[] for _ in range(SHARDS)]
    for key, touchpoint in arrived:
        partitions[zlib.crc32(key) % SHARDS].append(touchpoint)
    for shard in range(SHARDS):
        group.add(shard)
    outputs: list[Output] = []
    read, clock, newest = [0] * SHARDS, 0, 0
    while waiting := [shard for shard in range(SHARDS) if read[shard] < len(partitions[shard])]:
        shard = chance.choice(waiting)
        for touchpoint in partitions[shard][read[shard] : read[shard] + batch]:
            group.touch(shard, touchpoint)
            newest = max(newest, touchpoint.received)
        read[shard] += batch
        behind = [partitions[other][read[other] - 1].received - 1 if read[other] else 0 for other in waiting
                  if read[other] < len(partitions[other])]  # fmt: skip
        clock = max(clock, min(behind, default=newest))
        outputs += group.drain(clock, clock).outputs
    outputs += group.drain(newest, newest).outputs
    return outputs + group.finish(newest).outputs


def _take(made: Outcome, output: Output) -> None:
    made.take(output.topic, output.key, None if output.value is None else msgspec.json.decode(output.value))


def test_the_demo_ends_by_itself_with_equal_outcomes_and_plain_lines(tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SELVEDGE_")}
    options = ["--touchpoints", "1500", "--shoppers", "120", "--seconds", "3", "--output", str(tmp_path)]
    command = [sys.executable, "-m", "pipeline", "demo", *options]
    done = subprocess.run(command, capture_output=True, text=True, env=kept, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "EQUAL" in done.stdout
    assert "\x1b" not in done.stdout
    assert "Defne: loyalty, customer, email, device, cookie" in done.stdout
    assert json.loads((tmp_path / "worker.json").read_text())["counts"]["touchpoints"] > 1_000
