"""replay of files: the same result for any number of shards, and whether or not documents are published on the way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.core.identifiers import Registry
from pipeline.core.policy import load
from pipeline.core.times import parse
from pipeline.lake.columns import SCHEMA_OF
from pipeline.replay import ON_REQUEST, replay
from pipeline.sample import generate
from tests.published import NOT_COMPARED


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shop") / "shop.jsonl"
    records = generate(seed=7, shoppers=150, touchpoints=2000)
    path.write_bytes(b"".join(record.value + b"\n" for record in records))
    return path


def run(paths: list[Path], directory: Path, shards: int = 1, **more: Any) -> Path:
    replay(paths, Registry(load(""), shards=shards), directory, **more)
    return directory


def rows(directory: Path, topic: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / f"{topic}.jsonl").read_bytes().splitlines()]


def equal_parts(directory: Path) -> dict[str, Any]:
    """What equal runs agree in."""
    profiles = [row for row in rows(directory, "profiles") if row["status"] == "active"]
    latest = {row["trigger_id"]: row for row in rows(directory, "triggers")}
    compared = ("status", "reason", "family", "step", "deadline_at")
    return {
        "identities": rows(directory, "identities"),
        "profiles": [{name: value for name, value in row.items() if name not in NOT_COMPARED} for row in profiles],
        "triggers": {id: [row[name] for name in compared] for id, row in latest.items()},
        "dead letters": rows(directory, "dead-letters"),
    }


@pytest.mark.parametrize("shards", [3, 8])
def test_the_number_of_shards_does_not_show(shop: Path, tmp_path: Path, shards: int) -> None:
    one, many = run([shop], tmp_path / "one"), run([shop], tmp_path / "many", shards)
    assert equal_parts(one) == equal_parts(many)
    assert equal_parts(one)["triggers"], "the shop has triggers to compare"


def test_the_same_input_gives_the_same_bytes(shop: Path, tmp_path: Path) -> None:
    first, second = run([shop], tmp_path / "first", 3), run([shop], tmp_path / "second", 3)
    names = sorted(path.name for path in first.iterdir())
    assert [(first / name).read_bytes() for name in names] == [(second / name).read_bytes() for name in names]


def test_publishing_once_at_the_end_changes_neither_persons_nor_triggers(shop: Path, tmp_path: Path) -> None:
    full, final = run([shop], tmp_path / "full"), run([shop], tmp_path / "final", final=True)
    assert equal_parts(full) == equal_parts(final)
    assert not (final / "profile-changes.jsonl").exists()


def test_files_are_merged_by_received_time(shop: Path, tmp_path: Path) -> None:
    lines = shop.read_bytes().splitlines(keepends=True)
    odd, even = tmp_path / "odd.jsonl", tmp_path / "even.jsonl"
    good = [line for line in lines if b"recordedtime" in line]
    odd.write_bytes(b"".join(good[1::2]))
    even.write_bytes(b"".join(good[::2]))
    whole = tmp_path / "whole.jsonl"
    whole.write_bytes(b"".join(good))
    assert equal_parts(run([odd, even], tmp_path / "two")) == equal_parts(run([whole], tmp_path / "one"))


def test_records_after_the_end_are_not_read(shop: Path, tmp_path: Path) -> None:
    until = parse("2026-03-13T00:00:00Z")
    profiles = rows(run([shop], tmp_path / "part", until=until), "profiles")
    assert profiles
    assert all(parse(row["updated_at"]) <= until for row in profiles if row["status"] == "active")


def test_a_dead_letter_has_the_reason_and_the_original_text(tmp_path: Path) -> None:
    file = tmp_path / "in.jsonl"
    file.write_bytes(b"\xff\x00 garbage\n")
    letters = rows(run([file], tmp_path / "out"), "dead-letters")
    assert letters == [
        {
            "reason": "not_json",
            "message": letters[0]["message"],
            "id": None,
            "source": None,
            "record": "\\xff\x00 garbage",
        }
    ]


def test_parquet_has_the_same_records_as_json_lines(shop: Path, tmp_path: Path) -> None:
    lines = run([shop], tmp_path / "out")
    counts = {topic: len(rows(lines, topic)) for topic in SCHEMA_OF if topic != ON_REQUEST}
    tables = run([shop], lines, parquet=True)
    assert {topic: pq.read_table(tables / f"{topic}.parquet").num_rows for topic in counts} == counts
    assert not list(tables.glob("*.jsonl")), "what the first run left is gone"
    profiles = pq.read_table(tables / "profiles.parquet", filters=[("status", "=", "active")]).to_pylist()
    assert profiles[0]["created_at"].year == 2026
    assert profiles[0]["identity"]["size"] >= 1


def test_parquet_is_read_like_json_lines(shop: Path, tmp_path: Path) -> None:
    lines = shop.read_bytes().splitlines()
    table = tmp_path / "shop.parquet"
    pq.write_table(pa.table({"value": pa.array(lines, pa.binary())}), table)
    assert equal_parts(run([table], tmp_path / "parquet")) == equal_parts(run([shop], tmp_path / "lines"))


@pytest.mark.parametrize("content", ["table", "text"])
def test_a_parquet_file_without_records_is_named(tmp_path: Path, content: str) -> None:
    file = tmp_path / "other.parquet"
    if content == "table":
        pq.write_table(pa.table({"name": ["x"]}), file)
    else:
        file.write_text("no parquet at all")
    with pytest.raises(OSError, match=r"other\.parquet"):
        run([file], tmp_path / "out")


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_reduced_profiles_are_files_of_their_own(shop: Path, tmp_path: Path, ending: str) -> None:
    policy = load('[publish.reduced]\nanalytics = ["commerce", "engagement"]')
    for _ in range(2):
        replay([shop], Registry(policy), tmp_path, parquet=ending == "parquet")
    assert (tmp_path / f"profiles.analytics.{ending}").exists()
    replay([shop], Registry(load("")), tmp_path)
    assert not list(tmp_path.glob("profiles.*.*")), "what an earlier run left is removed"
