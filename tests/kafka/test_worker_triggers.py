"""Scenarios of triggers on a real broker: two workers, mail between them, one partition far behind, a worker killed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner
from confluent_kafka import Producer

from pipeline.cli import selvedge
from pipeline.core.effects import Output
from pipeline.core.identifiers import PUBLIC_KEY, Registry
from pipeline.core.policy import load
from pipeline.core.replay import Replay
from pipeline.core.touchpoint import Touchpoint
from pipeline.dialects import Reader
from pipeline.settings import Settings
from tests.core.shopper import NO_CONSENT_NEEDED, at, clock
from tests.kafka.eventually import eventually
from tests.kafka.fleet import Fleet
from tests.kafka.test_worker_replay import _keep_producers_times
from tests.published import Published

END = 3000
BACKLOG = 400
MOVED = 12
"""Carts of persons whose root goes from shard to shard before the deadline, and after the trigger fired."""


class Sent(NamedTuple):
    received: float
    partition: int
    value: bytes


class Script:
    """Touchpoints of all scenarios, minutes after noon. Any partition may hold anything."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []

    def tell(self, minute: float, who: str, type: str, *, late: float = 0, partition: int = 0, **data: Any) -> None:
        number = len(self.sent)
        identifiers = [dict(zip(("type", "value"), one.split(":", 1), strict=True)) for one in who.split()]
        event = {
            "specversion": "1.0",
            "id": f"evt-{number}",
            "source": "store/till" if data.pop("till", False) else "web/shop",
            "type": type,
            "time": clock(minute),
            "recordedtime": clock(minute + late),
            "data": {"identifiers": identifiers, **data},
        }
        self.sent.append(Sent(minute + late, partition, json.dumps(event).encode()))

    def add(self, minute: float, who: str, cart: str, sku: str = "A", **how: Any) -> None:
        items = [{"sku": sku, "price": "10.00", "currency": "EUR"}]
        self.tell(minute, who, "cart.item_added", cart={"id": cart}, items=items, **how)

    def order(self, minute: float, who: str, order: str, sku: str = "A", **how: Any) -> None:
        self.tell(minute, who, "order.placed", order={"id": order}, items=[{"sku": sku}], **how)


def script() -> Script:
    told = Script()
    for number, late in enumerate((8, 25, 150)):
        who = f"loyalty:L-{number}"
        told.add(0, f"{who} cookie:c-{number} email:s4-{number}@example.com", f"s4-{number}", partition=number)
        told.order(50, who, f"o-{number}", "Z", late=late, till=True, partition=3)
    told.add(0, "email:one@example.com", "s6", partition=1)
    told.order(40, "email:two@example.com", "o-s6", partition=2)
    told.tell(300, "email:one@example.com email:two@example.com", "identity.observed", partition=0)
    told.add(-200, "loyalty:L-13 email:s13@example.com", "s13", partition=0)
    for number in range(BACKLOG):
        told.tell(-200 + number / BACKLOG, f"cookie:behind-{number}", "page.viewed", partition=3)
    told.order(-145, "loyalty:L-13", "o-s13", "Z", till=True, partition=3)
    for number in range(20):
        who = f"cookie:s17-{number} email:s17-{number}@example.com"
        told.add(400 + number, who, f"s17-{number}", partition=number % 4)
    for number in range(MOVED):
        mail, card = f"email:moved-{number}@example.com", f"loyalty:M-{number}"
        told.add(500 + number, f"cookie:moved-{number} {mail}", f"moved-{number}", partition=number % 4)
        told.tell(530, f"cookie:moved-{number} {card}", "identity.observed", partition=(number + 1) % 4)
        told.tell(540, f"device:moved-{number} {mail}", "identity.observed", partition=(number + 2) % 4)
        told.tell(900, f"{card} customer:{number % 3}-{number}", "identity.observed", partition=number % 4)
    for partition in range(4):
        told.tell(END, f"cookie:end-{partition}", "page.viewed", partition=partition)
    return told


@pytest.fixture
def fleet(settings: Settings, tmp_path: Path) -> Iterator[Fleet]:
    policy = tmp_path / "policy.toml"
    policy.write_text(NO_CONSENT_NEEDED)
    with Fleet(replace(settings, policy_path=policy), tmp_path, ("pipeline", "worker")) as fleet:
        _keep_producers_times(settings)
        yield fleet


def send(fleet: Fleet, sent: Iterable[Sent]) -> None:
    producer = Producer(fleet.settings.librdkafka())
    for one in sent:
        topic = fleet.settings.topic("touchpoints")
        producer.produce(topic, one.value, None, one.partition, timestamp=at(one.received) // 1000)
    producer.flush()


def published(fleet: Fleet) -> Published:
    """Committed triggers; fails where one is there twice."""
    taken = Published()
    for record in fleet.records("triggers"):
        assert record.key is not None
        taken.take(Output("triggers", record.key.decode(), record.value, (record.headers["ce_id"] or b"").decode(), 0))
    return taken


def replayed(told: Script) -> Published:
    registry = Registry(load(NO_CONSENT_NEEDED), PUBLIC_KEY)
    reader, taken = Reader(registry), Published()
    run = Replay(registry, taken.take)
    for one in sorted(told.sent, key=lambda one: one.received):
        for found in reader.read(one.value, at(one.received)):
            assert isinstance(found, Touchpoint)
            run.touch(found)
    run.finish()
    return taken


def courses(taken: Published) -> dict[str, list[tuple[str, str | None]]]:
    """Cart -> what was said of it, in order."""
    found: dict[str, list[tuple[str, str | None]]] = {}
    for record in sorted(taken.triggers, key=lambda record: record["revision"]):
        found.setdefault(record["cart"]["cart_id"], []).append((record["status"], record["reason"]))
    return found


def test_late_sales_merges_a_partition_far_behind_and_a_kill(fleet: Fleet) -> None:
    told = script()
    expected = replayed(told)
    assert courses(expected) == {
        "s4-1": [("fired", None), ("retracted", "late_purchase")],
        "s4-2": [("fired", None), ("retracted", "late_purchase")],
        "s6": [("fired", None), ("retracted", "identity_merge")],
        **{f"s17-{number}": [("fired", None)] for number in range(20)},
        **{f"moved-{number}": [("fired", None)] for number in range(MOVED)},
    }
    assert {one["deadline_at"] for one in expected.triggers if "moved" in one["cart"]["cart_id"]} == {clock(600)}
    behind = [one for one in told.sent if one.partition == 3 and one.received < 0]
    ahead = [one for one in told.sent if one not in behind]
    send(fleet, ahead[: len(ahead) // 2])
    fleet.start(), fleet.start()
    eventually(lambda: fleet.shared(2))
    send(fleet, behind)
    send(fleet, ahead[len(ahead) // 2 :])
    fleet.workers[0].kill()
    fleet.start()
    eventually(lambda: published(fleet).latest_triggers() == expected.latest_triggers(), 90)
    assert courses(published(fleet)) == courses(expected)
    _tells_of(fleet, [one for one in published(fleet).triggers if one["cart"]["cart_id"] == "s6"])


def _tells_of(fleet: Fleet, records: list[dict[str, Any]]) -> None:
    """People are told the same by the commands, from the topics of the running system."""
    fired, retracted = records
    profile = ("--profile", fired["profile_id"], "--limit", "2")
    watched = _run(fleet, "watch", "triggers", "--from-beginning", *profile).splitlines()
    assert [line.split(" due ")[0] for line in watched if not line.startswith("following")] == [
        f"fired cart/1 cart s6 of A 10.00 EUR by email profile {fired['profile_id']}",
        "retracted cart/1 because bought before it fired by who turned out to be the same person (identity_merge) "
        f"cart s6 of A 10.00 EUR by email profile {retracted['profile_id']}",
    ]
    story = _run(fleet, "explain", "--trigger", fired["trigger_id"]).splitlines()
    assert story[0] == f"trigger {fired['trigger_id']}: cart, step 1, cart s6"
    for line in (
        f"  {clock(62)}  fired, by email, until {clock(62 + 24 * 60)}",
        f"  {clock(300)}  retracted: bought before it fired by who turned out to be the same person (identity_merge)",
        f"  {clock(40)}  the episode ended: converted by order o-s6",
    ):
        assert line in story, story


def _run(fleet: Fleet, *arguments: str) -> str:
    found = CliRunner().invoke(selvedge, arguments, env=fleet.settings.environment())
    assert found.exit_code == 0, found.output
    return found.output
