"""Parquet in and out.

Out: one file a topic. The members of its records that are text, numbers, booleans or times are columns of that type;
members with members of their own are JSON text. In: one record a row, as bytes or text in the column `value`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core import times

ROWS = 50_000
"""Rows of a row group."""

_TIME = pa.timestamp("us", tz="UTC")
_TEXT = pa.string()
_IDENTITIES = {
    "type": _TEXT, "value": _TEXT, "profile_id": _TEXT, "since": _TIME, "shared": pa.bool_(), "key": _TEXT,
}  # fmt: skip
_PROFILES = {
    "profile_id": _TEXT, "revision": pa.int64(), "status": _TEXT, "merged_into": _TEXT, "created_at": _TIME,
    "updated_at": _TIME, "as_of": _TIME, "identity": _TEXT, "identifiers": _TEXT, "traits": _TEXT, "consents": _TEXT,
    "commerce": _TEXT, "preferences": _TEXT, "engagement": _TEXT, "carts": _TEXT, "wishlist": _TEXT, "lists": _TEXT,
    "attribution": _TEXT, "segments": _TEXT, "store": _TEXT, "triggers": _TEXT, "lineage": _TEXT, "cut": _TEXT,
    "key": _TEXT,
}  # fmt: skip
_CHANGES = {
    "profile_id": _TEXT, "revision": pa.int64(), "kind": _TEXT, "changed": _TEXT, "cause": _TEXT, "time": _TIME,
    "merged_from": _TEXT, "split_into": _TEXT, "erased": _TEXT,
}  # fmt: skip
_TRIGGERS = {
    "trigger_id": _TEXT, "episode_id": _TEXT, "family": _TEXT, "step": pa.int64(), "status": _TEXT,
    "revision": pa.int64(), "reason": _TEXT, "reasons": _TEXT, "via_link": pa.bool_(), "profile_id": _TEXT,
    "profile_revision": pa.int64(), "anchor_at": _TIME, "deadline_at": _TIME, "evaluated_at": _TIME, "fired_at": _TIME,
    "send_not_before": _TIME, "expires_at": _TIME, "addressable": pa.bool_(), "channels": _TEXT,
    "excluded_channels": _TEXT, "cart": _TEXT, "other_carts": _TEXT, "devices": _TEXT, "evidence": _TEXT,
}  # fmt: skip
_PRODUCTS = {
    "sku": _TEXT, "bought_together": _TEXT, "viewed_then_bought": _TEXT, "wished_90d": pa.int64(), "by_store": _TEXT,
    "price": _TEXT, "currency": _TEXT, "stock": _TEXT, "key": _TEXT,
}  # fmt: skip
_DEAD_LETTERS = {"reason": _TEXT, "message": _TEXT, "id": _TEXT, "source": _TEXT, "record": _TEXT}
_REPORTS = {
    "request": _TEXT, "time": _TIME, "profile_id": _TEXT, "identifiers": _TEXT, "profile": _TEXT, "facts": _TEXT,
    "triggers": _TEXT,
}  # fmt: skip

SCHEMAS = {
    topic: pa.schema(list(columns.items()))
    for topic, columns in {
        "identities": _IDENTITIES,
        "profiles": _PROFILES,
        "profile-changes": _CHANGES,
        "triggers": _TRIGGERS,
        "products": _PRODUCTS,
        "dead-letters": _DEAD_LETTERS,
        "access-reports": _REPORTS,
    }.items()
}


def write(topic: str, records: Iterable[bytes], path: Path) -> None:
    """Writes the JSON records of a topic as a Parquet file. A member without a column is an error."""
    schema = SCHEMAS[topic]
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        rows: list[dict[str, Any]] = []
        for record in records:
            rows.append(_row(msgspec.json.decode(record), schema))
            if len(rows) == ROWS:
                writer.write_table(pa.Table.from_pylist(rows, schema))
                rows = []
        writer.write_table(pa.Table.from_pylist(rows, schema))


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


def _row(record: dict[str, Any], schema: pa.Schema) -> dict[str, Any]:
    unknown = record.keys() - set(schema.names)
    assert not unknown, f"members without a column: {unknown}"
    return {name: _cell(value, schema.field(name).type) for name, value in record.items()}


def _cell(value: Any, type: pa.DataType) -> Any:
    if value is None:
        return None
    if type == _TIME:
        return times.parse(value)
    return msgspec.json.encode(value).decode() if isinstance(value, dict | list) else value
