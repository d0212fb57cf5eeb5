"""The triggers that can still be sent: by trigger id the record with the highest revision, until it expires."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import msgspec

from pipeline.core import times

Item = dict[str, Any]


class Read(NamedTuple):
    """A record as it was read: its partition and value."""

    partition: int
    value: bytes | None


class Trigger(msgspec.Struct, frozen=True):
    """The fields of a record that a mail needs."""

    trigger_id: str
    status: str
    revision: int
    family: str
    fired_at: str | None
    send_not_before: str | None
    expires_at: str | None
    channels: list[Item]
    cart: Item | None
    other_carts: list[Item] = []

    @property
    def until(self) -> int:
        """When it expires; 0: it never fired."""
        return times.parse(self.expires_at) if self.expires_at else 0

    def is_due(self, now: int) -> bool:
        """Fired, neither withdrawn nor recovered, and `now` is within its time to be sent."""
        if self.status != "fired" or self.send_not_before is None:
            return False
        return times.parse(self.send_not_before) <= now < self.until

    def address(self, channel: str) -> Item | None:
        """The identifier to use on a channel, {"type", "value"[, "verified"]}; None: there is none."""
        found = next((one for one in self.channels if one["channel"] == channel), None)
        return found and found["identifier"]


_decode = msgspec.json.Decoder(Trigger).decode


class Book:
    """keeps: ids that are kept beyond their expiry."""

    def __init__(self, keeps: Callable[[str], bool]) -> None:
        self._keeps = keeps
        self._entries: dict[str, tuple[int, Trigger]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def apply(self, records: Iterable[Read], now: int) -> None:
        """Raises msgspec.ValidationError for what is no trigger: better to stop than to miss a withdrawal."""
        for record in records:
            if record.value is None:
                continue
            trigger = _decode(record.value)
            known = self.get(trigger.trigger_id)
            if known is None or known.revision < trigger.revision:
                self._entries[trigger.trigger_id] = (record.partition, trigger)
                if self._is_past(trigger, now):
                    del self._entries[trigger.trigger_id]

    def forget_past(self, now: int) -> None:
        for trigger in [one for _, one in self._entries.values() if self._is_past(one, now)]:
            del self._entries[trigger.trigger_id]

    def _is_past(self, trigger: Trigger, now: int) -> bool:
        return trigger.until <= now and not self._keeps(trigger.trigger_id)

    def get(self, trigger_id: str) -> Trigger | None:
        entry = self._entries.get(trigger_id)
        return entry and entry[1]

    def due(self, now: int) -> list[tuple[int, Trigger]]:
        """With their partitions, what must go out first at the beginning."""
        due = [entry for entry in self._entries.values() if entry[1].is_due(now)]
        return sorted(due, key=lambda entry: (entry[1].send_not_before or "", entry[1].trigger_id))
