"""Tools that operators have and tests use: on the PATH, or fetched once into `.cache/tools` where that can be done.

promtool comes with Debian's package of Prometheus, the loader of Docker Compose from its Go module. A tool that cannot
be had is `None`, and tests that need it are skipped with one line.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from tests.kafka.brokers import CACHE, locked

TOOLS = CACHE / "tools"
COMPOSE = "github.com/compose-spec/compose-go/v2/cmd@v2.16.2"
FETCH_S = 240


@cache
def promtool() -> str | None:
    return shutil.which("promtool") or _fetched("promtool", _fetch_promtool)


@cache
def compose() -> list[str] | None:
    """A command that prints the compose file named last as Docker Compose understands it, or refuses it."""
    docker = shutil.which("docker")
    if docker and subprocess.run([docker, "compose", "version"], capture_output=True).returncode == 0:
        return [docker, "compose", "config", "-f"]
    loader = _fetched("compose", _fetch_compose)
    return [loader] if loader else None


def _fetched(name: str, fetch: object) -> str | None:
    path = TOOLS / name
    with locked(CACHE / "tools.lock"):
        if not path.exists():
            TOOLS.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=TOOLS) as here:
                try:
                    made = fetch(Path(here))  # type: ignore[operator]
                    made.replace(path)
                except (OSError, subprocess.SubprocessError):
                    return None
    return str(path)


def _fetch_promtool(here: Path) -> Path:
    _run(["apt-get", "download", "prometheus"], here)
    (package,) = here.glob("*.deb")
    _run(["dpkg-deb", "--extract", str(package), str(here / "root")], here)
    return here / "root/usr/bin/promtool"


def _fetch_compose(here: Path) -> Path:
    _run(["go", "install", COMPOSE], here, GOBIN=str(here))
    return here / "cmd"


def _run(words: list[str], here: Path, **environment: str) -> None:
    subprocess.run(words, cwd=here, env={**os.environ, **environment}, check=True, capture_output=True, timeout=FETCH_S)
