"""The one order of effects of an epoch: everything it changes becomes visible at once, in one Kafka transaction.

 1. begin a transaction
 2. outputs, and dead letters
 3. mail to shards of other workers
 4. state rows that changed
 5. one position row per shard that moved (its source offsets and clock), and its progress
 6. claims that are released, claims of those who were fenced
 7. commit
Afterwards, and for lag monitors only, the group's offsets follow. An epoch without effects makes no transaction: an
open one would hold up every reader. There is no abort: memory is ahead of the log, so whatever fails ends the process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from confluent_kafka import KafkaError, KafkaException

from pipeline.core import times
from pipeline.core.effects import Effects, Output
from pipeline.kafka.advice import on_transactions
from pipeline.kafka.clients import ANSWER_S, PATIENCE_S
from pipeline.kafka.clock import Report, encode_report
from pipeline.kafka.dead_letters import DeadLetter, Headers
from pipeline.kafka.failstop import Misconfigured, Stop
from pipeline.kafka.outside import Outside, retry
from pipeline.kafka.state import POSITION, SHELL, Position, encode_position
from pipeline.settings import Settings

FULL_S = 0.05
TYPES = {
    "profiles": "selvedge.profile",
    "identities": "selvedge.identity",
    "profile-changes": "selvedge.profile_change",
    "triggers": "selvedge.trigger",
    "products": "selvedge.product",
    "access-reports": "selvedge.access_report",
}


@dataclass
class Work:
    """The effects of one epoch as data. positions, progress: by shard. claims: (shard, key) to delete."""

    effects: Effects
    dead_letters: list[DeadLetter] = field(default_factory=list)
    positions: Mapping[int, Position] = field(default_factory=dict)
    progress: Mapping[int, Report] = field(default_factory=dict)
    claims: list[tuple[int, bytes]] = field(default_factory=list)

    def __bool__(self) -> bool:
        effects = self.effects
        return bool(
            effects.outputs
            or effects.mail
            or effects.rows
            or self.dead_letters
            or self.positions
            or self.progress
            or self.claims
        )


class Epoch:
    """Performs epochs, one after the other, in the name of `transactional_id`."""

    def __init__(self, settings: Settings, transactional_id: str, outside: Outside) -> None:
        self._topic = settings.topic
        self._source = f"selvedge/{settings.prefix}".encode()
        self._failed: list[KafkaError] = []
        self._outside = outside
        self._producer = outside.transactional(transactional_id, self._delivered)
        self._topics = {name: settings.topic(name) for name in ("dead-letters", "mail", "state", "progress")}
        self._fixed = {name: self._fixed_headers(kind) for name, kind in TYPES.items()}

    def start(self) -> None:
        """Makes the transactional id known to its coordinator. Blocks until that is done. Raises Misconfigured."""
        outside = self._outside
        deadline = outside.monotonic() + PATIENCE_S
        try:
            retry(outside, lambda: self._producer.init_transactions(ANSWER_S), lambda: outside.monotonic() > deadline)
        except KafkaException as error:
            name = error.args[0].name()
            raise Misconfigured(f"the brokers take no transactions ({name}): {on_transactions(name)}") from None

    def perform(self, work: Work) -> float:
        """Blocks until everything in `work` is committed; gives the seconds of the commit. Raises Stop, and then
        nothing of it ever will be."""
        try:
            self._producer.begin_transaction()  # 1
            self._produce_outputs(work)  # 2
            self._produce_mail(work)  # 3
            self._produce_rows(work)  # 4
            self._produce_positions(work)  # 5
            self._release(work)  # 6
            return self._commit()  # 7
        except KafkaException as error:
            raise Stop(f"the epoch could not be committed: {self._reason(error)}") from None

    def _produce_outputs(self, work: Work) -> None:
        for output in work.effects.outputs:
            self._produce(self._topic(output.topic), output.value, output.key.encode(), headers=self._headers(output))
        for letter in work.dead_letters:
            self._produce(self._topics["dead-letters"], letter.value, letter.key, headers=letter.headers)

    def _produce_mail(self, work: Work) -> None:
        for shard, message in work.effects.mail:
            self._produce(self._topics["mail"], message, None, shard)

    def _produce_rows(self, work: Work) -> None:
        topic = self._topics["state"]
        for shard, rows in work.effects.rows.items():
            for key, row in rows.items():
                assert not key.startswith(SHELL), "rows of the shell are not the core's"
                self._produce(topic, row, key, shard)

    def _produce_positions(self, work: Work) -> None:
        for shard, position in work.positions.items():
            self._produce(self._topics["state"], encode_position(position), POSITION, shard)
        for shard, report in work.progress.items():
            self._produce(self._topics["progress"], encode_report(report), str(shard).encode())

    def _release(self, work: Work) -> None:
        for shard, key in work.claims:
            self._produce(self._topics["state"], None, key, shard)

    def _commit(self) -> float:
        begun = self._outside.monotonic()
        retry(self._outside, lambda: self._producer.commit_transaction(ANSWER_S))
        return self._outside.monotonic() - begun

    def _produce(
        self, topic: str, value: bytes | None, key: bytes | None, partition: int = -1, headers: Headers | None = None
    ) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key, partition, headers=headers)
                return
            except BufferError:
                self._producer.poll(FULL_S)

    def _headers(self, output: Output) -> Headers:
        headers = [
            ("ce_id", output.event.encode()),
            ("ce_time", _time(output.time)),
            *self._fixed[output.topic.partition(".")[0]],
        ]
        return headers if output.trace is None else headers + _trace_headers(output.trace)

    def _fixed_headers(self, kind: str) -> Headers:
        return [
            ("ce_type", kind.encode()),
            ("ce_source", self._source),
            ("ce_specversion", b"1.0"),
            ("content-type", b"application/json"),
        ]

    def _delivered(self, error: KafkaError | None, _: object) -> None:
        if error is not None:
            self._failed.append(error)

    def _reason(self, exception: KafkaException) -> str:
        error = exception.args[0]
        if error.code() in (KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED):
            return "another worker has taken over (fenced)"
        first = f"; first refused record: {self._failed[0].str()}" if self._failed else ""
        return f"{error.name()}: {error.str()}{first}"


def _trace_headers(trace: str) -> Headers:
    """For consumers that read the transport's headers, and for those that read CloudEvents' own."""
    parent, _, state = trace.encode().partition(b" ")
    named = [("traceparent", parent), ("tracestate", state)] if state else [("traceparent", parent)]
    return [*named, *((f"ce_{name}", value) for name, value in named)]


@lru_cache(1_024)
def _time(time: int) -> bytes:
    return times.text(time).encode()
