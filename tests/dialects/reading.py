"""How the tests read one record, and the shortest events they start from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline.core import times
from pipeline.core.identifiers import Registry
from pipeline.core.policy import Policy, load
from pipeline.core.touchpoint import Rejected, Touchpoint
from pipeline.dialects import Reader

RECEIVED = times.parse("2026-03-01T12:00:00Z")
READER = Reader(Registry(Policy()))

PAYLOADS = [
    json.loads(line) for line in (Path(__file__).parent / "payloads.jsonl").read_text(encoding="utf-8").splitlines()
]


def reader(policy: str) -> Reader:
    return Reader(Registry(load(policy)))


def read(
    value: Any, timestamp: int | None = RECEIVED, reader: Reader = READER, **headers: str
) -> Touchpoint | Rejected:
    """The one result of a record. value: bytes, or what is written as JSON; headers with _ for -."""
    (result,) = read_all(value, timestamp, reader, **headers)
    return result


def read_all(
    value: Any, timestamp: int | None = RECEIVED, reader: Reader = READER, **headers: str
) -> list[Touchpoint | Rejected]:
    raw = value if isinstance(value, bytes) or value is None else json.dumps(value).encode()
    return reader.read(raw, timestamp, [(name, said.encode()) for name, said in headers.items()])


def accepted(value: Any, timestamp: int | None = RECEIVED, reader: Reader = READER, **headers: str) -> Touchpoint:
    result = read(value, timestamp, reader, **headers)
    assert isinstance(result, Touchpoint), result
    return result


def refused(value: Any, timestamp: int | None = RECEIVED, reader: Reader = READER, **headers: str) -> Rejected:
    result = read(value, timestamp, reader, **headers)
    assert isinstance(result, Rejected), result
    return result


def event(type: str = "page.viewed", **data: Any) -> dict[str, Any]:
    """A CloudEvents event of a cookie."""
    return {
        "specversion": "1.0",
        "id": "evt-1",
        "source": "web/shop-de",
        "type": type,
        "time": "2026-03-01T11:59:00Z",
        "data": {"identifiers": [{"type": "cookie", "value": "c-1"}], **data},
    }


def names(tp: Touchpoint) -> set[str]:
    """Identifiers as `type:value`, e-mail and phone by their readable value."""
    return {f"{id.partition(':')[0]}:{(tp.plain or {})[id]}" if id in (tp.plain or {}) else id for id in tp.ids}
