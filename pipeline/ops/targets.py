"""Where to deploy: on this machine (host), with Docker Compose, or on Kubernetes; what the latter two take.

Both run files under deploy/ with their own tools. Data stay unless told: volumes and topics are not touched.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pipeline.ops.steps import DeployFailed, Step, command

Target = Literal["host", "compose", "kubernetes"]
TARGETS: tuple[Target, ...] = ("host", "compose", "kubernetes")
FILES = Path(__file__).resolve().parents[2] / "deploy"
ANSWER_S = 20
NO_CLUSTER = "kubectl reaches no cluster; see: kubectl config get-contexts"
LABEL = "app.kubernetes.io/name=selvedge"
KINDS = (
    "scaledobjects.keda.sh,triggerauthentications.keda.sh,"
    "statefulset,service,configmap,poddisruptionbudget,networkpolicy,serviceaccount,job"
)
"""All of the base: KEDA is there, or it could not have been applied."""


def choose(environ: Mapping[str, str]) -> tuple[Target, str]:
    """The target for this machine, and why. Where brokers are named they are used; a cluster that kubectl happens to
    point to is never chosen before a Docker engine of this machine."""
    if environ.get("SELVEDGE_BROKERS"):
        return "host", "SELVEDGE_BROKERS names brokers: workers run here"
    if _answers("docker", "info"):
        return "compose", "a Docker engine runs here, and SELVEDGE_BROKERS names no brokers"
    if _answers("kubectl", "get", "--raw", "/readyz"):
        return "kubernetes", "kubectl reaches a cluster, no Docker engine runs here, SELVEDGE_BROKERS names no brokers"
    return "host", "no Docker engine runs here and kubectl reaches no cluster: workers run here"


def compose(*, stop: bool = False, delete_data: bool = False) -> list[Step]:
    """Brokers, workers, Prometheus and Grafana on this machine's Docker engine."""
    here = FILES / "compose"
    docker = ["docker", "compose"]
    if stop:
        return [ENGINE, command([*docker, "down", *(["--volumes"] if delete_data else [])], here)]
    return [
        ENGINE,
        command(["sh", "secrets.sh"], here),
        command([*docker, "up", "--detach", "--build", "--wait"], here),
    ]


def kubernetes(overlay: str, *, stop: bool = False, delete_data: bool = False) -> list[Step]:
    """The manifests of an overlay of deploy/kubernetes on the cluster that kubectl points to."""
    directory = FILES / "kubernetes" / "overlays" / overlay
    if not directory.is_dir():
        known = ", ".join(sorted(path.name for path in directory.parent.iterdir()))
        raise DeployFailed(f"there is no overlay {overlay}; there are: {known}")
    kubectl = ["kubectl", "--namespace", "selvedge"]
    if stop and delete_data:
        return [CLUSTER, command(["kubectl", "delete", "--ignore-not-found", "-k", str(directory)], directory)]
    if stop:
        return [CLUSTER, command([*kubectl, "delete", "--ignore-not-found", KINDS, "-l", LABEL], directory)]
    return [
        CLUSTER,
        command(["kubectl", "apply", "-k", str(directory)], directory),
        command([*kubectl, "rollout", "status", "statefulset/selvedge-worker", "--timeout=15m"], directory),
    ]


def _needs(says: str, *words: str, otherwise: str) -> Step:
    def take() -> None:
        if not _answers(*words):
            raise DeployFailed(otherwise)

    return Step(says, take)


def _answers(*words: str) -> bool:
    if shutil.which(words[0]) is None:
        return False
    try:
        return subprocess.run(words, capture_output=True, timeout=ANSWER_S, env=dict(os.environ)).returncode == 0
    except subprocess.TimeoutExpired:
        return False


ENGINE = _needs(
    "make sure that a Docker engine answers",
    *("docker", "info"),
    otherwise="no Docker engine answers; start one, or choose TARGET=host or kubernetes",
)
CLUSTER = _needs(
    "make sure that kubectl reaches a cluster", *("kubectl", "get", "--raw", "/readyz"), otherwise=NO_CLUSTER
)
