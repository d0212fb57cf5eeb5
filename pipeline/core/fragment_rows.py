"""Fragments as rows: the version, which is compared without decoding, then the fragment."""

from __future__ import annotations

import struct
from functools import partial

import msgspec

from pipeline.core.fit import encode_within
from pipeline.core.fragment import Fragment
from pipeline.core.identifiers import Registry
from pipeline.core.rows import Rows

_VERSION = struct.Struct(">q")
_decode = msgspec.msgpack.Decoder(Fragment).decode


def rows_of(registry: Registry, *, durable: bool) -> Rows[Fragment]:
    """Empty rows for fragments, within the policy's bound."""
    encode = partial(encode_fragment, most=registry.policy.bounds.fragment_bytes)
    return Rows(encode, decode_fragment, registry.key, durable=durable)


def encode_fragment(fragment: Fragment, most: int) -> bytes:
    """A fragment's row: its version, then the fragment in `most` bytes."""
    return _VERSION.pack(fragment.version) + encode_within(fragment, most)


def decode_fragment(row: bytes) -> Fragment:
    return _decode(memoryview(row)[_VERSION.size :])


def version_of(row: bytes | None) -> int:
    """-1 where there is no row."""
    return -1 if row is None else int(_VERSION.unpack_from(row)[0])
