"""The ledger: what was published of each trigger. It is kept in seats, so that a trigger moves with its shopper.

A trigger's entry is in the seat of the identifier whose fragment holds the change that the trigger was made from, and
in that of the episode's origin. When a person is split, the side with the change knows what it was told, and only the
side with the origin goes on with the episode's id. Entries are replaced as a whole, never edited.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from pipeline.core.times import DAY
from pipeline.core.touchpoint import Id

KEPT: Final = 90 * DAY
"""How long after its evaluation a trigger can matter to anything but the numbers of its episode: the longest window of
a profile."""


class Cover(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A cart as a trigger told of it: its newest change then, and a digest of its contents."""

    time: int
    event: str
    source: str
    contents: int


class Told(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One trigger as last published. status: fired, recovered, retracted or suppressed.

    origin: the identifier from whose fragment the episode's id was made; it owns the ids made from that. covers: the
    lead cart, then the other carts. peers: trigger ids that were live when it fired. channels: names of the
    channels it allowed. record: the record as fired, JSON; empty unless the trigger can still change."""

    trigger_id: str
    episode_id: str
    family: str
    step: int
    n: int
    status: str
    reason: str | None
    reasons: tuple[str, ...]
    via_link: bool | None
    revision: int
    anchor_at: int
    deadline_at: int
    evaluated_at: int
    origin: Id
    covers: tuple[Cover, ...]
    fired_at: int = 0
    """0: never."""
    send_not_before: int = 0
    expires_at: int = 0
    recovery_url: str | None = None
    peers: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    record: bytes = b""

    @property
    def live(self) -> bool:
        return self.status in ("fired", "recovered")


def newest(told: Iterable[Told]) -> dict[str, Told]:
    """By trigger id the entry with the highest revision: a trigger's entry may stand in two seats."""
    return {one.trigger_id: one for one in sorted(told, key=lambda one: one.revision)}


def outlived(told: Told, now: int) -> bool:
    """Whether an entry can be dropped from its seat, but for its number."""
    return now - max(told.evaluated_at, told.deadline_at) > KEPT
