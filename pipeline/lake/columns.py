"""Typed columns for the records of a topic, made from the JSON Schema of its values.

Times are timestamps, money is decimal, lists are lists, objects with named members are structs, others are maps; what
may be anything (the value of a trait) is JSON text. So there is one word on what a record holds: its schema.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from pipeline.core import times

SCHEMA_OF: Final = {
    "profiles": "profile",
    "identities": "identity",
    "products": "product",
    "profile-changes": "profile-change",
    "triggers": "trigger",
    "dead-letters": "dead-letter-row",
    "access-reports": "access-report",
}
COMPACTED: Final = ("profiles", "identities", "products")
KEY: Final = "key"
"""The column with the topic key of a record of a compacted topic."""
TIME: Final = pa.timestamp("us", tz="UTC")
MONEY: Final = pa.decimal128(24, 4)
TEXT: Final = pa.string()
_PLAIN: Final = {"integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_(), "string": TEXT}
_SOURCE: Final = Path(__file__).parents[2] / "schemas"
_INSTALLED: Final = Path(sys.prefix) / "share" / "selvedge" / "schemas"

Schema = Mapping[str, Any]


@cache
def json_schema(topic: str) -> Schema:
    """The JSON Schema of a topic's values."""
    directory = _SOURCE if _SOURCE.is_dir() else _INSTALLED
    found: Schema = json.loads((directory / f"{SCHEMA_OF[_whole(topic)]}.schema.json").read_text("utf-8"))
    return found


@cache
def columns(topic: str) -> pa.Schema:
    """The columns of a topic: the members of its records, and the key where only the newest record of a key counts."""
    root = json_schema(topic)
    members: dict[str, Schema] = {}
    for one in root.get("oneOf", [root]):
        for name, member in _resolved(one, root)["properties"].items():
            members.setdefault(name, member)
    fields = [pa.field(name, _type(member, root)) for name, member in members.items()]
    return pa.schema([*fields, pa.field(KEY, TEXT)] if _whole(topic) in COMPACTED else fields)


def row(record: Mapping[str, Any], topic: str) -> dict[str, Any]:
    """A record as a row of its columns. Raises ValueError where there is none for a member."""
    schema = columns(topic)
    unknown = record.keys() - set(schema.names)
    if unknown:
        raise ValueError(f"{topic}: no column for {', '.join(sorted(unknown))}: it was written by a newer version")
    return {name: _cell(value, schema.field(name).type) for name, value in record.items()}


def _whole(topic: str) -> str:
    """The topic that a reduced one is taken from."""
    return topic.partition(".")[0]


def _resolved(schema: Schema, root: Schema) -> Schema:
    while "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    return schema


def _type(schema: Schema, root: Schema) -> pa.DataType:
    if schema.get("$ref") == "#/$defs/money":
        return MONEY
    schema = _resolved(schema, root)
    if "oneOf" in schema:
        return _type(next(one for one in schema["oneOf"] if one.get("type") != "null"), root)
    kind = schema.get("type", "string" if {"enum", "const"} & schema.keys() else None)
    if isinstance(kind, list):
        kind = next(one for one in kind if one != "null")
    if kind == "string":
        return TIME if schema.get("format") == "date-time" else _constant(schema)
    if kind == "array":
        return pa.list_(_type(schema["items"], root)) if "items" in schema else TEXT
    if kind == "object":
        return _object(schema, root)
    return _PLAIN.get(str(kind), TEXT)


def _constant(schema: Schema) -> pa.DataType:
    return pa.bool_() if isinstance(schema.get("const"), bool) else TEXT


def _object(schema: Schema, root: Schema) -> pa.DataType:
    members = schema.get("properties")
    if members:
        return pa.struct([pa.field(name, _type(member, root)) for name, member in members.items()])
    others = schema.get("additionalProperties")
    return pa.map_(TEXT, _type(others, root)) if isinstance(others, dict) and others else TEXT


def _cell(value: Any, type: pa.DataType) -> Any:
    if value is None:
        return None
    if pa.types.is_timestamp(type):
        return times.parse(value)
    if pa.types.is_decimal(type):
        return Decimal(value)
    if pa.types.is_list(type):
        return [_cell(one, type.value_type) for one in value]
    if pa.types.is_map(type):
        return [(name, _cell(one, type.item_type)) for name, one in value.items()]
    if pa.types.is_struct(type):
        return {name: _cell(one, type.field(name).type) for name, one in value.items()}
    if pa.types.is_string(type) and not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return value
