"""A running system is asked why, and is given another policy: what it says is what a replay of the history says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline.cli import selvedge
from pipeline.settings import Settings
from tests.kafka.eventually import eventually
from tests.kafka.fleet import Fleet, only_once
from tests.kafka.test_rebuild import held, replayed, same, seen

PATIENCE_S = 60.0
TILL = ("device", "till")
"""Seen with everybody: shared if the policy says so."""
HISTORY = [
    *(seen(n, ("customer", f"C-{n % 40}"), ("cookie", f"c-{n}"), TILL) for n in range(120)),
    *(seen(120 + n, ("email", f"{n % 30}@example.com"), ("cookie", f"c-{n}")) for n in range(100)),
    *(seen(220 + n, ("loyalty", f"L-{n % 20}"), ("email", f"{n}@example.com")) for n in range(30)),
]
BEFORE = "[identity]\nhub_degree = { device = 1000 }\nlimits = { cookie = 2 }\n"
AFTER = "[identity]\nhub_degree = { device = 2 }\nlimits = { cookie = 50, email = 1 }\n"
ASKED = (["customer:C-3"], ["customer:C-3", "cookie:c-83"], ["email:3@example.com", "customer:C-7"], ["device:till"])


@pytest.fixture
def fleet(settings: Settings, tmp_path: Path) -> Iterator[Fleet]:
    with Fleet(settings, tmp_path, ("pipeline", "worker")) as fleet:
        yield fleet


def written(path: Path, policy: str) -> Path:
    path.write_text(policy)
    return path


def told(settings: Settings, *arguments: str) -> str:
    done = CliRunner().invoke(selvedge, ["explain", *arguments], env=settings.environment())
    assert done.exit_code == 0, done.output
    return done.stdout


def test_topics_explain_as_the_history_does(fleet: Fleet, tmp_path: Path) -> None:
    policy, other = written(tmp_path / "policy.toml", BEFORE), written(tmp_path / "other.toml", AFTER)
    history = tmp_path / "history.jsonl"
    history.write_bytes(b"".join(line + b"\n" for line in HISTORY))
    fleet.send_raw(HISTORY)
    worker = fleet.start(policy_path=policy)
    eventually(lambda: same(fleet, replayed(BEFORE, HISTORY)), PATIENCE_S)
    shapes = (["--format", "text"], ["--format", "graphml"], ["--format", "svg"], ["--policy", str(other)])
    for asked in (*(["--json", *asked] for asked in ASKED), *([*shape, *ASKED[1]] for shape in shapes)):
        from_topics = told(worker.settings, *asked)
        assert from_topics == told(worker.settings, "--input", str(history), *asked)
        assert asked[-1].partition(":")[2] in from_topics
    assert worker.stop() == 0


def test_another_policy_holds_for_all_history_though_workers_are_killed_while_it_is_applied(
    fleet: Fleet, tmp_path: Path
) -> None:
    policy = written(tmp_path / "policy.toml", BEFORE)
    fleet.send_raw(HISTORY[:200])
    worker = fleet.start(policy_path=policy)
    eventually(lambda: same(fleet, replayed(BEFORE, HISTORY[:200])), PATIENCE_S)
    assert worker.stop() == 0

    written(policy, AFTER)
    fleet.send_raw(HISTORY[200:])
    early = fleet.start(policy_path=policy)
    eventually(lambda: early.stats)
    early.kill()
    late = fleet.start(policy_path=policy)
    eventually(lambda: late.shards)
    late.kill()
    last = fleet.start(policy_path=policy)
    eventually(lambda: same(fleet, replayed(AFTER, HISTORY)), PATIENCE_S)
    assert last.stop() == 0
    assert only_once(fleet.records("profile-changes"))

    before = counted(fleet)
    again = fleet.start(policy_path=policy)
    eventually(lambda: fleet.shared(1))
    assert again.stop() == 0
    assert counted(fleet) == before
    more = [seen(300, ("customer", "C-1"), ("cookie", "c-300"), TILL)]
    fleet.send_raw(more)
    fleet.start(policy_path=policy)
    eventually(lambda: same(fleet, replayed(AFTER, HISTORY + more)), PATIENCE_S)
    assert not held(fleet).broken_redirects()


def test_what_is_blocked_holds_for_all_history_though_the_worker_is_killed_while_it_reads_again(
    fleet: Fleet, tmp_path: Path
) -> None:
    """A value that anchored touchpoints, and one that was blocked and is not any more."""
    history = [*HISTORY[:100], *(seen(400 + n, ("customer", "guest"), ("cookie", f"c-{n}")) for n in range(20))]
    policy = written(tmp_path / "policy.toml", "[identity]\nblocked = ['guest']\n")
    changed = "[identity]\nblocked = ['C-3', 'till']\nblocked_defaults = false\n"
    fleet.send_raw(history)
    worker = fleet.start(policy_path=policy)
    eventually(lambda: same(fleet, replayed(policy.read_text(), history)), PATIENCE_S)
    assert worker.stop() == 0

    written(policy, changed)
    killed = fleet.start(policy_path=policy)
    eventually(lambda: "reading all touchpoints again" in killed.said)
    killed.kill()
    last = fleet.start(policy_path=policy)
    eventually(lambda: same(fleet, replayed(changed, history)), PATIENCE_S)
    more = [seen(500, ("customer", "C-1"), ("cookie", "c-500"))]
    fleet.send_raw(more)
    eventually(lambda: same(fleet, replayed(changed, history + more)), PATIENCE_S)
    assert last.stop() == 0
    assert only_once(fleet.records("profile-changes"))


def counted(fleet: Fleet, topics: Sequence[str] = ("profiles", "identities", "profile-changes")) -> list[int]:
    return [len(fleet.records(topic)) for topic in topics]
