"""Which fragments hold an unverified contact, so that they can forget it when its owner is erased."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pipeline.core.identifiers import Registry, Unusable
from pipeline.core.touchpoint import Id, Touchpoint

_KEY_BYTES = 16


class Hints:
    """Rows: key of the identifier that was hinted at and of the anchor -> the anchor."""

    def __init__(self, registry: Registry, *, durable: bool) -> None:
        self._registry, self._durable = registry, durable
        self._anchors: dict[bytes, dict[Id, None]] = {}
        self._changed: dict[bytes, Id | None] = {}

    def note(self, anchor: Id, touchpoint: Touchpoint) -> None:
        """The fragment of `anchor` holds the hints of a touchpoint."""
        for type, value in touchpoint.hints:
            key = self._key(type, value)
            if key is not None and anchor not in (anchors := self._anchors.setdefault(key, {})):
                anchors[anchor] = None
                self._note(key, anchor, anchor)

    def take(self, key: bytes) -> list[Id]:
        """The anchors whose fragments hold a hint at an identifier; they are about to forget it."""
        anchors = list(self._anchors.pop(key, ()))
        for anchor in anchors:
            self._note(key, anchor, None)
        return anchors

    def forget(self, anchor: Id, hints: Iterable[str]) -> None:
        """The fragment of `anchor` forgets these hints (`type:value`)."""
        for hint in hints:
            type, _, value = hint.partition(":")
            key = self._key(type, value)
            anchors = self._anchors.get(key) if key is not None else None
            if key is not None and anchors is not None and anchor in anchors:
                del anchors[anchor]
                self._note(key, anchor, None)

    def load(self, key: bytes, row: bytes) -> None:
        self._anchors.setdefault(key[:_KEY_BYTES], {})[Id(row.decode())] = None

    def collect(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Rows that changed since the last call."""
        for key, anchor in self._changed.items():
            yield key, None if anchor is None else anchor.encode()
        self._changed.clear()

    def _key(self, type: str, value: str) -> bytes | None:
        try:
            name = self._registry.identify(type, value).id
        except Unusable:
            return None
        return None if name is None else self._registry.key(name)

    def _note(self, key: bytes, anchor: Id, row: Id | None) -> None:
        if self._durable:
            self._changed[key + self._registry.key(anchor)] = row
