"""The commands of the runbook, run one after the other where a worker runs, as an operator would."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.settings import Settings
from tests.kafka import brokers
from tests.kafka.eventually import eventually
from tests.kafka.fleet import Fleet
from tests.kafka.test_window import address, get

ROOT = Path(__file__).resolve().parents[2]
RUNBOOK = (ROOT / "deploy/RUNBOOK.md").read_text("utf-8")
COMMANDS = list(dict.fromkeys("\n".join(re.findall(r"```sh\n(.*?)```", RUNBOOK, re.DOTALL)).split("\n")))
KAFKA_OWN = {
    "kafka-configs.sh": "kafka.admin.ConfigCommand",
    "kafka-consumer-groups.sh": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "kafka-topics.sh": "org.apache.kafka.tools.TopicCommand",
    "kafka-transactions.sh": "org.apache.kafka.tools.TransactionsCommand",
}
"""Kafka's commands and their classes; left out where there is no Java to run them with."""
TOLD = {
    "curl --silent http://127.0.0.1:9400/readyz": "ok: 2 shards owned",
    "curl --silent http://127.0.0.1:9400/healthz": "ok: the epochs came round",
    "curl --silent http://127.0.0.1:9400/metrics": "selvedge_shards_owned 2.0",
    "selvedge topics plan": "the topics are as wanted",
    "selvedge acls plan": "the brokers have no authorizer",
    "selvedge watch dead-letters --from-beginning --limit 2": "not_json",
    "selvedge watch profile-changes --from-beginning --limit 2": "created",
    "selvedge explain customer:C-1": "customer:C-1",
    "selvedge backup backup-1": ".touchpoints: 4 records",
    "SELVEDGE_PREFIX=restored selvedge restore backup-1": ".touchpoints: 4 records",
    'kafka-consumer-groups.sh --bootstrap-server "$SELVEDGE_BROKERS" --describe --group selvedge': "LOG-END-OFFSET",
    'kafka-consumer-groups.sh --bootstrap-server "$SELVEDGE_BROKERS" --describe --members '
    "--group selvedge": "#PARTITIONS",
    'kafka-transactions.sh --bootstrap-server "$SELVEDGE_BROKERS" list': "CompleteCommit",
    'kafka-configs.sh --bootstrap-server "$SELVEDGE_BROKERS" --alter --topic selvedge.touchpoints '
    "--add-config retention.ms=1209600000": "Completed updating config for topic",
}
"""What some of them must say; all others must end well."""


@pytest.fixture
def fleet(settings: Settings, tmp_path: Path) -> Iterator[Fleet]:
    two = Settings(**{**vars(settings), "shards": 2, "clock": "wall"})
    with Fleet(two, tmp_path, ("pipeline", "worker")) as fleet:
        yield fleet


def tools(directory: Path) -> Path:
    """A directory for the PATH with the commands that the runbook speaks of."""
    directory.mkdir()
    venv = Path(sys.executable).parent
    scripts = {"selvedge": f'exec {sys.executable} -m pipeline "$@"'}
    scripts["make"] = f'exec /usr/bin/env PATH={os.environ["PATH"]} make -C {ROOT} RUN= BIN={venv} "$@"'
    for name, command in KAFKA_OWN.items():
        line = brokers.tool(command)
        if line is not None:
            scripts[name] = f'exec {shlex.join(line)} "$@"'
    for name, script in scripts.items():
        (directory / name).write_text(f"#!/bin/sh\n{script}\n")
        (directory / name).chmod(0o755)
    return directory


def test_the_commands_of_the_runbook_do_what_it_says(fleet: Fleet, tmp_path: Path) -> None:
    worker = fleet.start()
    eventually(lambda: fleet.shared(1))
    customer = (
        b'{"specversion":"1.0","id":"e-%d","source":"web/shop","type":"page.viewed",'
        b'"data":{"identifiers":[{"type":"customer","value":"C-%d"}]}}'
    )
    fleet.send_raw([customer % (1, 1), customer % (2, 2), b"{", b"{"])
    eventually(lambda: b'selvedge_rejects_total{reason="not_json"} 2.0' in get(worker, "/metrics")[1])
    prefix = fleet.settings.prefix
    ours = ("SELVEDGE_", "MAKE", "MFLAGS", "ARGS")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    environment |= fleet.settings.environment() | {"PYTHONPATH": str(ROOT), "SELVEDGE_HTTP": "off"}
    environment["PATH"] = f"{tools(tmp_path / 'bin')}:{environment['PATH']}"
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")
    for command in filter(None, COMMANDS):
        if command.startswith(tuple(KAFKA_OWN)) and not (tmp_path / "bin" / command.split()[0]).exists():
            continue
        if command.startswith("selvedge backup"):
            assert worker.stop() == 0
        line = command.replace("127.0.0.1:9400", address(worker)).replace(
            "selvedge.touchpoints", f"{prefix}.touchpoints"
        )
        line = line.replace("--group selvedge", f"--group {prefix}").replace("PREFIX=", f"PREFIX={prefix}.")
        done = subprocess.run(
            ["sh", "-c", line], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
        )
        said = done.stdout + done.stderr
        assert TOLD.get(command, "") in said, (command, said)
        assert done.returncode == 0 or command == "selvedge acls plan", (command, said)
