"""Fragments as rows: version and newest received time, which are compared without decoding, then the fragment."""

from __future__ import annotations

import struct
from functools import partial

import msgspec

from pipeline.core.fit import encode_within
from pipeline.core.fragment import Fragment
from pipeline.core.identifiers import Registry
from pipeline.core.rows import Rows

_PREFIX = struct.Struct(">qq")
_decode = msgspec.msgpack.Decoder(Fragment).decode


def rows_of(registry: Registry, *, durable: bool) -> Rows[Fragment]:
    """Empty rows for fragments, within the policy's bound."""
    encode = partial(encode_fragment, most=registry.policy.bounds.fragment_bytes)
    return Rows(encode, decode_fragment, registry.key, durable=durable)


def encode_fragment(fragment: Fragment, most: int) -> bytes:
    """A fragment's row, the fragment in `most` bytes."""
    return _PREFIX.pack(fragment.version, fragment.received) + encode_within(fragment, most)


def decode_fragment(row: bytes) -> Fragment:
    return _decode(memoryview(row)[_PREFIX.size :])


def version_of(row: bytes | None) -> int:
    """-1 where there is no row."""
    return -1 if row is None else int(_PREFIX.unpack_from(row)[0])


def received_before(rows: Rows[Fragment], time: int) -> list[Fragment]:
    """Fragments with touchpoints of which the newest was received before a time."""
    hot = [fragment for fragment in rows.decoded() if fragment.received < time]
    cold = [decode_fragment(row) for row in rows.encoded_only() if 0 < _PREFIX.unpack_from(row)[1] < time]
    return [fragment for fragment in (*hot, *cold) if fragment.received]
