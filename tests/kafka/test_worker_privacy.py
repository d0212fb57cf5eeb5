"""An erasure in running workers: canaries that were planted are nowhere left once the topics are compacted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest

from pipeline.export import from_topics
from pipeline.settings import Settings
from tests.kafka.eventually import eventually
from tests.kafka.fleet import Fleet

CANARIES = ("L-canary-1", "ck-canary-2", "cart-canary-3", "canary4@example.com", "Canaria")
COMPACTED = ("profiles", "identities", "state", "products")


@pytest.fixture
def fleet(settings: Settings, tmp_path: Path) -> Iterator[Fleet]:
    with Fleet(settings, tmp_path, ("pipeline", "worker")) as fleet:
        yield fleet


def touchpoint(number: int, type: str, *identifiers: tuple[str, str], **data: object) -> bytes:
    names = [{"type": kind, "value": value} for kind, value in identifiers]
    event = {"specversion": "1.0", "id": f"e-{number}", "source": "web/shop", "type": type}
    return msgspec.json.encode(event | {"data": {"identifiers": names, **data}})


LOYALTY, COOKIE, EMAIL = ("loyalty", CANARIES[0]), ("cookie", CANARIES[1]), ("email", CANARIES[3])
OTHER = ("loyalty", "L-other")


def history() -> list[bytes]:
    items = [{"sku": "A", "price": "3", "currency": "EUR"}]
    return [
        touchpoint(0, "page.viewed", COOKIE),
        touchpoint(1, "cart.item_added", COOKIE, EMAIL, items=items, cart={"id": CANARIES[2]}),
        touchpoint(2, "profile.updated", LOYALTY, EMAIL, traits={"first_name": CANARIES[4]}),
        touchpoint(3, "page.viewed", OTHER),
        touchpoint(4, "page.viewed", OTHER, EMAIL),
        touchpoint(5, "page.viewed", LOYALTY, EMAIL),
    ]


def kept(fleet: Fleet, topic: str) -> dict[bytes, bytes]:
    """What a compacted topic holds once it is compacted."""
    rows: dict[bytes, bytes] = {}
    for record in fleet.records(topic):
        assert record.key is not None
        if record.value is None:
            rows.pop(record.key, None)
        else:
            rows[record.key] = record.value
    return rows


def traces(fleet: Fleet, topic: str) -> set[str]:
    text = b" ".join(part for row in kept(fleet, topic).items() for part in row)
    return {canary for canary in CANARIES if canary.encode() in text}


def exported(fleet: Fleet, directory: Path) -> set[str]:
    """The values of identities in the lake."""
    from_topics(fleet.settings, directory, lambda _, __: None)
    return {
        one["value"] for file in directory.glob("identities/*/*.parquet") for one in pq.read_table(file).to_pylist()
    }


def test_an_erasure_leaves_no_trace_in_compacted_topics_logs_and_lake(fleet: Fleet, tmp_path: Path) -> None:
    workers = [fleet.start() for _ in range(2)]
    eventually(lambda: fleet.shared(2))
    for number, line in enumerate(history()):
        fleet.send_raw([line], partition=number % fleet.settings.shards)
    eventually(lambda: traces(fleet, "profiles") == set(CANARIES), 60)
    assert traces(fleet, "state") == set(CANARIES)
    assert exported(fleet, tmp_path / "lake") >= {CANARIES[0], CANARIES[1], CANARIES[3]}
    fleet.send_raw([touchpoint(6, "privacy.erasure_requested", EMAIL)])
    eventually(lambda: not any(traces(fleet, topic) for topic in COMPACTED), 60)
    changes = [msgspec.json.decode(record.value or b"{}") for record in fleet.records("profile-changes")]
    [receipt] = [change for change in changes if change["kind"] == "erased"]
    assert receipt["erased"]["request"] == "e-6"
    assert receipt["erased"]["identifiers"] == receipt["erased"]["suppressed"] == 3
    fleet.send_raw([touchpoint(7, "page.viewed", LOYALTY, ("cookie", "ck-new")), touchpoint(8, "page.viewed", OTHER)])
    eventually(lambda: len(fleet.records("dead-letters")) == 1, 60)
    [letter] = fleet.records("dead-letters")
    assert (letter.key, letter.value) == (None, None)
    assert letter.headers["__connect.errors.exception.class.name"] == b"suppressed"
    for worker in workers:
        assert worker.stop() == 0
        assert not any(canary in worker.said for canary in CANARIES)
    assert not any(traces(fleet, topic) for topic in COMPACTED)
    documents = [msgspec.json.decode(value) for value in kept(fleet, "profiles").values()]
    assert [one["identifiers"][0]["value"] for one in documents] == ["L-other"]
    assert exported(fleet, tmp_path / "lake") == {"L-other"}
