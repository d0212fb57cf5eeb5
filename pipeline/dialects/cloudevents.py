"""CloudEvents 1.0: structured JSON through one typed decoder, and the slow path for what it does not take at once.

The typed decoder reads the usual event without a Python object that is not kept. What it refuses (a number where text
is expected, an explicit null, a wrong type) is read again from plain JSON: numbers become text where text is wanted,
nulls are absent members, and what is really wrong is named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from types import UnionType
from typing import Annotated, Any, Final, get_args

import msgspec

from pipeline.core import times
from pipeline.core.touchpoint import Data, RawIdentifier
from pipeline.dialects.payload import parse_base64, plain
from pipeline.dialects.refused import bad_envelope, bad_field
from pipeline.dialects.tracing import trace

_VALUE: Final = object()
_Time = Annotated[datetime, msgspec.Meta(tz=True)]


class Envelope(msgspec.Struct, gc=False):
    """The attributes that mean something here; `data` is typed."""

    specversion: str
    id: str
    source: str
    type: str
    time: _Time | None = None
    recordedtime: _Time | None = None
    data: Data | None = None
    data_base64: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None


decode: Final[Callable[[bytes], Envelope]] = msgspec.json.Decoder(Envelope).decode


class Event(msgspec.Struct, gc=False):
    """An envelope as read by the slow path. Times in microseconds."""

    id: str
    source: str
    type: str
    time: int | None
    recorded: int | None
    data: Data
    trace: str | None


def from_json(value: Mapping[str, Any]) -> Event:
    """The structured form as plain JSON -> Event."""
    version = value.get("specversion")
    if not isinstance(version, str) or not version.startswith("1."):
        raise bad_envelope("specversion: not 1.0")
    return Event(
        _attribute(value, "id"),
        _attribute(value, "source"),
        _attribute(value, "type"),
        _time(value, "time"),
        _time(value, "recordedtime"),
        _data(parse_base64(value["data_base64"]) if isinstance(value.get("data_base64"), str) else value.get("data")),
        trace(_said(value, "traceparent"), _said(value, "tracestate")),
    )


def from_headers(headers: Mapping[str, str], data: Any) -> Event:
    """Binary mode: attributes in `ce_*` headers, `data` the JSON of the value, None where there is none."""
    attributes = {name[3:]: value for name, value in headers.items() if name.startswith("ce_")}
    return from_json({"specversion": "1.0"} | attributes | {"data": data})


def is_binary(headers: Mapping[str, str]) -> bool:
    return "ce_id" in headers and "ce_source" in headers and "ce_type" in headers


def _attribute(value: Mapping[str, Any], name: str) -> str:
    found = value.get(name)
    if isinstance(found, int) and not isinstance(found, bool):
        return str(found)
    if not isinstance(found, str):
        raise bad_envelope(f"{name}: absent, or not text")
    return found


def _said(value: Mapping[str, Any], name: str) -> str | None:
    found = value.get(name)
    return found if isinstance(found, str) else None


def _time(value: Mapping[str, Any], name: str) -> int | None:
    found = value.get(name)
    if found is None:
        return None
    if not isinstance(found, str):
        raise bad_field(name, "not text")
    try:
        return times.parse(found)
    except ValueError as error:
        raise bad_field(name, str(error)) from None


def _data(value: Any) -> Data:
    if value is None:
        return Data()
    if not isinstance(value, dict):
        raise bad_field("data", "not an object")
    try:
        data = msgspec.convert(_spelled(value, Data), Data)
    except ArithmeticError:
        raise bad_field("data", "a number is out of range") from None
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$")
        raise bad_field("data" + path.rstrip("`"), reason) from None
    data.traits = plain(data.traits)
    return data


def _spelled(value: Any, type: Any) -> Any:
    """The value with numbers as text where `type` wants text, without null members."""
    members = _MEMBERS.get(type)
    if members is None:
        return _text(value, type) if type in (str, _VALUE) else value
    if isinstance(value, list):
        return [_spelled(one, type) for one in value]
    if not isinstance(value, dict):
        return value
    return {name: _spelled(one, members.get(name)) for name, one in value.items() if one is not None}


def _text(value: Any, type: Any) -> Any:
    """A whole number as text; as an identifier's value also a truth value, which is then blocked like its text."""
    if isinstance(value, bool):
        return str(value).lower() if type is _VALUE else value
    if isinstance(value, Decimal) and value.adjusted() < 40 and value == value.to_integral_value():
        return str(int(value))
    return str(value) if isinstance(value, int) else value


def _members() -> dict[Any, dict[str, Any]]:
    """Struct -> name of a member in JSON -> str, or the struct it is or lists."""
    found: dict[Any, dict[str, Any]] = {}
    open_structs: list[Any] = [Data]
    while open_structs:
        struct = open_structs.pop()
        found[struct] = {field.encode_name: _core_type(field.type) for field in msgspec.structs.fields(struct)}
        open_structs += [one for one in found[struct].values() if isinstance(one, type(msgspec.Struct))]
    found[RawIdentifier]["value"] = _VALUE
    return found


def _core_type(type: Any) -> Any:
    """`str | None` -> str, `list[Item]` -> Item."""
    if isinstance(type, UnionType) or getattr(type, "__origin__", None) is list:
        return _core_type(get_args(type)[0])
    return type


_MEMBERS: Final = _members()
