"""Dead letters: a record that cannot be used, as it came, with the reason in headers that existing tools read.

The headers are those of Kafka Connect; the record's own are kept. No value of the record is in the reason. What an
erased person sent is not kept again: `suppressed` goes without key, value and headers. When most of what comes in is
refused, the fault is not in single records: then the worker stops (`Share`).
"""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from typing import Any, NamedTuple

from pipeline.core.touchpoint import Rejected
from pipeline.kafka.failstop import Stop

PREFIX = "__connect.errors."
SUPPRESSED = "suppressed"
SKIPPED = Rejected("skipped_by_operator", "passed over because SELVEDGE_SKIP names it", stage="FOLD")
MESSAGE_CHARS_MAX = 1_000
WINDOW_S = 60
INPUT_MIN = 1_000

Headers = list[tuple[str, str | bytes | None]]


class DeadLetter(NamedTuple):
    key: bytes | None
    value: bytes | None
    headers: Headers


class Source(NamedTuple):
    """Where a record was read and by whom. topic: full name; application: the group's id; worker: this process."""

    topic: str
    partition: int
    application: str
    worker: str


def dead_letter(source: Source, record: Any, rejected: Rejected) -> DeadLetter:
    """The dead letter for a record of `source` (offset, key, value, headers)."""
    reason: Headers = [
        (PREFIX + name, value.encode())
        for name, value in (
            ("topic", source.topic),
            ("partition", str(source.partition)),
            ("offset", str(record.offset)),
            ("connector.name", source.application),
            ("task.id", source.worker),
            ("stage", rejected.stage),
            ("exception.class.name", rejected.code),
            ("exception.message", rejected.message[:MESSAGE_CHARS_MAX]),
        )
    ]
    if rejected.code == SUPPRESSED:
        return DeadLetter(None, None, reason)
    return DeadLetter(record.key, record.value, [*record.headers, *reason])


class Share:
    """Stops the worker when more than `share_max` of the last minute's touchpoints, at least INPUT_MIN of them, were
    refused. `now` is any clock in seconds."""

    def __init__(self, share_max: Decimal) -> None:
        self._share_max = share_max
        self._seconds: deque[tuple[int, int, int]] = deque()
        self._input = self._refused = 0

    def note(self, count: int, refused: int, now: float) -> None:
        """Counts `count` records, `refused` of them refused. Raises Stop when it is too much."""
        self._seconds.append((int(now), count, refused))
        self._input += count
        self._refused += refused
        while self._seconds and self._seconds[0][0] <= int(now) - WINDOW_S:
            _, gone, gone_refused = self._seconds.popleft()
            self._input -= gone
            self._refused -= gone_refused
        if self._input >= INPUT_MIN and self._refused > self._share_max * self._input:
            raise Stop(
                f"{self._refused} of the last {self._input} touchpoints were refused, more than the share "
                f"{self._share_max} that the policy allows ([dead_letters] max_share); nothing of this epoch was "
                f"committed: see the newest dead letters for the reasons of earlier ones"
            )
