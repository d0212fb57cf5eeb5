"""What is under deploy/ is valid for the tools that read it, safe by default, and says the same as the code."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from pipeline.kafka import metrics
from pipeline.kafka.acls import roles
from pipeline.kafka.stats import Lag, Replicas, Stats
from pipeline.ops import strimzi, units
from pipeline.ops.deployment import Deployment, Status, read_deployment, write_deployment, write_status
from pipeline.ops.host import Host, wanted
from pipeline.ops.steps import DeployFailed, perform
from pipeline.ops.targets import choose, compose, kubernetes
from pipeline.settings import INJECTED, Settings, load
from tests.ops import tools

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
ALERTS = yaml.safe_load((DEPLOY / "prometheus/alerts.yaml").read_text())["groups"][0]["rules"]
RUNBOOK = (DEPLOY / "RUNBOOK.md").read_text("utf-8")
OVERLAYS = ("strimzi", "existing")
CUSTOM = {
    "ScaledObject": {"scaleTargetRef", "minReplicaCount", "maxReplicaCount", "pollingInterval", "advanced", "triggers"},
    "TriggerAuthentication": {"secretTargetRef"},
    "Kafka": {"kafka", "entityOperator"},
    "KafkaNodePool": {"replicas", "roles", "storage", "resources"},
    "KafkaTopic": {"partitions", "replicas", "config"},
    "KafkaUser": {"authentication", "authorization"},
}
"""Kinds that Kubernetes has no schema of, with the members of their spec that are used here."""
PINNED = re.compile(r"[a-z/-]+:v?\d+\.\d+\.\d+[a-z-]*@sha256:[0-9a-f]{64}")
"""An image by full version and digest."""


def rendered(overlay: str) -> list[dict[str, Any]]:
    if shutil.which("kubectl") is None:
        pytest.skip("no kubectl to render the overlay with")
    directory = DEPLOY / "kubernetes/overlays" / overlay
    done = subprocess.run(["kubectl", "kustomize", str(directory)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_manifests_fit_the_schemas_of_kubernetes(overlay: str) -> None:
    custom = 0
    for document in rendered(overlay):
        if document["kind"] in CUSTOM:
            custom += 1
            assert set(document["spec"]) <= CUSTOM[document["kind"]], document["metadata"]["name"]
        else:
            kubernetes_validate.validate(document, "1.31", strict=True)
        assert document["kind"] == "Namespace" or document["metadata"]["namespace"] == "selvedge"
    assert custom


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_are_confined(overlay: str) -> None:
    documents = rendered(overlay)
    pods = [one["spec"]["template"]["spec"] for one in documents if one["kind"] in ("StatefulSet", "Job")]
    assert pods
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] and not pod["automountServiceAccountToken"]
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] and not context["allowPrivilegeEscalation"]
            assert context["capabilities"]["drop"] == ["ALL"]
            assert {"cpu", "memory"} <= container["resources"]["limits"].keys()
    kinds = {one["kind"] for one in documents}
    assert {"PodDisruptionBudget", "NetworkPolicy", "ScaledObject"} <= kinds


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_worker_in_the_cluster_has_settings_that_are_known(overlay: str) -> None:
    """Names and values are checked as at a worker's start; files are where the volumes put them."""
    for document in rendered(overlay):
        if document["kind"] not in ("StatefulSet", "Job"):
            continue
        pod = document["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert set(mounted) == {volume["name"] for volume in pod["volumes"]}
        environ = {one["name"]: one["value"] for one in container["env"]}
        for name, value in environ.items():
            assert not value.startswith("/") or value.startswith(tuple(mounted.values())), name
        load({name: value for name, value in environ.items() if not value.startswith("/")} | {SECRET: "x"})
        assert "replaced" not in str(document)


SECRET = "SELVEDGE_KAFKA_SASL_PASSWORD"


def test_strimzi_has_the_topics_and_rights_of_the_code() -> None:
    path = DEPLOY / "kubernetes/overlays/strimzi/generated.yaml"
    assert path.read_text() == "---\n".join(strimzi.resources(Settings()))
    kinds = [document["kind"] for document in yaml.safe_load_all(path.read_text())]
    assert kinds.count("KafkaUser") == len(roles(Settings()))


def test_the_compose_file_is_one(tmp_path: Path) -> None:
    command = tools.compose()
    if command is None:
        pytest.skip("neither Docker Compose nor Go, which its loader comes with")
    done = subprocess.run([*command, str(DEPLOY / "compose/compose.yaml")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    services = yaml.safe_load(done.stdout)["services"]
    assert len([name for name in services if name.startswith("kafka-")]) == 3
    for name, service in services.items():
        assert not service.get("privileged")
        for port in service.get("ports", []):
            assert port["host_ip"] == "127.0.0.1", name
        assert name in ("setup", "worker") or PINNED.fullmatch(service["image"]), service["image"]
        environ = {key: value for key, value in service.get("environment", {}).items() if key.startswith("SELVEDGE_")}
        if environ:
            load({name: value for name, value in environ.items() if not value.startswith("/")} | {SECRET: "x"})
        assert not any("PASSWORD" in key and not key.endswith("FILE") for key in service.get("environment", {}))


def test_compose_secrets_are_made_once_and_fit_together(tmp_path: Path) -> None:
    script = shutil.copy(DEPLOY / "compose/secrets.sh", tmp_path)
    subprocess.run(["sh", script], check=True, timeout=60)
    made = {path.name: path.read_bytes() for path in (tmp_path / "secrets").iterdir()}
    wanted = yaml.safe_load((DEPLOY / "compose/compose.yaml").read_text())["secrets"]
    assert {Path(one["file"]).name for one in wanted.values()} <= made.keys()
    assert len({value for name, value in made.items() if name.endswith(".password")}) == 7
    assert stat.S_IMODE((tmp_path / "secrets/ca.key").stat().st_mode) == 0o600
    subprocess.run(["sh", script], check=True, timeout=60)
    assert {path.name: path.read_bytes() for path in (tmp_path / "secrets").iterdir()} == made
    subprocess.run(["sh", script, "--renew"], check=True, timeout=60)
    renewed = {path.name for path in (tmp_path / "secrets").iterdir() if path.read_bytes() != made[path.name]}
    assert renewed == {"kafka-1.pem", "kafka-2.pem", "kafka-3.pem", "ca.srl"}
    for purpose in ("sslserver", "sslclient"):  # controllers show each other their certificates
        verified = ["openssl", "verify", "-purpose", purpose, "-CAfile", "ca.pem"]
        verified += ["kafka-1.pem", "kafka-2.pem", "kafka-3.pem"]
        subprocess.run(verified, cwd=tmp_path / "secrets", check=True, capture_output=True, timeout=60)


def test_the_dockerfile_is_linted() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "hadolint", DEPLOY / "Dockerfile"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout
    text = (DEPLOY / "Dockerfile").read_text()
    bases = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert all(PINNED.fullmatch(base) or base in ("build", "scratch") for base in bases)
    assert re.findall(r"^USER (.*)", text, re.MULTILINE) == ["10001:10001"]


def test_the_lock_files_name_the_same_versions() -> None:
    def pins(name: str) -> dict[str, str]:
        return dict(
            re.findall(r"^([a-z0-9][\w.\[\],-]*)==([^ ;\\]+)", (DEPLOY.parent / name).read_text(), re.MULTILINE)
        )

    runtime, traced, all_tools = map(pins, ("requirements.lock", "requirements-otel.lock", "requirements-dev.lock"))
    assert len(runtime) > 20 and "opentelemetry-sdk" in traced
    assert runtime.items() <= traced.items() <= all_tools.items()


def test_images_are_pinned_to_what_the_registry_says(tmp_path: Path) -> None:
    digest = "sha256:" + "7" * 64
    shutil.copytree(DEPLOY, tmp_path / "deploy")
    (tmp_path / "docker").write_text(f"#!/bin/sh\necho {digest}\n")
    (tmp_path / "docker").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    for _ in range(2):
        subprocess.run(["sh", tmp_path / "deploy/pin-images.sh"], env=environment, check=True, capture_output=True)
    pinned = (tmp_path / "deploy/Dockerfile").read_text() + (tmp_path / "deploy/compose/compose.yaml").read_text()
    images = re.findall(r"(?:^FROM|image:) (\S+:v?\d\S*)", pinned, re.MULTILINE)
    assert len(images) == 7 and all(image.endswith(f"@{digest}") and image.count("@") == 1 for image in images)


@pytest.mark.parametrize("file", sorted((DEPLOY / "compose").glob("*.sh")), ids=lambda path: path.name)
def test_scripts_can_be_read_by_their_shell(file: Path) -> None:
    shell = "bash" if "bash" in file.read_text().partition("\n")[0] else "sh"
    subprocess.run([shell, "-n", str(file)], check=True, timeout=60)


@pytest.mark.parametrize("script", ["broker.sh", "users.sh"])
def test_no_password_is_on_a_command_line(script: str, tmp_path: Path) -> None:
    """The scripts run with a `java` that notes what was on its command line and in its file."""
    (tmp_path / "secrets").mkdir()
    for name in ("admin", "interbroker", "worker", "producer", "operator", "consumer"):
        (tmp_path / "secrets" / f"{name}.password").write_text(f"canary-{name}")
    (tmp_path / "secrets" / "cluster.id").write_text("id")
    (tmp_path / "java").write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/line\ncat {tmp_path}/arguments >> {tmp_path}/file\n'
    )
    (tmp_path / "java").chmod(0o755)
    text = (DEPLOY / "compose" / script).read_text()
    text = text.replace("/tmp/", f"{tmp_path}/").replace("/run/secrets", str(tmp_path / "secrets"))
    text = re.sub(r"^exec .*", "", text, flags=re.MULTILINE)
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "NODE_ID": "1"}
    subprocess.run(["bash", "-c", text], env=environ, check=True, timeout=60)
    assert "canary" not in (tmp_path / "line").read_text()
    assert "canary" in (tmp_path / "file").read_text() and not (tmp_path / "arguments").exists()
    for secret in (tmp_path / "secrets").iterdir():
        secret.unlink()
    assert subprocess.run(["bash", "-c", text], env=environ, capture_output=True, timeout=60).returncode != 0


# -- alerts, dashboard -----------------------------------------------------------------------------------------------


def test_rules_fire_on_what_they_are_for_and_are_silent_otherwise() -> None:
    promtool = tools.promtool()
    if promtool is None:
        pytest.skip("no promtool, and no apt to fetch it with")
    directory = DEPLOY / "prometheus"
    for words in (["check", "rules", "alerts.yaml"], ["test", "rules", "alerts.test.yaml"]):
        done = subprocess.run([promtool, *words], cwd=directory, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr


def test_each_rule_has_a_test_that_it_fires_and_one_that_it_does_not() -> None:
    tested: dict[str, set[bool]] = {}
    for test in yaml.safe_load((DEPLOY / "prometheus/alerts.test.yaml").read_text())["tests"]:
        for case in test["alert_rule_test"]:
            tested.setdefault(case["alertname"], set()).add(bool(case["exp_alerts"]))
    assert tested == {rule["alert"]: {True, False} for rule in ALERTS}


def test_each_alert_links_its_section_of_the_runbook() -> None:
    headings = re.findall(r"^## (.*)$", RUNBOOK, re.MULTILINE)
    anchors = {heading.lower().replace(" ", "-") for heading in headings}
    for rule in ALERTS:
        file, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert file == "deploy/RUNBOOK.md" and anchor in anchors, rule["alert"]
    linked = set(re.findall(r"\]\(#([a-z-]+)\)", RUNBOOK))
    assert linked <= anchors


def test_rules_and_dashboard_ask_for_metrics_that_a_worker_has() -> None:
    shown = json.loads((DEPLOY / "grafana/selvedge.json").read_text())
    asked = [target["expr"] for panel in shown["panels"] for target in panel["targets"]]
    asked += [rule["expr"] for rule in ALERTS]
    names = {name for expression in asked for name in re.findall(r"\bselvedge_[a-z_]+", expression)}
    assert names - samples() == set()
    positions = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in shown["panels"]]
    assert len(set(positions)) == len(positions)


def samples() -> set[str]:
    """The names of everything that a worker can show."""
    stats = Stats()
    stats.accepted["segment"]["web"] = stats.rejected["not_json"] = 1
    stats.counts.update({"triggers.cart.fired": 1, "dropped.carts": 1})
    stats.lag, stats.recovering, stats.state = {0: Lag(0, 0, 0.0)}, {0: (0, 1)}, {"seats": (1, 1)}
    stats.certificates, stats.replicas = {"broker": 1.0}, Replicas(3, 0, 0)
    return {sample.name for family in metrics.registry(stats).collect() for sample in family.samples}


# -- units and targets -----------------------------------------------------------------------------------------------


def deployment(directory: Path) -> Deployment:
    environ = {"SELVEDGE_BROKERS": "b:9092", "SELVEDGE_KAFKA_SASL_PASSWORD": 'a"b\\c $HOME `x`'}
    return Deployment(2, environ, str(directory), "1.0", None)


def test_units_are_such_that_systemd_takes_them(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze")
    unit = tmp_path / "selvedge-worker@.service"
    unit.write_text(units.unit(tmp_path, deployment(tmp_path)))
    (tmp_path / "environment").write_text(units.environment(deployment(tmp_path)))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=60
    )
    complaints = [line for line in done.stderr.splitlines() if "selvedge-worker" in line]
    assert complaints == []


def test_no_secret_is_in_the_repr_of_a_deployment_nor_can_others_read_its_files(tmp_path: Path) -> None:
    wanted = Deployment(1, {"SELVEDGE_KAFKA_SASL_PASSWORD": "canary"}, "/", "1")
    status = Status(os.getpid(), wanted, [])
    assert "SELVEDGE_KAFKA_SASL_PASSWORD" in repr(status) and "canary" not in repr(status)
    write_deployment(tmp_path, wanted)
    write_status(tmp_path, status)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    assert read_deployment(tmp_path) == wanted


def test_a_value_of_several_lines_is_refused_for_systemd(tmp_path: Path) -> None:
    with pytest.raises(DeployFailed, match="SELVEDGE_X: a value of several lines cannot be given to systemd"):
        units.environment(Deployment(1, {"SELVEDGE_X": "a\nb"}, "/", "1"))


def test_the_target_is_what_is_here_and_the_reason_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert choose({"SELVEDGE_BROKERS": "b:1"})[0] == "host"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert choose({}) == ("host", "no Docker engine runs here and kubectl reaches no cluster: workers run here")
    for tool, target in (("kubectl", "kubernetes"), ("docker", "compose")):
        (tmp_path / tool).write_text("#!/bin/sh\nexit 0\n")
        (tmp_path / tool).chmod(0o755)
        assert choose({})[0] == target


def test_plans_of_compose_and_kubernetes_tell_the_commands_and_run_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    unheard: list[str] = []
    perform([*compose(), *kubernetes("existing")], unheard.append, plan=True)
    assert unheard[0] == "would make sure that a Docker engine answers" and len(unheard) == 6
    with pytest.raises(DeployFailed, match="no Docker engine answers"):
        perform(compose(), unheard.append, plan=False)
    with pytest.raises(DeployFailed, match="kubectl reaches no cluster"):
        perform(kubernetes("existing"), unheard.append, plan=False)
    for tool in ("kubectl", "docker"):
        (tmp_path / tool).write_text('#!/bin/sh\ncase "$1" in info|get) exit 0;; esac\nexit 9\n')
        (tmp_path / tool).chmod(0o755)
    said: list[str] = []
    for steps in (compose(), compose(stop=True), kubernetes("strimzi"), kubernetes("existing", stop=True)):
        perform(steps, said.append, plan=True)
    assert said[2] == "would run docker compose up --detach --build --wait"
    assert said[4] == "would run docker compose down"
    assert all(line.startswith("would ") for line in said) and not any("--volumes" in line for line in said)
    with pytest.raises(DeployFailed, match="there is no overlay x; there are: existing, strimzi"):
        kubernetes("x")
    with pytest.raises(DeployFailed, match=r"kubectl apply -k .* ended with status 9"):
        perform(kubernetes("strimzi"), said.append, plan=False)


def test_settings_of_the_tests_and_of_kubernetes_are_not_deployed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SELVEDGE_TEST_BROKERS", "SELVEDGE_STATS_FILE", "OTHER"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("SELVEDGE_PREFIX", "shop")
    found = wanted(Settings(shards=1), None, None)
    assert found.workers == 1 and "SELVEDGE_PREFIX" in found.environment
    assert not {"SELVEDGE_TEST_BROKERS", "SELVEDGE_STATS_FILE", "OTHER"} & found.environment.keys()
    assert INJECTED.fullmatch("SELVEDGE_WORKER_SERVICE_HOST") and os.environ["OTHER"] == "x"


def test_an_undeployed_host_has_nothing_to_undo(tmp_path: Path) -> None:
    assert Host(Settings(), tmp_path / "home", _no_brokers).undeploy(delete_data=False) == []


def _no_brokers() -> Any:
    raise AssertionError("no broker is needed for that")
