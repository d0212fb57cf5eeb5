"""Writes what a version keeps and publishes of a small history: `python -m tests.compatibility.make DIRECTORY`.

DIRECTORY holds `touchpoints.jsonl` and `policy.toml`; what is written there is never written anew. When the format of
anything changes in a way that the rules of schemas/README.md allow, a further directory keeps what it was, too.
"""

from __future__ import annotations

import json
import sys
from base64 import b64encode
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pipeline.core import mail
from pipeline.core.effects import Effects, Output
from pipeline.core.group import Group
from pipeline.core.identifiers import Registry
from pipeline.core.policy import load
from pipeline.core.touchpoint import Rejected, Touchpoint
from pipeline.dialects import Reader
from pipeline.kafka import clock, state
from tests.deployment import Deployment

SCHEMAS = Path(__file__).parents[2] / "schemas"
SHARDS = 8
"""Each has a worker of its own, and a touchpoint arrives anywhere, so that there is mail of every kind."""
COMPACTED = ("profiles", "identities", "products")


class Kept:
    """What the workers make of the touchpoints, one after the other."""

    def __init__(self, directory: Path) -> None:
        registry = Registry(load((directory / "policy.toml").read_text("utf-8")), shards=SHARDS)
        self.state = Deployment(SHARDS)
        self.groups = [self.state.worker(registry, shards=shards) for shards in ([number] for number in range(SHARDS))]
        self.outputs: list[Output] = []
        self.mail: dict[str, bytes] = {}
        reader = Reader(registry)
        for number, line in enumerate((directory / "touchpoints.jsonl").read_bytes().splitlines()):
            for found in reader.read(line, None):
                self._take(found, number % SHARDS)

    def _take(self, found: Touchpoint | Rejected, shard: int) -> None:
        if isinstance(found, Touchpoint):
            self._owner(shard).touch(shard, found)
            self._settle(found.received)

    def _owner(self, shard: int) -> Group:
        return next(group for group in self.groups if shard in group.shards)

    def _settle(self, now: int) -> None:
        while True:
            sent = [message for group in self.groups for message in self._kept(group.drain(now, now))]
            if not sent:
                return
            for shard, message in sent:
                self.mail[type(mail.decode(message)).__name__] = message
                self._owner(shard).receive(shard, message)

    def _kept(self, effects: Effects) -> Iterable[tuple[int, bytes]]:
        self.outputs += effects.outputs
        mailed, effects.mail = effects.mail, []
        self.state.commit(Effects(rows=effects.rows))
        return mailed


def write(directory: Path) -> None:
    kept = Kept(directory)
    for topic in sorted({output.topic for output in kept.outputs}):
        records = [one for one in kept.outputs if one.topic == topic]
        if topic.startswith(COMPACTED):
            records = list({one.key: one for one in records}.values())
        published = ({"key": one.key, "value": one.value and json.loads(one.value)} for one in records)
        _lines(directory / f"{topic}.jsonl", published)
    rows = [(shard, *row) for shard, rows in kept.state.rows.items() for row in sorted(rows.items())]
    known = ({"shard": shard, "key": _text(key), "row": _text(row)} for shard, key, row in rows)
    _lines(directory / "state.jsonl", known)
    messages = sorted(kept.mail.items())
    _lines(directory / "mail.jsonl", ({"type": name, "message": _text(message)} for name, message in messages))
    _lines(
        directory / "shell.jsonl",
        [
            {"what": "position", "row": _text(state.encode_position(state.Position(10, 20, 5, 4)))},
            {"what": "report", "row": _text(clock.encode_report(clock.Report(1, 4, True, [4, 4])))},
        ],
    )
    schemas = {path.name.partition(".")[0]: json.loads(path.read_bytes()) for path in SCHEMAS.glob("*.schema.json")}
    _lines(directory / "schemas.jsonl", (one for name in sorted(schemas) for one in promises(name, schemas[name])))


def promises(name: str, schema: Any, place: str = "") -> Iterator[dict[str, Any]]:
    """Of each object that a schema describes: where, its members, those required, words of enumerations."""
    if isinstance(schema, list):
        for number, one in enumerate(schema):
            yield from promises(name, one, f"{place}/{number}")
    elif isinstance(schema, dict):
        if "properties" in schema or "enum" in schema:
            members = sorted(schema.get("properties", ()))
            required, words = sorted(schema.get("required", ())), sorted(map(str, schema.get("enum", ())))
            yield {"schema": name, "place": place, "members": members, "required": required, "words": words}
        for keyword, one in schema.items():
            if keyword not in ("examples", "allOf", "if", "then", "else"):
                yield from promises(name, one, f"{place}/{keyword}")


def _text(row: bytes) -> str:
    return b64encode(row).decode()


def _lines(file: Path, records: Iterable[dict[str, Any]]) -> None:
    file.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
