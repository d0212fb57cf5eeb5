"""What one shard says to another. Each message is handled at the home of its `to`.

An SKU and an order have a home as an identifier has: that of their text.
Union-find by messages: x ≺ y is the registry's order; parents are always smaller than their children. `received` is
the time at which the fact behind the message was received.
"""

from __future__ import annotations

from typing import Final

import msgspec

from pipeline.core.catalogue.deal import Back, State
from pipeline.core.catalogue.facts import Price, Stock
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
    """`hub` is a hub since that received time, or is none (0): the fragment of `to` notes it. turn: how often a new
    policy had judged it another way; what an earlier turn says is out of date."""

    hub: Id
    since: int
    turn: int = 0


class Recount(Message, frozen=True):
    """To every shard: who has seen one of these hubs links it again, as a new policy counts more anchors than are kept
    of it."""

    hubs: list[Id]


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
    touchpoint `event` that claims it, at that time, from that source, under that trace."""

    subject: Id
    kind: str
    event: str
    source: str
    time: int
    received: int
    trace: str | None = None

    def sent_to(self, name: Id) -> Request:
        return msgspec.structs.replace(self, to=name)


class Empty(Message, frozen=True):
    """All that was folded from the touchpoints of anchor `to` is to be forgotten."""


class Suppress(Message, frozen=True):
    """To every shard: identifiers, by key, that must not come in again and are to be masked, with the time of the
    request that erased them and the revision of the profile made from them."""

    since: dict[bytes, tuple[int, int]]


class Masked(Message, frozen=True):
    """Where the node of `to` names an identifier that was masked, the mask is to stand."""

    masks: list[Id]


class Expired(Message, frozen=True):
    """Of identifiers at home with `to` nothing is known any more: the mask is to stand in the place of each. names: of
    their cluster, with the mask and the revision of the profile made from it. root: of the cluster."""

    names: dict[Id, tuple[Id, int]]
    root: Id


class Unseen(Message, frozen=True):
    """The fragment of `anchor` has forgotten that it saw `to`."""

    anchor: Id


class Gone(Message, frozen=True):
    """All of the cluster of the mask `to` are masks: it is needed no more."""


class Lift(Message, frozen=True):
    """To every shard: these identifiers may come in again."""

    keys: list[bytes]


class Strike(Message, frozen=True):
    """The fragment of anchor `to` is to forget that it saw the identifier with that key."""

    key: bytes


class Announce(Message, frozen=True):
    """A price or a stock (store: of which; empty: of all) of the SKU `to`."""

    price: Price | None
    stock: Stock | None
    store: str


class Watch(Message, frozen=True):
    """The fragment of `anchor` holds the SKU `to`: it wants its prices and stocks, those known and those to come."""

    anchor: Id


class Unwatch(Message, frozen=True):
    """The fragment of `anchor`, which may be a mask, wants to hear of the SKU `to` no more."""

    anchor: Id


class Offer(Message, frozen=True):
    """Prices and stocks of an SKU for the fragment of `to`, which asked for them."""

    sku: str
    prices: list[Price]
    stocks: list[Stock]


class Dealt(Message, frozen=True):
    """What was said of the order `to` at a time: one of these."""

    time: int
    placed: State | None = None
    updated: State | None = None
    returned: tuple[int, Back] | None = None
    cancelled: bool = False


class Bought(Message, frozen=True):
    """The order was placed with the identifier `to`: what had been viewed with it?"""

    order: str
    time: int


class ViewedBefore(Message, frozen=True):
    """SKUs that were viewed before the order `to`, with the newest time."""

    skus: dict[str, int]


class Credit(Message, frozen=True):
    """How the contribution of an order to the SKU `to` changed; for ALL_ORDERS, of their number. sold:
    (day, store, units)."""

    orders: int
    together: dict[str, int] = {}
    seen: int = 0
    bought: dict[str, int] = {}
    sold: list[tuple[int, str, str]] = []


class Wished(Message, frozen=True):
    """A wish for the SKU `to` on that day and in that store (empty: none) came, or was taken back (by -1)."""

    day: int
    store: str
    by: int


class Ask(Message, frozen=True):
    """How many orders hold the SKU `to`? The shard of `sku` wants to know, now and whenever that has changed."""

    sku: str


class Answer(Message, frozen=True):
    """So many orders hold `sku`, says its home to the shard of `to`. turn: the larger one is newer. asked: `to` waits
    for it."""

    sku: str
    orders: int
    turn: int
    asked: bool


Mail = (
    Touch
    | Link
    | Shared
    | Recount
    | Unite
    | Adopt
    | Arrived
    | Report
    | Point
    | Request
    | Empty
    | Suppress
    | Masked
    | Expired
    | Unseen
    | Gone
    | Lift
    | Strike
    | Announce
    | Watch
    | Unwatch
    | Offer
    | Dealt
    | Bought
    | ViewedBefore
    | Credit
    | Wished
    | Ask
    | Answer
)

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Mail).decode
