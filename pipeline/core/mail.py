"""What one shard says to another. Each message is handled at the home of its `to`.

Union-find by messages: x ≺ y is the registry's order; parents are always smaller than their children. `received` is
the time at which the fact behind the message was received.
"""

from __future__ import annotations

from typing import Final

import msgspec

from pipeline.core.touchpoint import Id, Touchpoint

EVERYBODY: Final = Id("")
"""A message to this goes to every shard."""


class Message(msgspec.Struct, array_like=True, tag=True, gc=False, frozen=True):
    to: Id


class Touch(Message, frozen=True):
    """A touchpoint that arrived at another shard: fold it at its anchor `to`."""

    touchpoint: Touchpoint


class Link(Message, frozen=True):
    """The fragment of `anchor` saw `to` for the first time. count_only: the anchor is a hub, do not unite; sent again
    when the time `first` at which the two were seen together falls."""

    anchor: Id
    received: int
    first: int
    count_only: bool


class Shared(Message, frozen=True):
    """`hub` is a hub since that received time: the fragment of `to` notes it."""

    hub: Id
    since: int


class Unite(Message, frozen=True):
    """The clusters of `to` and `smaller` ≺ `to` become one."""

    smaller: Id


class Adopt(Message, frozen=True):
    """One seat of a bundle of `size` that the former root `bundle` hands to `to`, with the fragment of the seat's
    identifier if it has one (encoded row) and `to`'s shard is not its home."""

    bundle: Id
    size: int
    seat: bytes
    fragment: bytes | None


class Arrived(Message, frozen=True):
    """`count` seats of the bundle of `bundle` came in at a root that is none any more; they follow in its own. size: of
    the bundle; 0: not known there."""

    bundle: Id
    count: int
    size: int


class Report(Message, frozen=True):
    """A new version of the fragment of `anchor` (encoded row), and what changed in it: the grouping, facts that
    triggers depend on, a cart (alarm: first clock time at which it could be abandoned; 0: none did)."""

    anchor: Id
    fragment: bytes
    hops: int
    regroup: bool
    judge: bool
    alarm: int


class Point(Message, frozen=True):
    """Path compression: `root` leads the cluster of `to`."""

    root: Id


class Request(Message, frozen=True):
    """Somebody's right is claimed for the person of `subject`; the request climbs to the root. kind: the type of the
    touchpoint `event` that claims it, at that time, from that source."""

    subject: Id
    kind: str
    event: str
    source: str
    time: int
    received: int

    def sent_to(self, name: Id) -> Request:
        return msgspec.structs.replace(self, to=name)


class Empty(Message, frozen=True):
    """All that was folded from the touchpoints of anchor `to` is to be forgotten."""


class Suppress(Message, frozen=True):
    """To every shard: identifiers, by key, that must not come in again, with the time of the request
    that erased them."""

    since: dict[bytes, int]


class Lift(Message, frozen=True):
    """To every shard: these identifiers may come in again."""

    keys: list[bytes]


class Strike(Message, frozen=True):
    """The fragment of anchor `to` is to forget that it saw `name`."""

    name: Id


Mail = Touch | Link | Shared | Unite | Adopt | Arrived | Report | Point | Request | Empty | Suppress | Lift | Strike

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Mail).decode
