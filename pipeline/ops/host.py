"""Workers as processes of this machine, against the brokers of the settings.

Under systemd where it runs and we are root, else under our own supervisor. Deploying again changes nothing if nothing
differs; if something does, the workers are restarted one after the other. Undeploying ends them; topics stay.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

from confluent_kafka.admin import AdminClient

from pipeline.kafka import topics
from pipeline.ops import units
from pipeline.ops.deployment import (
    Deployment,
    Status,
    alive,
    environment_of,
    figures,
    last_words,
    read_deployment,
    read_status,
    write_deployment,
)
from pipeline.ops.steps import DeployFailed, Step
from pipeline.settings import Settings

BEAT_S = 0.2
READY_S = 900.0
FAILED_STARTS = 3
"""A new worker that had to be started so often is not coming up."""
STOP_S = 200.0
ANSWER_S = 30.0


def default_home(settings: Settings) -> Path:
    root = Path("/var/lib/selvedge") if os.geteuid() == 0 else Path.home() / ".local/state/selvedge"
    return root / settings.prefix


def wanted(settings: Settings, workers: int | None, config: Path | None) -> Deployment:
    """By default a worker for each processor, but not more than shards."""
    count = workers or min(settings.shards, os.cpu_count() or 1)
    given = environment_of(os.environ)
    return Deployment(count, given, str(Path.cwd()), version("selvedge"), str(config.absolute()) if config else None)


class Host:
    """`home`: the directory of the deployment. `brokers` gives a client that has had an answer, where one is needed."""

    def __init__(self, settings: Settings, home: Path, brokers: Callable[[], AdminClient]) -> None:
        self._settings, self._home, self._connect = settings, home, brokers

    @cached_property
    def _brokers(self) -> AdminClient:
        return self._connect()

    def deploy(self, deployment: Deployment, *, restart: bool) -> list[Step]:
        """The steps from what is there to what is wanted."""
        steps = [*self._topics(), *self._workers(deployment, restart)]
        if steps or not self._settled():
            steps.append(Step(f"wait until {deployment.workers} workers are ready", lambda: self._wait(deployment)))
        return steps

    def undeploy(self, *, delete_data: bool) -> list[Step]:
        steps = []
        if units.running():
            steps += units.remove(self._home)
        status = read_status(self._home)
        if status is not None:
            steps.append(Step(f"stop {len(status.workers)} workers in peace", lambda: _stop(status)))
        if (self._home / "deployment.json").exists():
            steps.append(Step(f"forget the deployment in {self._home} (logs stay)", self._forget))
        if delete_data:
            steps += self._deletion()
        return steps

    def _topics(self) -> list[Step]:
        differences = topics.plan(self._settings, self._brokers)
        refused = [one for one in differences if one.what == "partitions"]
        if refused:
            raise DeployFailed("; ".join(map(str, refused)))
        told = "; ".join(str(one) for one in differences if one.remedy is None)
        return [Step(f"make topics right: {told}", self._apply)] if told else []

    def _apply(self) -> None:
        topics.apply(self._settings, self._brokers)

    def _workers(self, deployment: Deployment, restart: bool) -> list[Step]:
        if deployment.workers > self._settings.shards:
            raise DeployFailed(
                f"{deployment.workers} workers for {self._settings.shards} shards: some would have nothing to do"
            )
        if units.usable():
            return units.install(self._home, deployment, restart=restart)
        status, before = read_status(self._home), read_deployment(self._home)
        if status is None:
            return [self._write(deployment), Step(f"start {deployment.workers} workers", self._start)]
        if status.deployment == deployment == before and not restart:
            return []
        roll = Step("restart the workers one after the other", lambda: self._roll(status))
        return [self._write(deployment), roll]

    def _write(self, deployment: Deployment) -> Step:
        return Step(f"write the deployment to {self._home}", lambda: write_deployment(self._home, deployment))

    def _start(self) -> None:
        with (self._home / "supervisor.log").open("ab") as log:
            subprocess.Popen(
                [sys.executable, "-m", "pipeline", "supervise", "--home", str(self._home)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _roll(self, status: Status) -> None:
        os.kill(status.pid, signal.SIGHUP)
        self._until(lambda: self._rolled(status), "the workers were not restarted")

    def _rolled(self, before: Status) -> bool:
        status = read_status(self._home)
        if status is None or status.pid != before.pid:
            raise DeployFailed("the supervisor ended during the restart; deploy again")
        if status.rolls > before.rolls and status.trouble:
            raise DeployFailed(f"{status.trouble}; see {self._home}")
        return status.rolls > before.rolls

    def _settled(self) -> bool:
        status = read_status(self._home)
        return units.usable() or (status is not None and all(worker.ready for worker in status.workers))

    def _wait(self, deployment: Deployment) -> None:
        self._until(lambda: self._ready(deployment), "not all workers are ready")

    def _ready(self, deployment: Deployment) -> bool:
        if units.usable():
            return all(figures(self._home, number).get("ready") for number in range(deployment.workers))
        status = read_status(self._home)
        workers = status.workers if status is not None else []
        for number, worker in enumerate(workers):
            if worker.starts >= FAILED_STARTS and not worker.pid:
                raise DeployFailed(f"worker {number} does not come up: {last_words(self._home, number)}")
        return len(workers) == deployment.workers and all(worker.ready for worker in workers)

    def _until(self, done: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + READY_S
        while not done():
            if time.monotonic() > deadline:
                raise DeployFailed(f"{otherwise} after {READY_S:.0f} s; see the logs in {self._home}")
            time.sleep(BEAT_S)

    def _forget(self) -> None:
        for name in ("deployment.json", "status.json", "lock", "environment"):
            (self._home / name).unlink(missing_ok=True)

    def _deletion(self) -> list[Step]:
        there = self._brokers.list_topics(timeout=ANSWER_S).topics
        names = sorted(
            name for topic in topics.table(self._settings) if (name := self._settings.topic(topic.name)) in there
        )
        return (
            [Step(f"delete topics and all data in them: {', '.join(names)}", lambda: self._delete(names))]
            if names
            else []
        )

    def _delete(self, names: list[str]) -> None:
        for name, answer in self._brokers.delete_topics(names).items():
            error = answer.exception(timeout=ANSWER_S)
            if error is not None:
                raise DeployFailed(f"{name} could not be deleted: {error}")


def _stop(status: Status) -> None:
    os.kill(status.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_S
    while alive(status.pid):
        if time.monotonic() > deadline:
            raise DeployFailed(f"the supervisor (process {status.pid}) did not end in {STOP_S:.0f} s")
        time.sleep(BEAT_S)
