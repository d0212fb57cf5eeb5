"""The seat: what was published for one identifier. It is at the root of the identifier's cluster and nowhere else.

An encoded seat begins with what must be known without decoding: the time at which its cluster is due (only the root's
own seat carries one), whether it has carts or requests, the root and the identifier. A cluster in which a deadline is
held is due at once when it is loaded: how far facts were read is not known then.
"""

from __future__ import annotations

import struct

import msgspec

from pipeline.core.ledger import Told
from pipeline.core.timers import earlier
from pipeline.core.touchpoint import Id

_PREFIX = struct.Struct(">qBHH")
CARTS, CLAIMS = 1, 2
"""Flags of an encoded seat: it has carts; privacy requests wait in it."""


class Claim(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A privacy request that waits until its subject's person is known. kind, event, time, trace: type, id, time and
    trace of the touchpoint."""

    kind: str
    event: str
    time: int
    trace: str | None = None


class Seat(msgspec.Struct, array_like=True, gc=False):
    """identities row: profile_id, since, shared, known (its readable value is). Profile made from this identifier:
    revision (0: never published), target (its own profile id: active; another: merged into it), digests of the blocks
    published, published (clock of the last document), due (clock at which the next may go out; 0: none waits), changes
    (clock at which the document changes by time alone; 0: never), alarm (clock at which the triggers of the person
    whose oldest anchor this is are next evaluated; 0: none). wake: the smallest of these times in the cluster."""

    id: Id
    root: Id
    wake: int = 0
    profile_id: str = ""
    since: int = 0
    shared: bool = False
    known: bool = False
    revision: int = 0
    target: str = ""
    digests: dict[str, int] = {}
    published: int = 0
    due: int = 0
    changes: int = 0
    alarm: int = 0
    evaluated: int = 0
    """On the record clock: up to when the triggers at this identifier were evaluated."""
    carts: bool = False
    """Whether the fragment has carts, so that there can be triggers."""
    told: dict[str, Told] = {}
    waiting: dict[Id, tuple[int, int]] = {}
    """At the root's seat: bundles on their way, with the seats that arrived and their size (0: not known yet)."""
    claims: dict[Id, Claim] = {}
    """At the root's seat: privacy requests by their subject."""
    shown: str = ""
    """How the policy had the identities row published: raw, sha256, or empty: not at all."""
    oversize: bool = False
    """Whether it stands alone because too much hangs together with it."""
    held: int = 0
    """The smallest deadline that waits for facts to be read, of the person whose oldest anchor this is; 0: none."""
    hold: int = 0
    """At the root's seat: the smallest of these in the cluster."""
    forgotten: int = 0
    """Up to which deadline `told` may have forgotten something: of what was due here by then nothing is told again."""
    traced: int = 0
    """The span that the last document came of, if it was traced: no later one names it again."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Seat).decode


def encode(seat: Seat) -> bytes:
    root, name = seat.root.encode(), seat.id.encode()
    flags = CARTS * seat.carts | CLAIMS * bool(seat.claims)
    return _PREFIX.pack(earlier(seat.wake, seat.hold), flags, len(root), len(name)) + root + name + _encode(seat)


def decode(row: bytes) -> Seat:
    *_, root, name = _PREFIX.unpack_from(row)
    return _decode(memoryview(row)[_PREFIX.size + root + name :])


def peek(row: bytes) -> tuple[int, int, Id, Id]:
    """wake, flags (CARTS, CLAIMS), root and identifier of an encoded seat."""
    wake, flags, root, name = _PREFIX.unpack_from(row)
    middle = _PREFIX.size + root
    return wake, flags, Id(row[_PREFIX.size : middle].decode()), Id(row[middle : middle + name].decode())


def heir(row: bytes) -> Seat:
    """A seat in a fresh state for the identifier of an encoded old one: what was published and told is known, nothing
    is due, what changed can go out at once."""
    old = decode(row)
    return Seat(
        old.id,
        old.id,
        profile_id=old.profile_id,
        since=old.since,
        shared=old.shared,
        known=old.known,
        revision=old.revision,
        target=old.target,
        digests=old.digests,
        carts=bool(old.told),
        told=old.told,
        shown=old.shown,
        forgotten=old.forgotten,
    )
