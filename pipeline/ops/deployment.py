"""What is deployed on a machine, as files of one directory (`home`), for who deploys and who supervises.

`deployment.json` says what is wanted: number of workers, their environment, the directory they run in. It may name
files with secrets or hold secrets that were given as variables, so only its owner can read it. `status.json` says what
runs, `worker-N.json` the figures of a worker, `worker-N.log` what it says.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

ENV = "SELVEDGE_"
NOT_OURS = ("SELVEDGE_TEST_", "SELVEDGE_STATS_FILE")
PRIVATE = 0o600


class Deployment(msgspec.Struct, frozen=True):
    """version: of the package, so that an upgrade differs. config: the TOML file with settings, if there is one. Its
    repr names the variables and shows no value, since passwords may be among them."""

    workers: int
    environment: dict[str, str]
    directory: str
    version: str
    config: str | None = None

    def __repr__(self) -> str:
        named = ", ".join(self.environment)
        return f"Deployment({self.workers} workers of {self.version} in {self.directory}, {self.config}, {named})"


class WorkerStatus(msgspec.Struct):
    """starts: how often it was started. ready: it owns what was assigned to it. pid 0: it does not run now."""

    pid: int = 0
    starts: int = 0
    ready: bool = False
    said: str = ""


class Status(msgspec.Struct):
    """pid: of the supervisor. rolls: rolling restarts that have ended. trouble: why the last one was broken off."""

    pid: int
    deployment: Deployment
    workers: list[WorkerStatus]
    rolls: int = 0
    trouble: str = ""


def environment_of(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that are settings, as they were given: files with secrets stay files."""
    return {
        name: value for name, value in sorted(environ.items()) if name.startswith(ENV) and not name.startswith(NOT_OURS)
    }


def read_deployment(home: Path) -> Deployment | None:
    found: Deployment | None = _read(home / "deployment.json", Deployment)
    return found


def write_deployment(home: Path, deployment: Deployment) -> None:
    home.mkdir(parents=True, exist_ok=True)
    _write(home / "deployment.json", deployment)


def read_status(home: Path) -> Status | None:
    """None: nothing runs; a status that a killed supervisor left behind does not count."""
    status: Status | None = _read(home / "status.json", Status)
    return status if status is not None and alive(status.pid) else None


def write_status(home: Path, status: Status) -> None:
    _write(home / "status.json", status)


def figures(home: Path, number: int) -> dict[str, Any]:
    """What a worker's stats file says; empty: nothing yet."""
    path = home / f"worker-{number}.json"
    try:
        found: dict[str, Any] = msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError):
        return {}
    return found


def last_words(home: Path, number: int) -> str:
    """The last line of a worker's log."""
    try:
        lines = (home / f"worker-{number}.log").read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return lines[-1] if lines else ""


def alive(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return not Path("/proc/self").exists() and _signalled(pid)
    return state != "Z"


def _signalled(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _read(path: Path, type: Any) -> Any:
    try:
        return msgspec.json.decode(path.read_bytes(), type=type)
    except (OSError, msgspec.DecodeError):
        return None


def _write(path: Path, value: object) -> None:
    part = path.with_name(path.name + ".part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE), "wb") as out:
        out.write(msgspec.json.encode(value))
    part.replace(path)
