"""How batches stand in a partition's log on the broker's disk: read from its files, as no client tells it."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

_HEADER = struct.Struct(">qiibih")
_LENGTH_FROM = 12
_CODEC, _CONTROL = 0x07, 0x20
CODECS = {0: "none", 1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}


def codecs(topic: str) -> Iterator[str]:
    """The codec of each batch of records of a topic of a broker of ours, transaction markers left out."""
    for file in Path(tempfile.gettempdir()).glob(f"selvedge-kafka-*/**/{topic}-*/*.log"):
        yield from _codecs(file.read_bytes())


def _codecs(log: bytes) -> Iterator[str]:
    at = 0
    while at + _HEADER.size <= len(log):
        _, length, _, magic, _, attributes = _HEADER.unpack_from(log, at)
        if magic != 2:
            return
        if not attributes & _CONTROL:
            yield CODECS[attributes & _CODEC]
        at += _LENGTH_FROM + length
