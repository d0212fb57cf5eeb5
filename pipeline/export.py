"""`selvedge export`: the output topics, or a replay's directory, as a tree of typed Parquet files.

It takes over what came since the last time and ends at what is committed now. Memory holds one batch of records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from pipeline.lake.columns import COMPACTED
from pipeline.lake.tree import TOPICS, Record, Tree

if TYPE_CHECKING:
    from pipeline.settings import Settings

BATCH: Final = 50_000

Progress = Callable[[str, int], None]
"""Takes a topic and how many records of it were taken over."""


def from_topics(settings: Settings, directory: Path, progress: Progress) -> dict[str, int]:
    """How many records of each topic were taken over. Raises KafkaException for what is not passing, OtherSource,
    ValueError for records of a newer version."""
    from pipeline.kafka.look import since

    tree = Tree(directory, f"topics {settings.prefix}.*")
    taken = dict.fromkeys(TOPICS, 0)
    for topic in TOPICS:
        records = since(settings, topic, tree.positions[topic])
        for batch in _batches(map(Record._make, records)):
            taken[topic] += tree.add(topic, batch)
            tree.commit()
            progress(topic, taken[topic])
    tree.commit()
    return taken


def from_replay(source: Path, directory: Path, progress: Progress) -> dict[str, int]:
    """The same from what `replay` wrote as JSON lines. Raises OSError where a file is missing."""
    tree = Tree(directory, f"replay {source.resolve()}")
    taken = dict.fromkeys(TOPICS, 0)
    for topic in TOPICS:
        file = source / f"{topic}.jsonl"
        if topic in COMPACTED:
            taken[topic] = tree.add(topic, _states(file), whole=True)
        else:
            lines = islice(_lines(file), tree.positions[topic].get("0", 0), None)
            for batch in _batches(lines):
                taken[topic] += tree.add(topic, batch)
                tree.commit()
        progress(topic, taken[topic])
    tree.commit()
    return taken


def _lines(file: Path) -> Iterator[Record]:
    with file.open("rb") as lines:
        for number, line in enumerate(lines):
            yield Record("0", number, "", line)


def _states(file: Path) -> Iterator[Record]:
    """Rows of a compacted topic: their member `key` is the topic's key."""
    for one in _lines(file):
        value = msgspec.json.decode(one.value or b"{}")
        key = value.pop("key")
        yield one._replace(key=key, value=msgspec.json.encode(value))


def _batches(records: Iterable[Record]) -> Iterator[list[Record]]:
    records = iter(records)
    while batch := list(islice(records, BATCH)):
        yield batch
