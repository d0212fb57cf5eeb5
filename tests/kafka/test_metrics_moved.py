"""Every figure that operators are promised is fed by a running worker, and by the one that takes over from it."""

from __future__ import annotations

import dataclasses
import json
import re
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

from pipeline.core import times
from pipeline.settings import Settings
from tests.kafka.eventually import eventually
from tests.kafka.fleet import Fleet, Worker
from tests.kafka.test_window import get

POLICY = """
[identity]
hub_degree = 2
component_max = 6
[triggers]
require_consent = false
"""
MOVED = {
    'selvedge_touchpoints_total{channel="web",dialect="cloudevents",outcome="accepted"}',
    'selvedge_touchpoints_total{channel="web",dialect="segment",outcome="accepted"}',
    'selvedge_touchpoints_total{channel="",dialect="",outcome="rejected"}',
    'selvedge_rejects_total{reason="not_json"}',
    "selvedge_records_total",
    "selvedge_touchpoints_repeated_total",
    "selvedge_epoch_seconds_count",
    "selvedge_epoch_records_sum",
    "selvedge_timer_lateness_seconds_count",
    "selvedge_identity_flips_total",
    "selvedge_conflicts_total",
    "selvedge_hubs_total",
    "selvedge_redirects_total",
    "selvedge_profile_documents_total",
    'selvedge_profile_changes_total{kind="merged"}',
    'selvedge_profile_changes_total{kind="split"}',
    'selvedge_profile_changes_total{kind="shared"}',
    'selvedge_profile_changes_total{kind="oversize"}',
    'selvedge_triggers_total{family="cart",status="fired"}',
    "selvedge_persons_erased_total",
    "selvedge_watermark_timestamp_seconds",
    "selvedge_shards_owned",
    "selvedge_ready",
    'selvedge_state_rows{kind="fragments"}',
    'selvedge_state_bytes{kind="seats"}',
    "selvedge_brokers",
    "process_resident_memory_bytes",
}
"""Samples that the history below moves."""
THERE = {
    "selvedge_hold_age_seconds",
    "selvedge_held_clusters",
    "selvedge_held_age_seconds",
    "selvedge_erasure_age_seconds",
    "selvedge_clock_ahead_seconds",
    "selvedge_epoch_age_seconds",
    'selvedge_lag_records{shard="0",source="touchpoints"}',
    'selvedge_lag_records{shard="3",source="mail"}',
    'selvedge_lag_seconds{shard="0"}',
    "selvedge_fences_total",
    "selvedge_transaction_aborts_total",
    "selvedge_partitions_under_replicated",
    "selvedge_partitions_leaderless",
    "selvedge_mail_total",
}
"""Samples that are 0, or as it happens."""


CHAIN = 9
SEGMENT = {"type": "track", "event": "Product Viewed", "messageId": "m-1", "anonymousId": "seg-1", "channel": "web"}


def touchpoint(id: str, type: str, *who: str, minutes_ago: float = 0, **data: Any) -> bytes:
    identifiers = [dict(zip(("type", "value"), one.split(":", 1), strict=True)) for one in who]
    at = time.time_ns() // 1_000 - round(minutes_ago * times.MINUTE)
    event = {"specversion": "1.0", "id": id, "source": "web/shop", "type": type, "time": times.text(at)}
    return json.dumps({**event, "data": {"identifiers": identifiers, **data}}).encode()


def view(*who: str) -> bytes:
    return touchpoint(f"view {who}", "page.viewed", *who)


def first() -> list[bytes]:
    """Strangers, a family tablet, two customers on one address, a chain that is too long, a cart that was left."""
    chain = [f"cookie:chain-{number}" for number in range(CHAIN)]
    items = [{"sku": "A", "price": "3", "currency": "EUR"}]
    left = touchpoint("cart", "cart.item_added", "email:t@example.com", minutes_ago=90, items=items, cart={"id": "c"})
    return [
        b"{",
        json.dumps(SEGMENT).encode(),
        *[view("cookie:a"), view("customer:b"), view("customer:m", "cookie:n"), view("customer:z"), view("customer:z")],
        *[view(f"customer:h{number}", "cookie:tablet") for number in range(3)],
        *[view(f"customer:x{number}", "email:x@example.com") for number in range(2)],
        *[view(one) for one in chain],
        *[view(*pair) for pair in pairwise(chain)],
        left,
    ]


def second() -> list[bytes]:
    """A login, two who are not one, an erasure."""
    return [
        view("customer:b", "cookie:a"),
        touchpoint("unlinked", "identity.unlinked", "customer:m", "cookie:n"),
        touchpoint("erasure", "privacy.erasure_requested", "customer:z"),
    ]


def shown(worker: Worker) -> dict[str, float]:
    """By name and labels as they are written; empty before it listens."""
    if "metrics and health on" not in worker.said:
        return {}
    lines = get(worker, "/metrics")[1].decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


def test_each_promised_figure_moves_in_a_running_worker(settings: Settings, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text(POLICY)
    wanted = dataclasses.replace(settings, policy_path=policy, clock="wall", log="json")
    with Fleet(wanted, tmp_path, ("pipeline", "worker")) as fleet:
        worker = fleet.start()
        fleet.send_raw(first())
        fired = 'selvedge_triggers_total{family="cart",status="fired"}'
        eventually(lambda: shown(worker).get(fired) and shown(worker).get("selvedge_hubs_total"))
        fleet.send_raw(second())
        with suppress(AssertionError):
            eventually(lambda: not still(shown(worker)), 45)
        assert still(shown(worker)) == set()
        there = shown(worker)
        assert THERE - there.keys() == set()
        assert re.fullmatch(r"[\w.:+-]+", "".join(LABELS.findall("".join(there)))), "no identifier in a label"
        worker.kill()
        heir = fleet.start()
        eventually(lambda: shown(heir).get("selvedge_ready"), 45)
        assert shown(heir)["selvedge_fences_total"] == 1


LABELS = re.compile(r'="([^"]*)"')


def still(there: dict[str, float]) -> set[str]:
    return {sample for sample in MOVED if not there.get(sample)}
