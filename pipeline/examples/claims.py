"""Who was sent what: a file that decides, across crashes, that nobody is sent a trigger twice.

A line for each thing that happened, on disk (fsync) before the call returns:
  since   when it begins, by default when it was made: what fired before is never sent, so a lost file repeats nothing
  claimed about to be sent: never to be claimed again, unless
  released it is certain that nothing was sent
  sent    the server took it; it is still to be handed back
  told    it was handed back
A line that a crash cut off did not happen. One process at a time: the file is locked. No personal data in it.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import IO

import msgspec

from pipeline.core.times import DAY

KEPT = DAY
"""How long after its expiry a trigger is remembered: more than clocks are ever put back."""


class ClaimsError(Exception):
    """The file is not readable, or another process has it."""


class Entry(msgspec.Struct, array_like=True, frozen=True):
    """what: as above. at: when, of `since` and `sent`. until: when the trigger expires. Microseconds."""

    what: str
    trigger_id: str = ""
    at: int = 0
    until: int = 0


class Claims:
    """`with Claims(path, now, since) as claims:` makes the file if there is none; what fired before `since` is not sent
    then. Raises ClaimsError."""

    def __init__(self, path: Path, now: int, since: int) -> None:
        self._path = path
        self._lock = _locked(path.with_name(path.name + ".lock"))
        self._entries: dict[str, Entry] = {}
        self.since = since
        if path.exists():
            self._load()
        self._shorten(now)
        self._file: IO[bytes] = path.open("ab")

    def __enter__(self) -> Claims:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()
        self._lock.close()

    def __contains__(self, trigger_id: str) -> bool:
        return trigger_id in self._entries

    def claim(self, trigger_id: str, until: int) -> None:
        assert trigger_id not in self._entries
        self._note(Entry("claimed", trigger_id, 0, until))

    def release(self, trigger_id: str) -> None:
        self._note(Entry("released", trigger_id))

    def sent(self, trigger_id: str, at: int) -> None:
        self._note(Entry("sent", trigger_id, at, self._entries[trigger_id].until))

    def told(self, trigger_id: str) -> None:
        entry = self._entries[trigger_id]
        self._note(Entry("told", trigger_id, entry.at, entry.until))

    def untold(self) -> dict[str, int]:
        """Triggers that were sent and not handed back, and when they were sent."""
        return {entry.trigger_id: entry.at for entry in self._entries.values() if entry.what == "sent"}

    def _note(self, entry: Entry) -> None:
        self._file.write(_line(entry))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._apply(entry)

    def _apply(self, entry: Entry) -> None:
        if entry.what == "released":
            self._entries.pop(entry.trigger_id, None)
        else:
            self._entries[entry.trigger_id] = entry

    def _load(self) -> None:
        *lines, _cut_off = self._path.read_bytes().split(b"\n")
        try:
            first, *others = [msgspec.json.decode(line, type=Entry) for line in lines]
        except (ValueError, msgspec.ValidationError) as error:
            raise ClaimsError(f"{self._path} is no file of claims: {error}") from None
        if first.what != "since":
            raise ClaimsError(f"{self._path} is no file of claims")
        self.since = first.at
        for entry in others:
            self._apply(entry)

    def _shorten(self, now: int) -> None:
        """Writes the file anew without what can matter no more; the old one stands until the new one is complete."""
        self._entries = {
            name: entry for name, entry in self._entries.items() if entry.until + KEPT > now or entry.what == "sent"
        }
        new = self._path.with_name(self._path.name + ".new")
        with new.open("wb") as file:
            file.writelines(map(_line, (Entry("since", at=self.since), *self._entries.values())))
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)
        directory = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _line(entry: Entry) -> bytes:
    return msgspec.json.encode(entry) + b"\n"


def _locked(path: Path) -> IO[bytes]:
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise ClaimsError(f"{path}: another process sends with this file") from None
    return file
