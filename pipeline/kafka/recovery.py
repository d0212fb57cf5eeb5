"""Taking over shards: who owns a shard is decided by the order of claims in its state partition.

 1. Write a claim, plainly: acknowledged at once, in the log's order. A later claimer fences every earlier one that has
    not released.
 2. Read the partition read-committed up to the high watermark. Rows of an open transaction hold the reading up.
 3. At the target, or when the reading has stood still for GRACE_S: fence the owners of all unreleased claims before
    one's own (their open transactions are aborted, they can never commit again), take a new target, read on. The grace
    is for owners that have just released: a commit is acknowledged before its marker is written.
 4. If a release has come in behind one's claim, claim again: an owner's claim stands behind all earlier releases, so
    whoever remembers where it released sees every later owner.
 5. A foreign claim behind one's own means that the shard is somebody else's: `Lost`.
The caller seeks to the position row's offsets, and only then owns the shard.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, KafkaError, KafkaException, TopicPartition

from pipeline.core import times
from pipeline.kafka.clients import ANSWER_S
from pipeline.kafka.failstop import Stop
from pipeline.kafka.logs import complain
from pipeline.kafka.outside import Message, Outside, Reader, retry
from pipeline.kafka.state import CLAIM, POSITION, Position, claim_key, claimant, decode_position
from pipeline.kafka.stats import Stats
from pipeline.settings import Settings

GRACE_S = 0.3
CLOCKS_APART_S = 5.0
"""Above this the clocks of worker and broker disagree, and the operator is told."""
FENCE_S = 60.0
BATCH = 10_000
POLL_S = 0.05
SOURCES = ("touchpoints", "mail")


class Lost(Exception):
    """Another process has claimed the shard later, or the claim is not there."""


class Withdrawn(Exception):
    """The shards were revoked while they were being taken over."""


@dataclass(frozen=True)
class Kept:
    """A shard as this process released it. `memory` is the core's; `since`: an offset of the state partition before the
    release and behind all that had been committed until then."""

    memory: object
    position: Position
    since: int


@dataclass
class Shard:
    """What is known of one state partition. `at`: the next offset to read; `claims`: unreleased ones, by key; `kept`:
    the core's memory of it is good, rows are not needed."""

    number: int
    rows: dict[bytes, bytes] = field(default_factory=dict)
    position: Position | None = None
    claims: dict[bytes, int] = field(default_factory=dict)
    at: int = 0
    claim: int = -1
    begin: tuple[int, int] = (0, 0)
    """Where the logs of touchpoints and mail begin."""
    kept: bool = False
    released: bool = False
    foreign: bool = False
    overtaken: bool = False

    def apply(self, message: Message, own: bytes) -> None:
        key, value, offset = message.key(), message.value(), message.offset()
        assert key is not None, "rows have keys"
        self.at = offset + 1
        if key.startswith(CLAIM):
            self._apply_claim(key, value, offset, own)
        elif key == POSITION:
            self.position = decode_position(value) if value is not None else None
        elif value is None:
            self.rows.pop(key, None)
        else:
            self.rows[key] = value

    def _apply_claim(self, key: bytes, value: bytes | None, offset: int, own: bytes) -> None:
        self.foreign |= key != own
        if value is not None:
            self.claims[key] = offset
            return
        since = self.claims.pop(key, -1)
        self.released |= key == own
        self.overtaken |= key != own and since < self.claim < offset

    def before(self, own: bytes) -> list[bytes]:
        """Unreleased foreign claims before one's own."""
        return [key for key, offset in self.claims.items() if key != own and offset < self.claim]

    def stale(self) -> bool:
        """Memory was kept, but somebody else may have owned the shard since."""
        return self.kept and (self.foreign or not self.released)


class Recovery:
    """Takes shards over in the name of `transactional_id`; `own` is the key of its claims."""

    def __init__(self, settings: Settings, transactional_id: str, outside: Outside, stats: Stats) -> None:
        self._stats = stats
        self._claimed: set[int] = set()
        self._fenced: set[str] = set()
        self._settings = settings
        self._topic = settings.topic("state")
        self.own = claim_key(transactional_id)
        self._outside = outside

    def take(self, shards: Collection[int], kept: Mapping[int, Kept], withdrawn: threading.Event) -> dict[int, Shard]:
        """Blocks until the shards may be owned. Raises Lost, Withdrawn, Stop or KafkaException."""
        taken = self.win(shards, kept, withdrawn)
        self._check_logs(taken)
        return taken

    def win(self, shards: Collection[int], kept: Mapping[int, Kept], withdrawn: threading.Event) -> dict[int, Shard]:
        """The same for somebody who does not go on from the positions."""
        taken = {number: _from(number, kept.get(number)) for number in shards}
        self._claim(taken)
        reader = self._outside.reader()
        try:
            self._read(reader, taken, withdrawn)
        finally:
            reader.close()
        self._check(taken)
        return taken

    def release(self) -> set[int]:
        """The shards with a claim that is not released; the caller is about to."""
        claimed, self._claimed = self._claimed, set()
        return claimed

    def end(self, shards: Collection[int]) -> dict[int, int]:
        """The high watermarks of the shards' state partitions."""
        ends = self._outside.ends([(self._topic, number) for number in shards])
        return {number: ends[self._topic, number] for number in shards}

    def _claim(self, shards: Mapping[int, Shard]) -> None:
        failures: list[KafkaError] = []

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                failures.append(error)
            else:
                shards[message.partition()].claim = message.offset()
                self._compare_clocks(message)

        self._claimed |= shards.keys()
        producer = self._outside.plain()
        for number in shards:
            producer.produce(self._topic, b"1", self.own, number, delivered)
        waiting = producer.flush(self._settings.transaction_timeout_ms / 1000)
        if waiting or failures:
            reason = failures[0].str() if failures else "no answer"
            raise Stop(f"claims of shards {sorted(shards)} could not be written: {reason}")

    def _compare_clocks(self, message: Message) -> None:
        """The log's time stamp of a claim is the broker's clock of just now."""
        kind, stamped = message.timestamp()
        if kind != TIMESTAMP_LOG_APPEND_TIME:
            return
        ahead = self._outside.time_of_day() / times.SECOND - stamped / 1_000
        if abs(ahead) > CLOCKS_APART_S and abs(self._stats.clock_ahead) <= CLOCKS_APART_S:
            complain(
                f"this machine's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the broker's: "
                f"triggers fire too {'early' if ahead > 0 else 'late'} by that; set both by NTP",
                seconds=round(ahead),
            )
        self._stats.clock_ahead = ahead

    def _read(self, reader: Reader, shards: Mapping[int, Shard], withdrawn: threading.Event) -> None:
        self._assign(reader, shards)
        target, moved = self.end(shards), self._outside.monotonic()
        while True:
            if withdrawn.is_set():
                raise Withdrawn
            if self._consume(reader, shards):
                moved = self._outside.monotonic()
            there = all(shard.at >= target[number] for number, shard in shards.items())
            self._stats.recovering = {number: (shard.at, target[number]) for number, shard in shards.items()}
            if not there and self._outside.monotonic() - moved < GRACE_S:
                continue
            if self._fence(shards, open_transaction=not there) or (there and self._again(reader, shards)):
                target, moved = self.end(shards), self._outside.monotonic()
            elif there:
                return

    def _assign(self, reader: Reader, shards: Mapping[int, Shard]) -> None:
        reader.assign([TopicPartition(self._topic, number, shard.at) for number, shard in shards.items()])

    def _consume(self, reader: Reader, shards: Mapping[int, Shard]) -> bool:
        """Whether something was read that moved a partition's end nearer."""
        moved = False
        for message in reader.consume(BATCH, POLL_S):
            error = message.error()
            shard = shards.get(message.partition())
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                if error.retriable() or error.code() == KafkaError._ALL_BROKERS_DOWN:
                    continue
                raise KafkaException(error)
            if shard is None or message.offset() < shard.at:
                continue
            moved |= error is None or message.offset() > shard.at
            if error is None:
                shard.apply(message, self.own)
            else:
                shard.at = message.offset()
        return moved

    def _fence(self, shards: Mapping[int, Shard], *, open_transaction: bool) -> bool:
        owners = {claimant(key) for shard in shards.values() for key in shard.before(self.own)} - self._fenced
        for owner in sorted(owners):
            self._fence_one(owner)
        self._stats.fences += len(owners)
        self._stats.aborts += bool(owners and open_transaction)
        return bool(owners)

    def _fence_one(self, owner: str) -> None:
        deadline = self._outside.monotonic() + FENCE_S
        fencing = self._outside.transactional(owner)
        retry(self._outside, lambda: fencing.init_transactions(ANSWER_S), lambda: self._outside.monotonic() > deadline)
        self._fenced.add(owner)

    def _again(self, reader: Reader, shards: Mapping[int, Shard]) -> bool:
        """Claims again where a release came in late, reads from the beginning where memory is of no use."""
        overtaken = {number: shard for number, shard in shards.items() if shard.overtaken}
        for shard in overtaken.values():
            shard.overtaken = False
        if overtaken:
            self._claim(overtaken)
        stale = [shard for shard in shards.values() if shard.stale()]
        for shard in stale:
            shard.rows, shard.claims, shard.position, shard.at, shard.kept = {}, {}, None, 0, False
        if stale:
            self._assign(reader, shards)
        return bool(overtaken or stale)

    def _check(self, shards: Mapping[int, Shard]) -> None:
        """Whether the shards are ours."""
        for number, shard in shards.items():
            if shard.claims.get(self.own) != shard.claim:
                raise Lost(f"shard {number}: the claim is not in the log")
            if any(offset > shard.claim for key, offset in shard.claims.items() if key != self.own):
                raise Lost(f"shard {number} has been claimed by another worker")

    def _check_logs(self, shards: Mapping[int, Shard]) -> None:
        """Whether their positions are within the logs of the sources."""
        topics = [self._settings.topic(name) for name in SOURCES]
        logs = self._outside.beginnings([(topic, number) for topic in topics for number in shards])
        for number, shard in shards.items():
            shard.begin = logs[topics[0], number], logs[topics[1], number]
            position = shard.position
            if position is not None:
                _check_log(f"{topics[0]}:{number}", position.touchpoints, shard.begin[0])
                _check_log(f"{topics[1]}:{number}", position.mail, shard.begin[1])
            elif self._settings.embedded and any(shard.begin):
                raise Stop(f"shard {number}: the embedded broker has forgotten the beginning; send less at once")


def _from(number: int, kept: Kept | None) -> Shard:
    if kept is None:
        return Shard(number)
    return Shard(number, position=kept.position, at=kept.since, kept=True)


def _check_log(what: str, position: int, begin: int) -> None:
    if position < begin:
        raise Stop(
            f"{what}: the log begins at offset {begin}, but the state has only read up to {position}: "
            f"{begin - position} records were deleted before they were processed; keep the topic longer, and rebuild"
        )
