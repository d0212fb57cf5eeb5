"""What must not come in again: identifiers of erased persons, known by their keyed hashes alone.

Every shard knows all of them, so that a touchpoint is refused where it arrives, whatever its time: neither a replay nor
a late event brings a person back. A suppression is lifted by an operator, or by a granted consent with proof that is
newer than the erasure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from pipeline.core.events import LIFTED, PRIVACY
from pipeline.core.identifiers import Registry
from pipeline.core.touchpoint import Id, Rejected, Touchpoint

CODE: Final = "suppressed"
_TIME_BYTES: Final = 8


class Suppressions:
    """`since`: key of an identifier -> time of the request that erased it."""

    def __init__(self, registry: Registry, *, durable: bool) -> None:
        self.since: dict[bytes, int] = {}
        self._key: Callable[[Id], bytes] = registry.key
        self._identify = registry.identify
        self._durable = durable
        self._changed: set[bytes] = set()

    def __contains__(self, name: Id) -> bool:
        return bool(self.since) and self._key(name) in self.since

    def add(self, since: Mapping[bytes, int]) -> None:
        for key, time in since.items():
            self.since[key] = max(time, self.since.get(key, 0))
        self._note(since)

    def lift(self, keys: Iterable[bytes]) -> None:
        for key in keys:
            if self.since.pop(key, None) is not None:
                self._note((key,))

    def lifted_by(self, touchpoint: Touchpoint) -> list[bytes]:
        """The keys of identifiers that a touchpoint frees."""
        held = [key for key in map(self._key, touchpoint.ids) if key in self.since]
        if not held or touchpoint.type == LIFTED:
            return held
        consent = touchpoint.data.consent
        if touchpoint.type != "consent.changed" or consent is None or consent.state != "granted" or not consent.proof:
            return []
        given = touchpoint.time if touchpoint.effective is None else touchpoint.effective
        return [key for key in held if given > self.since[key]]

    def refused(self, touchpoint: Touchpoint) -> Rejected | None:
        """Why a touchpoint may not come in; without anything of what it says. What it hints at is taken out of it."""
        if touchpoint.type in PRIVACY:
            return None
        if any(name in self for name in touchpoint.ids):
            return Rejected(
                CODE, "an identifier of it belongs to an erased person", touchpoint.id, touchpoint.source, "FOLD"
            )
        touchpoint.hints = tuple(hint for hint in touchpoint.hints if not self.hinted(*hint))
        return None

    def hinted(self, type: str, value: str) -> bool:
        """Whether an unverified contact is a suppressed identifier."""
        name = self._identify(type, value).id
        return name is not None and name in self

    def load(self, key: bytes, row: bytes) -> None:
        self.since[key] = int.from_bytes(row)

    def collect(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Rows that changed since the last call."""
        for key in self._changed:
            time = self.since.get(key)
            yield key, None if time is None else time.to_bytes(_TIME_BYTES)
        self._changed.clear()

    def _note(self, keys: Iterable[bytes]) -> None:
        if self._durable:
            self._changed.update(keys)
