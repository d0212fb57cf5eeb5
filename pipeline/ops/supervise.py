"""Keeps the workers of a deployment running on one machine, where there is no systemd.

A worker that ends by itself is started again after waits that grow from START_S to WAIT_MAX_S and begin anew once it
has run for STEADY_S. SIGHUP reads the deployment again and restarts the workers one after the other, each when the one
before is ready; if one does not get there, the others keep running as they are. SIGTERM ends all in peace. Workers do
not outlive their supervisor.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.ops.deployment import (
    Deployment,
    Status,
    WorkerStatus,
    figures,
    last_words,
    read_deployment,
    write_status,
)

BEAT_S = 0.1
START_S, WAIT_MAX_S, STEADY_S = 1.0, 60.0, 60.0
STOP_S = 150.0
"""Longer than a worker gives itself for its last epoch."""
READY_S = 600.0
LOG_BYTES_MAX = 16 << 20
PR_SET_PDEATHSIG = 1
WORKER = (sys.executable, "-m", "pipeline", "worker")


class AlreadyRunning(Exception):
    """Another supervisor keeps this deployment; the message is one line."""


class Child:
    """One worker: its process, and when it may be started next (time.monotonic)."""

    def __init__(self, number: int, home: Path, command: Sequence[str]) -> None:
        self.number = number
        self.starts = 0
        self.next_start = 0.0
        self._home, self._command = home, command
        self._process: subprocess.Popen[bytes] | None = None
        self._began, self._began_at = 0.0, 0.0
        self._failures = 0

    @property
    def running(self) -> bool:
        return self._process is not None

    @property
    def ready(self) -> bool:
        """By its own word, and of this process, not of one before it."""
        said = figures(self._home, self.number)
        return self.running and bool(said.get("ready")) and said.get("started", 0.0) >= self._began_at

    def start(self, deployment: Deployment) -> None:
        log = self._home / f"worker-{self.number}.log"
        if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
            log.replace(log.with_suffix(".log.1"))
        config = ["--config", deployment.config] if deployment.config else []
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SELVEDGE_")}
        environment |= deployment.environment
        environment["SELVEDGE_STATS_FILE"] = str(self._home / f"worker-{self.number}.json")
        self._began, self._began_at = time.monotonic(), time.time()
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [*self._command, *config],
                cwd=deployment.directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                preexec_fn=_die_with_parent,  # the supervisor has one thread
            )
        self.starts += 1

    def look(self) -> int | None:
        """The exit status of a worker that has just ended; the wait before its next start is set."""
        if self._process is None or self._process.poll() is None:
            return None
        status = self._process.returncode
        self._process = None
        steady = time.monotonic() - self._began >= STEADY_S
        self._failures = 0 if steady else self._failures + 1
        wait = min(WAIT_MAX_S, START_S * 2 ** max(0, self._failures - 1))
        self.next_start = time.monotonic() + wait
        return status

    def tell_to_stop(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()

    def await_stop(self) -> None:
        """Waits for the end of its last epoch; then there is no more waiting."""
        if self._process is not None:
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        self.next_start = 0.0

    def status(self) -> WorkerStatus:
        pid = self._process.pid if self._process is not None else 0
        return WorkerStatus(pid, self.starts, self.ready, last_words(self._home, self.number) if not pid else "")


class Supervisor:
    """Runs until SIGTERM or SIGINT. `command`: what a worker is, before its options."""

    def __init__(self, home: Path, command: Sequence[str] = WORKER) -> None:
        self._home, self._command = home, command
        self._deployment = self._wanted()
        self._children: list[Child] = []
        self._told_to_stop = self._told_to_roll = False
        self._rolling: Iterator[None] | None = None
        self._trouble, self._rolls = "", 0

    def run(self) -> None:
        """Raises AlreadyRunning."""
        with _only_one(self._home):
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._stop)
            signal.signal(signal.SIGHUP, self._roll)
            self._size()
            while not self._told_to_stop:
                self._turn()
                time.sleep(BEAT_S)
            self._end(self._children)
            self._note()

    def _stop(self, *_: object) -> None:
        self._told_to_stop = True

    def _roll(self, *_: object) -> None:
        self._told_to_roll = True

    def _wanted(self) -> Deployment:
        deployment = read_deployment(self._home)
        if deployment is None:
            raise FileNotFoundError(f"there is no deployment in {self._home}; make one with: selvedge deploy")
        return deployment

    def _turn(self) -> None:
        if self._told_to_roll and self._rolling is None:
            self._told_to_roll = False
            self._rolling = self._rolled()
        if self._rolling is not None and next(self._rolling, self) is self:
            self._rolling, self._rolls = None, self._rolls + 1
        for child in self._children:
            status = child.look()
            if status is not None:
                _say(f"worker {child.number} ended with status {status}: {last_words(self._home, child.number)}")
            if not child.running and time.monotonic() >= child.next_start:
                child.start(self._deployment)
        self._note()

    def _size(self) -> None:
        """As many children as wanted; those too many are ended."""
        wanted = self._deployment.workers
        self._end(self._children[wanted:])
        new = range(len(self._children), wanted)
        self._children = self._children[:wanted] + [Child(number, self._home, self._command) for number in new]

    def _rolled(self) -> Iterator[None]:
        """One step at a time of a rolling restart."""
        self._deployment, self._trouble = self._wanted(), ""
        self._size()
        for child in self._children:
            if not child.starts:
                continue
            _say(f"restarting worker {child.number}")
            self._end([child])
            child.start(self._deployment)
            deadline = time.monotonic() + READY_S
            while not child.ready:
                yield
                if time.monotonic() > deadline:
                    self._trouble = (
                        f"worker {child.number} was not ready in {READY_S:.0f} s: the restart was broken off"
                    )
                    _say(self._trouble)
                    return

    def _end(self, children: Sequence[Child]) -> None:
        for child in children:
            child.tell_to_stop()
        for child in children:
            child.await_stop()

    def _note(self) -> None:
        workers = [child.status() for child in self._children]
        write_status(self._home, Status(os.getpid(), self._deployment, workers, self._rolls, self._trouble))


@contextlib.contextmanager
def _only_one(home: Path) -> Iterator[None]:
    with (home / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(f"a supervisor already runs for {home}") from None
        yield


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _say(line: str) -> None:
    print(f"selvedge: {line}", file=sys.stderr, flush=True)
