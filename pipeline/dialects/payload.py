"""From bytes to JSON values: exact numbers, bounded depth, no text that cannot be written again.

Depth is bounded before decoding, so that the same bytes are refused whatever calls this. A lone surrogate (clients cut
text in the middle of a pair) becomes U+FFFD instead of costing the event.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from decimal import Decimal
from typing import Any, Final

import msgspec

from pipeline.core.normal import encodable
from pipeline.dialects.refused import NOT_JSON, TOO_DEEP, Refused, bad_field

DEPTH_MAX: Final = 64
_STRING: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_NO_BRACKET: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")
_INNERMOST: Final = re.compile(rb"\[\]|\{\}")
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_BOM: Final = b"\xef\xbb\xbf"


def bare(value: bytes) -> bytes:
    """Without a Confluent wire prefix (0x00 and a schema id of 4 bytes) and a byte order mark."""
    if value[:1] == b"\0" and len(value) > 5:
        value = value[5:]
    return value.removeprefix(_BOM)


def too_deep(raw: bytes) -> bool:
    """Whether arrays and objects are nested deeper than DEPTH_MAX. Counts brackets before it looks closer."""
    if raw.count(b"{") + raw.count(b"[") <= DEPTH_MAX:
        return False
    brackets = _STRING.sub(b"", raw).translate(None, _NO_BRACKET)
    for _ in range(DEPTH_MAX):
        outer = _INNERMOST.sub(b"", brackets)
        if len(outer) == len(brackets):
            return False
        brackets = outer
    return bool(brackets)


def parse(raw: bytes) -> Any:
    """JSON value; numbers that are not whole are Decimal. Refused: not_json, too_deep, bad_field."""
    if too_deep(raw):
        raise Refused(TOO_DEEP, f"nested deeper than {DEPTH_MAX}")
    try:
        return _decode(raw)
    except RecursionError:
        raise Refused(TOO_DEEP, f"nested deeper than {DEPTH_MAX}") from None
    except ArithmeticError:
        raise bad_field("a number", "out of range") from None
    except msgspec.ValidationError as error:
        raise Refused("bad_field", str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if not _SURROGATE.search(raw):
            raise Refused(NOT_JSON, str(error).partition(": invalid start byte")[0]) from None
    return _with_surrogates(raw)


def _with_surrogates(raw: bytes) -> Any:
    try:
        return _encodable(json.loads(raw.decode(), parse_float=Decimal, parse_constant=_no_number))
    except (ValueError, ArithmeticError):
        raise Refused(NOT_JSON, "JSON is malformed") from None


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, list):
        return [_encodable(one) for one in value]
    if isinstance(value, dict):
        return {encodable(key): _encodable(one) for key, one in value.items()}
    return value


_decode: Final = msgspec.json.Decoder(float_hook=Decimal).decode


def parse_base64(text: str) -> Any:
    """The JSON value in base64 or base64url, padded or not."""
    try:
        raw = base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise Refused(NOT_JSON, "neither base64 nor base64url") from None
    return parse(raw)


def plain(value: Any) -> Any:
    """The value with Decimal as float: what traits are kept as."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    return value
