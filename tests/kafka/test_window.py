"""What a running worker shows to operators, and that nothing of a person and no secret is in it."""

from __future__ import annotations

import dataclasses
import http.client
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from pipeline.core.times import SECOND
from pipeline.kafka import logs, metrics
from pipeline.kafka.failstop import describe
from pipeline.kafka.health import PortTaken, Window
from pipeline.kafka.stats import Lag, Stats
from pipeline.security import Security
from pipeline.settings import Settings, load
from tests.kafka.eventually import eventually
from tests.kafka.fleet import Fleet, Worker, await_counted

PERSONS = ["jane-canary", "joe-canary"]
PASSWORD = "canary-of-a-password"
CREDENTIALS = {"sasl.username": "ada", "sasl.password": PASSWORD}
LABELS = {
    "channel",
    "dialect",
    "outcome",
    "reason",
    "kind",
    "family",
    "status",
    "bound",
    "shard",
    "source",
    "use",
    "le",
}
LABELS_OF_PYTHON = {"generation", "implementation", "major", "minor", "patchlevel", "version"}


@pytest.fixture
def fleet(settings: Settings, tmp_path: Path) -> Iterator[Fleet]:
    with Fleet(dataclasses.replace(settings, log="json"), tmp_path) as fleet:
        yield fleet


@pytest.fixture
def stats() -> Stats:
    """Something of everything."""
    stats = Stats()
    stats.accepted["segment"]["web"] = 3
    stats.rejected["not_json"] = 2
    stats.touchpoints, stats.mail = 5, 7
    stats.counts.update({"merged": 4, "triggers.cart.fired": 6, "hubs": 1, "dropped.carts": 8})
    stats.epoch_s.note(0.3)
    stats.epoch_s.note(99.0)
    stats.now, stats.caught_up_to = 1_000 * SECOND, 990 * SECOND
    stats.lag = {0: Lag(11, 12, 13.5)}
    stats.recovering = {0: (50, 200)}
    stats.certificates = {"broker": 2e9}
    stats.state = {"fragments": (3, 900)}
    return stats


def families(stats: Stats) -> dict[str, Metric]:
    text = metrics.generate(metrics.registry(stats)).decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(stats: Stats, sample: str, **labels: str) -> float:
    found = [
        one.value
        for family in families(stats).values()
        for one in family.samples
        if one.name == sample and labels.items() <= one.labels.items()
    ]
    assert len(found) == 1, found
    return float(found[0])


def test_each_figure_is_a_metric_with_its_labels(stats: Stats) -> None:
    assert value(stats, "selvedge_touchpoints_total", channel="web", dialect="segment", outcome="accepted") == 3
    assert value(stats, "selvedge_touchpoints_total", outcome="rejected") == 2
    assert value(stats, "selvedge_rejects_total", reason="not_json") == 2
    assert value(stats, "selvedge_profile_changes_total", kind="merged") == 4
    assert value(stats, "selvedge_triggers_total", family="cart", status="fired") == 6
    assert value(stats, "selvedge_bound_hits_total", bound="carts") == 8
    assert value(stats, "selvedge_epoch_seconds_bucket", le="0.5") == 1
    assert value(stats, "selvedge_epoch_seconds_bucket", le="+Inf") == 2
    assert value(stats, "selvedge_hold_age_seconds") == 10
    assert value(stats, "selvedge_lag_records", shard="0", source="touchpoints") == 11
    assert value(stats, "selvedge_lag_seconds", shard="0") == 13.5
    assert value(stats, "selvedge_recovery_ratio", shard="0") == 0.25
    assert value(stats, "selvedge_state_bytes", kind="fragments") == 900
    assert value(stats, "selvedge_certificate_expiry_timestamp_seconds", use="broker") == 2e9


def test_names_follow_the_conventions_and_labels_are_of_closed_sets(stats: Stats) -> None:
    for family in families(stats).values():
        ours = family.name.startswith("selvedge_")
        assert family.documentation and (ours or family.name.startswith(("process_", "python_")))
        for sample in family.samples:
            assert re.fullmatch(r"[a-z_]+", sample.name)
            assert family.type != "counter" or sample.name.endswith(("_total", "_created"))
            assert set(sample.labels) <= (LABELS if ours else LABELS_OF_PYTHON)


def test_a_second_window_takes_the_next_port_and_none_left_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    stats = Stats()
    first = Window(Settings(http=("127.0.0.1", 19_400)), stats, metrics.registry(stats))
    port = int(first.address.rpartition(":")[2])
    settings = Settings(http=("127.0.0.1", port))
    second = Window(settings, stats, metrics.registry(stats))
    assert int(second.address.rpartition(":")[2]) > port
    monkeypatch.setattr("pipeline.kafka.health.PORTS", 1)
    with pytest.raises(PortTaken, match="set SELVEDGE_HTTP to another, or off"):
        Window(settings, stats, metrics.registry(stats))
    first.close(), second.close()


def test_a_worker_listens_for_operators_only_and_says_nothing_of_anybody(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SELVEDGE_KAFKA_SECURITY_PROTOCOL", "PLAINTEXT")
    worker = fleet.start()
    eventually(lambda: fleet.shared(1))
    eventually(lambda: get(worker, "/readyz")[0] == 200)
    fleet.send(PERSONS * 3)
    fleet.send_raw([b"{jane-canary", json.dumps({"specversion": "1.0", "id": "jane-canary"}).encode()])
    await_counted(fleet)
    eventually(lambda: b'selvedge_rejects_total{reason="not_json"} 1.0' in get(worker, "/metrics")[1])
    assert get(worker, "/healthz")[0] == 200
    pages = b"".join(get(worker, path)[1] for path in ("/metrics", "/healthz", "/readyz", "/table/", "/"))
    assert b'outcome="accepted"} 6.0' in pages and b'selvedge_state_rows{kind="counts"} 2.0' in pages
    assert [get(worker, path)[0] for path in ("/", "/table/", "/metrics/x", "/debug")] == [404] * 4
    assert get(worker, "/metrics", "POST")[0] == 501
    (listening,) = listening_of(worker.process.pid)
    assert listening == "0100007F:{:04X}".format(int(address(worker).rpartition(":")[2]))
    worker.stop()
    lines = [json.loads(line) for line in worker.said.splitlines()]
    assert {"time", "level", "event", "worker"} <= set.intersection(*(set(line) for line in lines))
    assert not any(name.encode() in pages + worker.log.read_bytes() for name in ("canary", *fleet.sent))


def test_a_worker_that_is_refused_never_shows_its_password(fleet: Fleet) -> None:
    environ = {
        "SELVEDGE_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "SELVEDGE_KAFKA_SASL_USERNAME": "ada",
        "SELVEDGE_KAFKA_SASL_PASSWORD": PASSWORD,
    }
    worker = fleet.start(security=load(environ).security)
    eventually(lambda: "no answer from" in worker.said)
    assert "SASL" in worker.said and PASSWORD not in worker.said


def test_a_secret_is_covered_wherever_it_turns_up(capfd: pytest.CaptureFixture[str]) -> None:
    settings = Settings(log="json", security=Security({"security.protocol": "SASL_PLAINTEXT", **CREDENTIALS}))
    logs.configure(settings, "w-1")
    logs.say(f"the broker said: {PASSWORD} is wrong", shards=[1], email="jane@example.com")
    fail = f"try: raise ValueError('jane') from KeyError('{PASSWORD}')\nexcept ValueError as e: error = e"
    scope: dict[str, BaseException] = {}
    exec(fail, {}, scope)
    logs.complain(describe(scope["error"]))
    structlog.reset_defaults()
    said = capfd.readouterr().err
    assert json.loads(said.splitlines()[0])["event"] == "the broker said: *** is wrong"
    assert not any(word in said + repr(settings) for word in (PASSWORD, "jane", "email"))


def address(worker: Worker) -> str:
    found = re.search(r"http://([\d.:]+)", worker.said)
    assert found is not None
    return found[1]


def get(worker: Worker, path: str, method: str = "GET") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(address(worker), timeout=10)
    connection.request(method, path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def listening_of(pid: int) -> list[str]:
    """Local addresses of listening TCP sockets of a process (state 0A in /proc/net/tcp)."""
    links = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()]
    inodes = {link[8:-1] for link in links if link.startswith("socket:[")}
    rows = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
    ]
    return [row[1] for row in rows if row[3] == "0A" and row[9] in inodes]
