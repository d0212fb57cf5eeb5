"""The workers as systemd units: one template, an instance per worker, settings in a file that only root can read."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from pipeline.ops.deployment import PRIVATE, Deployment, figures, read_deployment, write_deployment
from pipeline.ops.steps import DeployFailed, Step, command

DIRECTORY = Path("/etc/systemd/system")
NAME = "selvedge-worker"
READY_S = 600.0
BEAT_S = 0.5
UNIT = """# Written by `selvedge deploy`: change the settings and deploy again.
[Unit]
Description=Selvedge worker %i
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
WorkingDirectory={directory}
EnvironmentFile={home}/environment
Environment=SELVEDGE_STATS_FILE={home}/worker-%i.json
ExecStart={python} -m pipeline worker{config}
Restart=always
RestartSec=2
TimeoutStopSec=150
KillSignal=SIGTERM
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
ReadWritePaths={home}
LimitNOFILE=65536

[Install]
WantedBy=multi-user.target
"""


def usable() -> bool:
    """Whether systemd runs this machine and takes our units."""
    return Path("/run/systemd/system").is_dir() and os.geteuid() == 0


def running() -> list[str]:
    """Instances that systemd knows."""
    if not usable():
        return []
    listed = subprocess.run(
        ["systemctl", "list-units", "--all", "--plain", "--no-legend", f"{NAME}@*"], capture_output=True, text=True
    )
    return [line.split()[0] for line in listed.stdout.splitlines() if line.strip()]


def unit(home: Path, deployment: Deployment) -> str:
    config = f" --config {deployment.config}" if deployment.config else ""
    return UNIT.format(home=home, directory=deployment.directory, python=sys.executable, config=config)


def environment(deployment: Deployment) -> str:
    """systemd's form: values in double quotes, with backslashes before what would end or change them."""
    for name, value in deployment.environment.items():
        if "\n" in value:
            raise DeployFailed(f"{name}: a value of several lines cannot be given to systemd; use a file")
    quoted = {
        name: value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("`", "\\`")
        for name, value in deployment.environment.items()
    }
    return "".join(f'{name}="{value}"\n' for name, value in quoted.items())


def install(home: Path, deployment: Deployment, *, restart: bool) -> list[Step]:
    """Steps to these units running; none if they do and nothing differs."""
    wanted = [f"{NAME}@{number}.service" for number in range(deployment.workers)]
    there = running()
    same = read_deployment(home) == deployment and _written(home, deployment)
    if same and set(wanted) == set(there) and not restart:
        return []
    steps = [Step(f"write {DIRECTORY / NAME}@.service and the settings to {home}", lambda: _write(home, deployment))]
    steps.append(command(["systemctl", "daemon-reload"], Path("/")))
    steps += [command(["systemctl", "disable", "--now", name], Path("/")) for name in there if name not in wanted]
    for number, name in enumerate(wanted):
        steps.append(command(["systemctl", "enable", name], Path("/")))
        steps.append(Step(f"restart {name} and wait until it is ready", partial(_restart, home, number, name)))
    return steps


def remove(home: Path) -> list[Step]:
    steps = [command(["systemctl", "disable", "--now", name], Path("/")) for name in running()]
    return [*steps, Step(f"remove {DIRECTORY / NAME}@.service", (DIRECTORY / f"{NAME}@.service").unlink)]


def _written(home: Path, deployment: Deployment) -> bool:
    path = DIRECTORY / f"{NAME}@.service"
    return path.exists() and path.read_text() == unit(home, deployment)


def _write(home: Path, deployment: Deployment) -> None:
    write_deployment(home, deployment)
    with os.fdopen(os.open(home / "environment", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE), "w") as out:
        out.write(environment(deployment))
    (DIRECTORY / f"{NAME}@.service").write_text(unit(home, deployment))


def _restart(home: Path, number: int, name: str) -> None:
    """Restarts one worker, and waits until the new one owns its shards."""
    begun, deadline = time.time(), time.monotonic() + READY_S
    command(["systemctl", "restart", name], Path("/")).take()
    while not ((said := figures(home, number)).get("ready") and said.get("started", 0) >= begun):
        if time.monotonic() > deadline:
            raise DeployFailed(f"{name} was not ready in {READY_S:.0f} s; see: journalctl -u {name}")
        time.sleep(BEAT_S)
