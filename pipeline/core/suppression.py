"""What must not come in again: identifiers of erased persons, known by their keyed hashes alone.

Every shard knows all of them, so that a touchpoint is refused where it arrives, whatever its time: neither a replay nor
a late event brings a person back. A suppression is lifted by an operator, or by a granted consent with proof that is
newer than the erasure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from struct import Struct
from typing import Final

from pipeline.core.events import LIFTED, PRIVACY
from pipeline.core.identifiers import Registry
from pipeline.core.touchpoint import Id, Rejected, Touchpoint

CODE: Final = "suppressed"
_ROW: Final = Struct(">qq")


class Suppressions:
    """`since`: key of an identifier -> time of the request that erased it. What was lifted is known by the revision
    that its profile had, and so is what was dropped without a suppression: none falls."""

    def __init__(self, registry: Registry, *, durable: bool) -> None:
        self.since: dict[bytes, int] = {}
        self._revisions: dict[bytes, int] = {}
        self._key: Callable[[Id], bytes] = registry.key
        self._identify = registry.identify
        self._durable = durable
        self._changed: set[bytes] = set()

    def __contains__(self, name: Id) -> bool:
        return bool(self.since) and self._key(name) in self.since

    def add(self, since: Mapping[bytes, tuple[int, int]]) -> None:
        """since: as in Suppress."""
        for key, (time, revision) in since.items():
            self.since[key] = max(time, self.since.get(key, 0))
            self._revisions[key] = max(revision, self._revisions.get(key, 0))
        self._note(since)

    def remember(self, name: Id, revision: int) -> None:
        """The revision that the profile made from an identifier had when its rows were dropped."""
        key = self._key(name)
        self._revisions[key] = max(revision, self._revisions.get(key, 0))
        self._note((key,))

    def revision(self, name: Id) -> int:
        """The revision that the profile made from an identifier had when it was erased or its rows were dropped; 0:
        neither was."""
        return self._revisions.get(self._key(name), 0) if self._revisions else 0

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
        time, self._revisions[key] = _ROW.unpack(row)
        if time:
            self.since[key] = time

    def collect(self) -> Iterator[tuple[bytes, bytes]]:
        """Rows that changed since the last call."""
        for key in self._changed:
            yield key, _ROW.pack(self.since.get(key, 0), self._revisions[key])
        self._changed.clear()

    def _note(self, keys: Iterable[bytes]) -> None:
        if self._durable:
            self._changed.update(keys)
