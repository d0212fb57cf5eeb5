"""The effective policy as TOML: every key written out, tables inline, so that it can be read back."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any, Final

import msgspec

from pipeline.core import times
from pipeline.core.policy_sections import Duration
from pipeline.core.policy_values import Hours, hours_text

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


def written(policy: msgspec.Struct) -> str:
    """One table for each section."""
    return "\n".join(
        f"[{section}]\n" + "".join(f"{key} = {value}\n" for key, value in keys_of(getattr(policy, section)))
        for section in policy.__struct_fields__
    )


def value_of(section: msgspec.Struct, key: str) -> str:
    """One value as TOML."""
    return dict(keys_of(section))[key]


def keys_of(section: msgspec.Struct) -> list[tuple[str, str]]:
    """Each key with its value as TOML."""
    return [
        (field.name, _value(getattr(section, field.name), _is_duration(field.type)))
        for field in msgspec.structs.fields(section)
    ]


def _is_duration(type: Any) -> bool:
    return type == Duration or any(_is_duration(part) for part in getattr(type, "__args__", ()) if part is not int)


def _value(value: Any, duration: bool = False) -> str:
    if value is None:
        return '""'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f'"{times.duration_text(value)}"' if duration else str(value)
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Hours):
        return f'"{hours_text(value)}"'
    if isinstance(value, msgspec.Struct):
        return _table(dict(keys_of(value)))
    if isinstance(value, dict):
        return _table({key: _value(one) for key, one in value.items()})
    return "[" + ", ".join(_value(one, duration) for one in value) + "]"


def _table(rows: dict[str, str]) -> str:
    if not rows:
        return "{}"
    return "{ " + ", ".join(f"{_key(key)} = {value}" for key, value in rows.items()) + " }"


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _value(key)
