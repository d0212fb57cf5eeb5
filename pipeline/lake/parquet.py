"""Parquet in and out.

Out: one file a topic, one row a record, typed columns. In: one record a row, as bytes or text in the column `value`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.lake.columns import columns, row

ROWS = 50_000
"""Rows of a row group."""


def write(topic: str, records: Iterable[bytes], path: Path) -> None:
    """Writes the JSON records of a topic as a Parquet file. Raises ValueError for a member without a column."""
    rows = (row(msgspec.json.decode(record), topic) for record in records)
    with pq.ParquetWriter(path, columns(topic), compression="zstd") as writer:
        writer.write_table(table(topic, list(islice(rows, ROWS))))
        while some := list(islice(rows, ROWS)):
            writer.write_table(table(topic, some))


def table(topic: str, rows: list[dict[str, Any]]) -> pa.Table:
    """Rows as `columns.row` makes them."""
    return pa.Table.from_pylist(rows, columns(topic))


def records(path: Path) -> Iterator[bytes]:
    """The records in a Parquet file, row by row. Raises OSError if it is none, or has no column `value`."""
    try:
        file = pq.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise OSError(f"{path} cannot be read as Parquet: {error}") from None
    with file:
        if "value" not in file.schema_arrow.names:
            raise OSError(f"{path} has no column named value")
        for batch in file.iter_batches(columns=["value"]):
            for value in batch.column(0).to_pylist():
                yield value.encode() if isinstance(value, str) else value or b""
