"""Orphans: identifiers whose fragment came to a root without its seat, which is still on its way."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pipeline.core.touchpoint import Id


class Orphans:
    """Each is noted at the root that its fragment was sent to. `key` names rows."""

    def __init__(self, key: Callable[[Id], bytes]) -> None:
        self._key = key
        self._roots: dict[Id, Id] = {}
        self._at: dict[Id, dict[Id, None]] = {}
        self._moved: set[Id] = set()

    def __contains__(self, name: Id) -> bool:
        return name in self._roots

    def at(self, root: Id) -> list[Id]:
        """Those noted at a root."""
        return list(self._at.get(root, ()))

    def note(self, name: Id, root: Id | None) -> None:
        """It waits at `root`; None: it is an orphan no more."""
        before = self._roots.pop(name, None)
        if before is None and root is None:
            return
        if before is not None:
            self._leave(name, before)
        if root is not None:
            self._enter(name, root)
        self._moved.add(name)

    def _enter(self, name: Id, root: Id) -> None:
        self._roots[name] = root
        self._at.setdefault(root, {})[name] = None

    def _leave(self, name: Id, root: Id) -> None:
        others = self._at[root]
        del others[name]
        if not others:
            del self._at[root]

    def collect(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Key and row (None: deleted) of those that came and went since the last call."""
        for name in self._moved:
            root = self._roots.get(name)
            yield self._key(name), None if root is None else f"{root}\n{name}".encode()
        self._moved.clear()

    def load(self, _: bytes, row: bytes) -> None:
        root, name = map(Id, row.decode().split("\n"))
        self._enter(name, root)
