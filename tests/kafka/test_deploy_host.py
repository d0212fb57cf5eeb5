"""`make deploy TARGET=host` on a real broker: up, again, through a killed worker and a rolling restart, and down."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from pipeline.kafka import topics
from pipeline.ops.deployment import Status, alive, read_status
from pipeline.settings import Settings
from tests.kafka.eventually import eventually

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60


class Operator:
    """Somebody at a terminal. `home`: where the deployment is kept."""

    def __init__(self, settings: Settings, home: Path) -> None:
        self.home = home
        shown = {name: value for name, value in os.environ.items() if not name.startswith("SELVEDGE_")}
        self._environment = {**shown, **settings.environment(), "PYTHONPATH": str(ROOT)}

    def make(self, target: str, *variables: str, arguments: str = "") -> str:
        """What `make` says, with the packages of this run."""
        venv = ["RUN=", f"BIN={Path(sys.executable).parent}", f"ARGS=--home {self.home} {arguments}"]
        return self._run("make", "--no-print-directory", target, "TARGET=host", *variables, *venv)

    def selvedge(self, *words: str, given: str = "") -> str:
        return self._run(sys.executable, "-m", "pipeline", *words, given=given)

    def _run(self, *words: str, given: str = "") -> str:
        done = subprocess.run(
            words, cwd=ROOT, env=self._environment, input=given, capture_output=True, text=True, timeout=240
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @property
    def status(self) -> Status:
        status = read_status(self.home)
        assert status is not None
        return status

    def meet(self, customer: str) -> None:
        """A touchpoint goes in, and a profile of that customer comes out."""
        data = {"identifiers": [{"type": "customer", "value": customer}]}
        event = {"specversion": "1.0", "id": customer, "source": "web/shop", "type": "page.viewed", "data": data}
        self.selvedge("produce", "-", given=json.dumps(event) + "\n")
        key = f"customer:{customer}"
        eventually(
            lambda: key in self.selvedge("watch", "identities", "--from-beginning", "--limit", "1", "--key", key)
        )


@pytest.fixture
def operator(settings: Settings, tmp_path: Path) -> Iterator[Operator]:
    operator = Operator(settings, tmp_path / "home")
    yield operator
    status = read_status(operator.home)
    if status is not None:
        os.kill(status.pid, signal.SIGTERM)
        eventually(lambda: not alive(status.pid), PATIENCE_S)
    for log in sorted(operator.home.glob("*.log")):
        print(f"{log.name}:\n{log.read_text()}")


def test_deploy_serve_survive_restart_and_undeploy(operator: Operator, settings: Settings) -> None:
    admin = AdminClient(settings.librdkafka())
    planned = operator.make("deploy", "PLAN=1", arguments="--workers 2")
    assert "would make topics right" in planned and "would start 2 workers" in planned
    assert not operator.home.exists() and len(topics.plan(settings)) == len(topics.TABLE)

    operator.make("deploy", arguments="--workers 2")
    assert [worker.starts for worker in operator.status.workers] == [1, 1]
    operator.meet("C-1")
    assert "nothing to do" in operator.make("deploy", arguments="--workers 2")

    os.kill(operator.status.workers[0].pid, signal.SIGKILL)
    operator.meet("C-2")
    eventually(lambda: [worker.starts for worker in operator.status.workers] == [2, 1], PATIENCE_S)
    eventually(lambda: all(worker.ready for worker in operator.status.workers), PATIENCE_S)

    before = [worker.pid for worker in operator.status.workers]
    operator.make("deploy", arguments="--workers 2 --restart")
    after = operator.status.workers
    assert [worker.starts for worker in after] == [3, 2] and not {worker.pid for worker in after} & set(before)
    operator.meet("C-3")

    supervisor, pids = operator.status.pid, [worker.pid for worker in after]
    operator.make("undeploy")
    assert not any(alive(pid) for pid in (supervisor, *pids)) and read_status(operator.home) is None
    assert "nothing to do" in operator.make("undeploy")
    assert topics.plan(settings) == []
    logs = "".join(log.read_text() for log in operator.home.glob("*.log"))
    assert "worker 0 ended with status -9" in logs and "worker stopped" not in logs
    operator.make("undeploy", "DATA=delete")
    eventually(lambda: not any(name.startswith(settings.prefix) for name in admin.list_topics(timeout=10).topics))


def test_a_worker_that_cannot_start_is_told_and_tried_again(operator: Operator, settings: Settings) -> None:
    operator.home.mkdir()
    wrong = settings.environment() | {"SELVEDGE_EPOCH_MS": "fast"}
    deployment = {"workers": 1, "environment": wrong, "directory": str(ROOT), "version": "0"}
    (operator.home / "deployment.json").write_text(json.dumps(deployment))
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "supervise", "--home", str(operator.home)], cwd=ROOT, stderr=subprocess.PIPE
    )
    eventually(lambda: read_status(operator.home) and operator.status.workers[0].starts >= 2, PATIENCE_S)
    process.terminate()
    assert process.stderr is not None
    said = process.stderr.read().decode()
    assert process.wait(30) == 0
    assert "worker 0 ended with status 1: Error: SELVEDGE_EPOCH_MS: 'fast' is not a whole number" in said
