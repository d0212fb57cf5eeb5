"""Effects are data until the epoch (or replay) performs them."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from pipeline.core.touchpoint import Rejected


class Output(NamedTuple):
    """A record for an output topic. topic: logical name (profiles, identities, profile-changes, triggers).
    value None is a tombstone. `event` is unique per record (CloudEvents id), `time` its event time. trace: that of the
    touchpoint that caused it, if it was traced."""

    topic: str
    key: str
    value: bytes | None
    event: str
    time: int
    trace: str | None = None


class Effects(msgspec.Struct):
    """What an epoch of the owned shards has to make durable, in one transaction.

    rows: shard -> row key -> row (None: deleted). rejected: touchpoints that came by mail and
    may not come in. mail: (shard it is for, message). counts: what to show in metrics."""

    outputs: list[Output] = []
    mail: list[tuple[int, bytes]] = []
    rows: dict[int, dict[bytes, bytes | None]] = {}
    rejected: list[Rejected] = []
    counts: dict[str, int] = {}
