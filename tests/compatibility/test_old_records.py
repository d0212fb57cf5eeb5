"""What an earlier version published, kept and sent is still valid and still read.

Consumers hold old documents, the state topic holds old rows, and while workers are replaced one by one, old and new
ones send each other mail. `v1/` is what the first format was; see `make` for how it came to be.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from pipeline.core import mail
from pipeline.core.catalogue.deal import Deal
from pipeline.core.catalogue.product import Product
from pipeline.core.fragment import Fragment
from pipeline.core.group import Group
from pipeline.core.grouping import grouping
from pipeline.core.identifiers import Registry
from pipeline.core.person import Person
from pipeline.core.policy import load
from pipeline.core.seat import Seat
from pipeline.core.times import parse
from pipeline.core.touchpoint import Data, Id, Touchpoint
from pipeline.core.unionfind import Node
from pipeline.core.view import view
from pipeline.dialects import Reader
from pipeline.kafka import clock, state
from tests.compatibility.make import SHARDS, promises
from tests.published import NOT_COMPARED

OLD = Path(__file__).parent / "v1"
SCHEMAS = {
    path.name.partition(".")[0]: json.loads(path.read_bytes())
    for path in (Path(__file__).parents[2] / "schemas").glob("*.schema.json")
}
SCHEMA_OF = {
    "profiles": "profile",
    "profiles.analytics": "profile",
    "identities": "identity",
    "profile-changes": "profile-change",
    "triggers": "trigger",
    "products": "product",
    "access-reports": "access-report",
}
REGISTRY = Registry(load((OLD / "policy.toml").read_text("utf-8")), shards=SHARDS)
STRUCTS = (Fragment, Seat, Node, Product, Deal)


def lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (OLD / f"{name}.jsonl").read_bytes().splitlines()]


def records(topic: str) -> Iterator[Any]:
    return (line["value"] for line in lines(topic) if line["value"] is not None)


def covers(new: Any, old: Any) -> bool:
    """Whether all that an old value says is there; there may be more."""
    if isinstance(old, dict):
        return isinstance(new, dict) and all(name in new and covers(new[name], value) for name, value in old.items())
    if isinstance(old, list):
        return isinstance(new, list) and len(new) == len(old) and all(map(covers, new, old))
    return bool(new == old)


def resumed() -> Group:
    """A worker of today that takes over the old state."""
    group = Group(REGISTRY, "record")
    rows = lines("state")
    for shard in range(SHARDS):
        group.add(shard, [(b64decode(one["key"]), b64decode(one["row"])) for one in rows if one["shard"] == shard])
    return group


# -- published -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("topic", SCHEMA_OF)
def test_old_records_fit_the_schemas(topic: str) -> None:
    schema = SCHEMAS[SCHEMA_OF[topic]]
    if topic == "profiles.analytics":
        schema = {"$ref": "#/$defs/reduced", "$defs": schema["$defs"]}
    known = list(records(topic))
    assert known
    for record in known:
        Draft202012Validator(schema).validate(record)


def test_old_touchpoints_fit_the_schema_and_are_read() -> None:
    reader = Reader(REGISTRY)
    for line in lines("touchpoints"):
        (found,) = reader.read(json.dumps(line).encode(), None)
        ids = [one["value"] for one in line["data"].get("identifiers", ())]
        assert isinstance(found, Touchpoint) == ("L-2" not in ids), "two cards at once were refused then, too"
        Draft202012Validator(SCHEMAS["touchpoint"]).validate(line)


@pytest.mark.parametrize("old", lines("schemas"), ids=lambda old: f"{old['schema']}:{old['place']}")
def test_schemas_keep_their_members_and_words_and_ask_for_no_more(old: dict[str, Any]) -> None:
    known = {one["place"]: one for one in promises(old["schema"], SCHEMAS[old["schema"]])}
    new = known[old["place"]]
    assert set(old["members"]) <= set(new["members"]), "consumers look for these"
    assert set(old["words"]) <= set(new["words"])
    assert set(new["required"]) <= set(old["required"]), "old records have no more"


# -- kept ------------------------------------------------------------------------------------------------------------


def test_old_state_says_what_it_said() -> None:
    active = {one["profile_id"]: one for one in records("profiles") if one["status"] == "active"}
    compared = set()
    for person in persons(resumed()):
        if person.profile_id in active:
            old = {name: part for name, part in active[person.profile_id].items() if name not in NOT_COMPARED}
            del old["lineage"]["policy"]
            new = {"profile_id": person.profile_id, "status": "active"}
            new |= view(person, parse(active[person.profile_id]["as_of"]), REGISTRY, None).blocks
            assert covers(new, old)
            compared.add(person.profile_id)
    assert compared == active.keys()


def persons(group: Group) -> Iterator[Person]:
    for shard in map(group.shard, group.shards):
        for members in shard.roots.clusters.values():
            for ids in grouping(members, shard.fragment, REGISTRY).groups:
                fragments = [one for name in ids.anchors if (one := shard.fragment(name)) is not None]
                yield Person(
                    ids.ids, fragments, REGISTRY.profile_id(ids.owner), ids.shared, ids.oversize, ids.conflicts
                )


def test_a_worker_goes_on_where_the_old_one_stopped() -> None:
    group = resumed()
    cookie = Id("cookie:other")
    time = parse("2026-03-09T00:00:00Z")
    group.touch(0, Touchpoint("new", "web/shop", "web", "page.viewed", time, time, (cookie,), Data()))
    outputs = group.drain(time, time).outputs
    (old,) = (one for one in records("profiles") if one["profile_id"] == REGISTRY.profile_id(cookie))
    (new,) = (
        json.loads(one.value or b"") for one in outputs if one.key == old["profile_id"] and one.topic == "profiles"
    )
    assert new["revision"] == old["revision"] + 1
    assert new["lineage"]["touchpoints"] == old["lineage"]["touchpoints"] + 1


@pytest.mark.parametrize("line", lines("mail"), ids=lambda line: str(line["type"]))
def test_old_mail_is_read(line: dict[str, Any]) -> None:
    assert type(mail.decode(b64decode(line["message"]))).__name__ == line["type"]


def test_old_positions_and_reports_of_workers_are_read() -> None:
    rows = {line["what"]: b64decode(line["row"]) for line in lines("shell")}
    position, report = state.decode_position(rows["position"]), clock.decode_report(rows["report"])
    assert (position.touchpoints, position.mail, position.now, position.received) == (10, 20, 5, 4)
    assert (report.shard, report.received, report.end, report.levels) == (1, 4, True, [4, 4])


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
def test_a_row_that_ends_before_newer_members_is_read(struct: type[msgspec.Struct]) -> None:
    fields = msgspec.structs.fields(struct)
    required = [field for field in fields if field.required]
    assert tuple(fields[: len(required)]) == tuple(required), "new members have defaults and come last"
    whole = msgspec.msgpack.decode(msgspec.msgpack.encode(struct(*["x"] * len(required))))
    for length in range(len(required), len(fields) + 1):
        row = msgspec.msgpack.encode(whole[:length])
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(msgspec.msgpack.decode(row, type=struct))) == whole
