"""The lake: typed, partitioned Parquet that DuckDB and pandas read, that goes on where it stopped and forgets who was
erased."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from pipeline.core import times
from pipeline.core.identifiers import Registry
from pipeline.core.policy import load
from pipeline.export import from_replay
from pipeline.lake.columns import SCHEMA_OF, TIME, columns, row
from pipeline.lake.parquet import table
from pipeline.lake.tree import TOPICS, OtherSource, Record, Tree
from pipeline.replay import replay
from pipeline.sample import generate

PROFILE = "117f3af5-1f7b-54bf-af0f-16db79a859ed"


def quiet(_: str, __: int) -> None: ...


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("replayed")
    lines = [record.value for record in generate(seed=3, shoppers=120, touchpoints=1200)]
    (directory / "shop.jsonl").write_bytes(b"\n".join(lines))
    replay([directory / "shop.jsonl"], Registry(load("")), directory)
    return directory


@pytest.fixture(scope="module")
def lake(replayed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("lake")
    from_replay(replayed, directory, quiet)
    return directory


def lines(directory: Path, topic: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / f"{topic}.jsonl").read_bytes().splitlines()]


def ask(lake: Path, topic: str, what: str) -> Any:
    files = f"read_parquet('{lake}/{topic}/*/*.parquet', hive_partitioning = true, union_by_name = true)"
    return duckdb.sql(f"select {what} from {files}").fetchall()


def as_json(value: Any) -> Any:
    """A cell of a table as it stood in its record."""
    if isinstance(value, dict):
        return {name: as_json(one) for name, one in value.items() if one is not None}
    if isinstance(value, list):
        pairs = bool(value) and all(isinstance(one, tuple) for one in value)
        return {name: as_json(one) for name, one in value} if pairs else [as_json(one) for one in value]
    if hasattr(value, "timestamp"):
        return times.text(round(value.timestamp() * times.SECOND))
    return value


def comparable(value: Any) -> Any:
    """A record's member without what columns do not tell apart: absent and null, a number and its text, {} and []."""
    if isinstance(value, dict):
        return {name: comparable(one) for name, one in value.items() if one is not None} or []
    if isinstance(value, list):
        return [comparable(one) for one in value]
    try:
        return float(value) if not isinstance(value, bool) else value
    except (TypeError, ValueError):
        return value


@pytest.mark.parametrize("topic", sorted(set(SCHEMA_OF) - {"access-reports"}))
def test_rows_hold_what_their_records_hold(replayed: Path, topic: str) -> None:
    records = lines(replayed, topic)[:400]
    rows = table(topic, [row(record, topic) for record in records]).to_pylist()
    for record, made in zip(records, rows, strict=True):
        kept = {name: as_json(value) for name, value in made.items() if value is not None}
        assert comparable(kept) == comparable(record)


def test_times_money_and_lists_have_types() -> None:
    profile = columns("profiles")
    assert profile.field("created_at").type == TIME
    assert str(profile.field("commerce").type.field("ltv").type).startswith("decimal128")
    assert str(profile.field("identifiers").type.value_type.field("sources").type).startswith("list<")
    assert columns("triggers").field("deadline_at").type == TIME


def test_a_member_without_a_column_is_named() -> None:
    with pytest.raises(ValueError, match="no column for other"):
        row({"other": 1}, "identities")


def test_duckdb_reads_everything_with_types(replayed: Path, lake: Path) -> None:
    for topic in TOPICS:
        assert ask(lake, topic, "count(*)") == [(len(lines(replayed, topic)),)]
    total = sum(Decimal(one["commerce"]["ltv"]) for one in lines(replayed, "profiles") if "commerce" in one)
    assert ask(lake, "profiles", "sum(commerce.ltv)") == [(total,)]
    days = {one["evaluated_at"][:10] for one in lines(replayed, "triggers")}
    assert {str(day) for (day,) in ask(lake, "triggers", "distinct day")} == days
    assert ask(lake, "triggers", "count(*) filter (where deadline_at > evaluated_at)") == [(0,)]


def test_pandas_reads_everything(replayed: Path, lake: Path) -> None:
    for topic in TOPICS:
        assert len(pd.read_parquet(lake / topic)) == len(lines(replayed, topic))
    assert str(pd.read_parquet(lake / "profiles")["updated_at"].dtype).startswith("datetime64")


def test_an_export_goes_on_where_it_stopped(replayed: Path, lake: Path, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    begun.mkdir()
    for topic in TOPICS:
        half = (replayed / f"{topic}.jsonl").read_bytes().splitlines(keepends=True)
        (begun / f"{topic}.jsonl").write_bytes(b"".join(half[: len(half) // 2]))
    from_replay(begun, tmp_path / "lake", quiet)
    for topic in TOPICS:
        (begun / f"{topic}.jsonl").write_bytes((replayed / f"{topic}.jsonl").read_bytes())
    taken = from_replay(begun, tmp_path / "lake", quiet)
    changes = len(lines(replayed, "profile-changes"))
    assert taken["profile-changes"] == changes - changes // 2
    for topic in TOPICS:
        assert sorted(map(str, ask(tmp_path / "lake", topic, "*"))) == sorted(map(str, ask(lake, topic, "*")))
    assert from_replay(begun, tmp_path / "lake", quiet)["triggers"] == 0


def identity(value: str) -> bytes:
    row = {"type": "cookie", "value": value, "profile_id": PROFILE, "since": None, "shared": False}
    return json.dumps(row).encode()


def test_who_is_erased_leaves_the_lake(tmp_path: Path) -> None:
    tree = Tree(tmp_path, "topics")
    tree.add("identities", [Record("0", n, f"cookie:{n}", identity(f"{n}")) for n in range(40)])
    tree.commit()
    again = Tree(tmp_path, "topics")
    again.add("identities", [Record("0", 40, "cookie:7", None), Record("0", 41, "cookie:8", identity("eight"))])
    again.commit()
    assert Tree(tmp_path, "topics").positions["identities"] == {"0": 42}
    found = dict(ask(tmp_path, "identities", "key, value"))
    assert len(found) == 39 and "cookie:7" not in found and found["cookie:8"] == "eight"
    assert not list(tmp_path.rglob("*.part"))


def test_what_was_cut_off_is_written_over_itself(tmp_path: Path) -> None:
    change = {"profile_id": PROFILE, "kind": "created", "changed": [], "cause": "e", "time": "2026-03-01T00:00:00Z"}
    records = [Record("3", n, PROFILE, json.dumps(change | {"revision": n + 1}).encode()) for n in range(5)]
    Tree(tmp_path, "topics").add("profile-changes", records[:3])
    tree = Tree(tmp_path, "topics")
    tree.add("profile-changes", records)
    tree.commit()
    assert sorted(ask(tmp_path, "profile-changes", "revision")) == [(n,) for n in range(1, 6)]


def test_a_directory_of_another_source_is_refused(lake: Path) -> None:
    with pytest.raises(OtherSource, match="was filled from replay"):
        Tree(lake, "topics selvedge.*")
