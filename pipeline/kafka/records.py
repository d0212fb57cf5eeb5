"""Record batches whose header names are not UTF-8, which aiokafka cannot read and any producer can write.

aiokafka's compiled reader raises in the middle of such a batch, again and again: one record would stop all workers.
`install` has its fetcher use a reader that goes over such a batch once more, in Python, and replaces what is no text.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy, _DefaultRecordPy
from aiokafka.record.memory_records import _MemoryRecordsPy
from aiokafka.record.util import decode_varint


def install() -> None:
    """For all aiokafka consumers of this process."""
    module: Any = fetcher
    module.MemoryRecords = _Batches


class _Batches:
    """The batches of one answer to a fetch, as aiokafka's MemoryRecords gives them."""

    def __init__(self, data: bytes) -> None:
        self._batches: Any = _MemoryRecordsPy(data)

    def size_in_bytes(self) -> int:
        return int(self._batches.size_in_bytes())

    def has_next(self) -> bool:
        return bool(self._batches.has_next())

    def next_batch(self) -> Any:
        data = self._batches._next_slice
        batch = self._batches.next_batch()
        return _Batch(batch, data) if isinstance(batch, DefaultRecordBatch) else batch


class _Batch:
    """One batch: read by aiokafka, and by `_read` if that fails."""

    def __init__(self, batch: Any, data: memoryview) -> None:
        self._batch, self._data = batch, data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        try:
            return iter(list(self._batch))
        except UnicodeDecodeError:
            return _read(_DefaultRecordBatchPy(self._data))


def _read(batch: Any) -> Iterator[Any]:
    """The records of a batch, with U+FFFD for what is no UTF-8 in the names of headers. Record => Length Attributes
    TimestampDelta OffsetDelta Key Value Headers, numbers as varints (Kafka protocol, record batch version 2)."""
    batch._maybe_uncompress()
    data, at = bytes(batch._buffer), batch._pos
    for _ in range(batch._num_records):
        _, at = decode_varint(data, at)
        _, at = decode_varint(data, at)
        after, at = decode_varint(data, at)
        further, at = decode_varint(data, at)
        key, at = _field(data, at)
        value, at = _field(data, at)
        count, at = decode_varint(data, at)
        headers: list[tuple[str, bytes | None]] = []
        for _ in range(count):
            name, at = _field(data, at)
            content, at = _field(data, at)
            headers.append(((name or b"").decode(errors="replace"), content))
        timestamp = batch.max_timestamp if batch.timestamp_type else batch.first_timestamp + after
        yield _DefaultRecordPy(batch.base_offset + further, timestamp, batch.timestamp_type, key, value, headers)


def _field(data: bytes, at: int) -> tuple[bytes | None, int]:
    length, at = decode_varint(data, at)
    return (None, at) if length < 0 else (data[at : at + length], at + length)
