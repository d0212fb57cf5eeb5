"""Copies of a deployment's topics as files, and back into topics where nothing is yet.

A partition is a file of records in their order. Offsets differ after a restore (transaction markers and compacted
records are gone), so the position rows of the state are moved along; claims are left out. To be of one moment a backup
wants the workers stopped: a member of their group or a claim in the state says that one is running, and then it is
refused. While the group rebalances nobody may have a claim.
"""

from __future__ import annotations

import gzip
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from pipeline.core import times
from pipeline.kafka import clients, topics
from pipeline.kafka.dead_letters import Headers
from pipeline.kafka.state import CLAIM, POSITION, decode_position, encode_position
from pipeline.settings import Settings

FORMAT = 1
BATCH, POLL_S, PATIENCE_S = 5_000, 0.5, 60.0
LENGTH_BYTES = 4
RECEIVED = "ce_recordedtime"
Tell = Callable[[str], None]


class BackupFailed(Exception):
    """The message is one line that says why, and what to do."""


class Record(msgspec.Struct, array_like=True):
    """timestamp: milliseconds, as the broker had it."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]] = []


class Manifest(msgspec.Struct):
    """shards: of the deployment. records: topic -> number of records, to check that all files are there."""

    format: int
    prefix: str
    shards: int
    records: dict[str, int]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Record)


def backup(settings: Settings, directory: Path, tell: Tell) -> Manifest:
    """Everything committed on all topics. Raises BackupFailed and TopicsWrong."""
    if directory.exists() and any(directory.iterdir()):
        raise BackupFailed(f"{directory} is not empty; choose another directory")
    shards = topics.check(settings)
    _check_stopped(settings, shards)
    counts: dict[str, int] = {}
    for topic in topics.table(settings):
        count = 0
        for partition in range(topic.partitions(shards)):
            path = _file(directory, topic.name, partition)
            path.parent.mkdir(parents=True, exist_ok=True)
            with gzip.open(path, "wb", compresslevel=1) as out:
                for record in _read(settings, settings.topic(topic.name), partition):
                    _write(out, record)
                    count += 1
        counts[topic.name] = count
        tell(f"{settings.topic(topic.name)}: {count:,} records")
    manifest = Manifest(FORMAT, settings.prefix, shards, counts)
    (directory / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    return manifest


def restore(settings: Settings, directory: Path, tell: Tell) -> Manifest:
    """Into topics of these settings, which are made and must be empty. Raises BackupFailed and TopicsWrong."""
    manifest = _manifest(directory)
    if manifest.shards != settings.shards:
        raise BackupFailed(f"the backup has {manifest.shards} shards: set SELVEDGE_SHARDS={manifest.shards}")
    topics.apply(settings)
    _check_empty(settings)
    moved = {name: _offsets(directory, name, manifest.shards) for name in ("touchpoints", "mail")}
    for topic in topics.table(settings):
        name = settings.topic(topic.name)
        producer = clients.producer(settings, **{"delivery.report.only.error": False})
        written = _Count()
        for partition in range(topic.partitions(manifest.shards)):
            for record in _records(_file(directory, topic.name, partition)):
                if topic.name == "state" and not _kept(record, partition, moved):
                    written.skipped += 1
                    continue
                headers = _headers(record, topic.name)
                _produce(producer, name, partition, record, headers, written)
        if producer.flush(PATIENCE_S) or written.failed:
            raise BackupFailed(f"{name}: not all records could be written: {written.failed or 'no answer'}")
        if written.done + written.skipped != manifest.records[topic.name]:
            raise BackupFailed(f"{name}: the backup has not the {manifest.records[topic.name]} records it says")
        tell(f"{name}: {written.done:,} records")
    return manifest


class _Count:
    def __init__(self) -> None:
        self.done = self.skipped = 0
        self.failed = ""

    def __call__(self, error: KafkaError | None, _: object) -> None:
        if error is not None:
            self.failed = error.str()
        else:
            self.done += 1


def _file(directory: Path, topic: str, partition: int) -> Path:
    return directory / topic / f"{partition}.gz"


def _check_stopped(settings: Settings, shards: int) -> None:
    members = clients.members(settings, clients.admin(settings))
    if members:
        raise BackupFailed(
            f"group {settings.group} has {members} members: stop the workers first (a killed one is a member for "
            f"{settings.session_timeout_ms / 1000:.0f} s)"
        )
    claims: set[bytes] = set()
    for shard in range(shards):
        for record in _read(settings, settings.topic("state"), shard):
            if record.key is not None and record.key.startswith(CLAIM):
                (claims.discard if record.value is None else claims.add)(record.key)
    if claims:
        workers = ", ".join(sorted(key.removeprefix(CLAIM).decode() for key in claims))
        raise BackupFailed(
            f"workers own shards: {workers}; stop them first (one that was killed: start a worker and stop it in peace)"
        )


def _check_empty(settings: Settings) -> None:
    admin = clients.admin(settings)
    partitions = [
        (settings.topic(topic.name), n)
        for topic in topics.table(settings)
        for n in range(topic.partitions(settings.shards))
    ]
    filled = sorted({name for (name, _), end in clients.ends(admin, partitions).items() if end})
    if filled:
        raise BackupFailed(f"these topics are not empty: {', '.join(filled)}; restore into another SELVEDGE_PREFIX")


def _read(settings: Settings, topic: str, partition: int) -> Iterator[Record]:
    """All committed records of a partition up to where it ends now."""
    reader: Any = clients.committed_reader(settings)
    try:
        begin = clients.beginnings(clients.admin(settings), [(topic, partition)])[topic, partition]
        reader.assign([TopicPartition(topic, partition, begin)])
        deadline = time.monotonic() + PATIENCE_S
        while True:
            for message in reader.consume(BATCH, POLL_S):
                error = message.error()
                if error is None:
                    deadline = time.monotonic() + PATIENCE_S
                    headers = list(message.headers() or [])
                    yield Record(message.offset(), message.timestamp()[1], message.key(), message.value(), headers)
                elif error.code() == KafkaError._PARTITION_EOF:
                    return
                elif not error.retriable():
                    raise KafkaException(error)
            if time.monotonic() > deadline:
                raise BackupFailed(f"{topic}:{partition}: nothing came for {PATIENCE_S:.0f} s")
    finally:
        reader.close()


def _write(out: gzip.GzipFile, record: Record) -> None:
    encoded = _encoder.encode(record)
    out.write(len(encoded).to_bytes(LENGTH_BYTES, "big"))
    out.write(encoded)


def _records(path: Path) -> Iterator[Record]:
    try:
        with gzip.open(path, "rb") as source:
            while length := source.read(LENGTH_BYTES):
                yield _decoder.decode(source.read(int.from_bytes(length, "big")))
    except (OSError, EOFError, msgspec.DecodeError) as error:
        raise BackupFailed(f"{path} cannot be read: {type(error).__name__}") from None


def _manifest(directory: Path) -> Manifest:
    try:
        manifest = msgspec.json.decode((directory / "manifest.json").read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError):
        raise BackupFailed(f"{directory} holds no finished backup: manifest.json is missing or broken") from None
    if manifest.format != FORMAT:
        raise BackupFailed(f"{directory} has format {manifest.format}, this version reads {FORMAT}")
    return manifest


def _offsets(directory: Path, topic: str, shards: int) -> list[list[int]]:
    """For each partition the offsets its records had."""
    return [[record.offset for record in _records(_file(directory, topic, n))] for n in range(shards)]


def _kept(record: Record, shard: int, moved: dict[str, list[list[int]]]) -> bool:
    """Whether a row of the state is restored; a position row is made to fit the new offsets."""
    key = record.key or b""
    if key.startswith(CLAIM):
        return False
    if key == POSITION and record.value is not None:
        position = decode_position(record.value)
        position.touchpoints = bisect_left(moved["touchpoints"][shard], position.touchpoints)
        position.mail = bisect_left(moved["mail"][shard], position.mail)
        record.value = encode_position(position)
    return True


def _headers(record: Record, topic: str) -> Headers:
    """A touchpoint keeps the time it was received first, unless it has one of its own."""
    headers: Headers = list(record.headers)
    named = any(name == RECEIVED for name, _ in headers) or b'"recordedtime"' in (record.value or b"")
    if topic == "touchpoints" and not named and record.timestamp > 0:
        headers.append((RECEIVED, times.text(record.timestamp * times.MILLISECOND)))
    return headers


def _produce(producer: Any, topic: str, partition: int, record: Record, headers: Headers, written: _Count) -> None:
    while True:
        try:
            producer.produce(topic, record.value, record.key, partition, written, headers=headers)
            producer.poll(0)
            return
        except BufferError:
            producer.poll(POLL_S)
