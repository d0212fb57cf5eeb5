"""An episode: one cart's life from the first change that leaves lines until it is closed.

Ends: `converted` (an order with its id, or with all its SKUs), `converted_partial` (with some of them),
`cancelled_by_order` (any other order), `emptied`, `superseded` (its lines moved into a cart with an id), `expired`
(nothing changed for `episode_expiry`). The last end is seen only where a later fact shows it: ask `expires_at`.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from functools import cached_property
from hashlib import blake2b
from typing import Final

import msgspec

from pipeline.core.fragment import Line
from pipeline.core.money import EXACT, ZERO, plain, plus, published
from pipeline.core.touchpoint import Id

Ref = tuple[str, str]
"""(event id, source): what a change is known by. Of an event that says several things, see `Point.item`."""

BY_ORDER: Final = frozenset(("converted", "converted_partial", "cancelled_by_order"))


class CartLine(msgspec.Struct, frozen=True, gc=False):
    """What a cart holds of one SKU. price: text as given. added, changed: times of the first and last change."""

    sku: str
    quantity: Decimal
    price: str | None
    currency: str | None
    name: str | None
    variant: str | None
    url: str | None
    image_url: str | None
    added: int
    changed: int


def line_of(line: Line | CartLine, quantity: Decimal, added: int, time: int) -> CartLine:
    """A line as it was last said, at `time`."""
    return CartLine(
        line.sku,
        quantity,
        line.price,
        line.currency,
        line.name,
        line.variant,
        line.url,
        line.image_url,
        added,
        time,
    )


Lines = dict[str, CartLine]


class Point(msgspec.Struct, dict=True):
    """A cart right after a change of its contents or stage. fragment: where the change is kept. kind: the kind of
    device, else the channel. stage: cart or checkout; of another family its name. currency: the newest, else the
    policy's. value: the shop's own. item: the SKU, where one event can be a change of several episodes."""

    time: int
    event: str
    source: str
    fragment: Id
    channel: str
    kind: str
    stage: str
    lines: Lines
    currency: str
    value: str | None = None
    recovery_url: str | None = None
    item: str | None = None

    @property
    def ref(self) -> Ref:
        return self.event, self.source if self.item is None else f"{self.source}\n{self.item}"

    @cached_property
    def worth(self) -> Decimal | None:
        """The value of the lines."""
        return value_of(self.lines.values(), self.currency, self.value)

    @cached_property
    def contents(self) -> int:
        """A digest of what is in it."""
        return contents(self.lines)


class Quiet(msgspec.Struct, frozen=True):
    """A quiet point: nobody touched anything for the delay. `point`: the cart then. last_activity: event id.
    until: time of the cart's next change or end; None: neither came."""

    anchor_at: int
    deadline_at: int
    last_activity: str
    point: Point
    until: int | None


class Purchase(msgspec.Struct):
    """An order of the person in any channel. names: cart and checkout ids it came with. facts: (received, fragment)."""

    id: str
    time: int
    skus: set[str]
    names: set[str]
    facts: list[tuple[int, Id]]


class Episode(msgspec.Struct):
    """key: of the cart. cart_id: None for an implicit cart. points: at least one; the last is the newest state before
    the end. changes: all since it opened, with those that changed nothing, each with the fragment that keeps it. lines:
    what the cart holds now: after `converted_partial` and `cancelled_by_order` what was not bought, nothing once a
    newer episode of the cart exists. ended_at: time of the end. order: what ended it. successor: the change that moved
    its lines away. quiet: its quiet points, oldest first. idle_at: from when on the cart is idle. any_order: whether an
    order of other things counts, too."""

    key: str
    cart_id: str | None
    points: list[Point]
    changes: list[tuple[Ref, Id]]
    lines: Lines
    expires_at: int
    end: str | None = None
    ended_at: int | None = None
    order: Purchase | None = None
    successor: Ref | None = None
    quiet: list[Quiet] = []
    idle_at: int = 0
    any_order: bool = True

    @property
    def last(self) -> Point:
        return self.points[-1]

    def at(self, time: int) -> Point | None:
        """The state of the open cart at a time; None if it was not open then."""
        if self.points[0].time > time or (self.ended_at is not None and self.ended_at <= time):
            return None
        place = len(self.points) - 1
        while self.points[place].time > time:
            place -= 1
        return self.points[place]


def open_carts(episodes: Iterable[Episode], now: int) -> list[Episode]:
    """One episode for each cart that holds something, by key: what profiles show as open. Stage, channel, time of the
    last change and currency are those of `last`, the lines and their value those of `lines`."""
    return sorted((one for one in episodes if one.lines and now < one.expires_at), key=lambda one: one.key)


def abandoned_at(episode: Episode, now: int) -> int | None:
    """The newest deadline that passed while the cart was open; None: it never was abandoned."""
    return max((quiet.deadline_at for quiet in episode.quiet if quiet.deadline_at <= now), default=None)


def recovered_at(episode: Episode) -> int | None:
    """When an order ended an episode that had been abandoned; None: none did."""
    return episode.ended_at if episode.quiet and episode.end in BY_ORDER else None


def value_of(lines: Iterable[CartLine], currency: str, given: str | None = None) -> Decimal | None:
    """Sum of the lines in `currency` or in none; lines in another one do not count. `given` stands where no line has
    a price."""
    total, priced = ZERO, False
    for line in lines:
        if line.price is not None and line.currency in (None, currency):
            total, priced = plus(total, EXACT.multiply(line.quantity, Decimal(line.price))), True
    if priced:
        return total
    return None if given is None else Decimal(given)


def value_text(value: Decimal | None, currency: str) -> str | None:
    return None if value is None else published(value, currency)


def contents(lines: Lines) -> int:
    """A digest of what is in a cart: SKUs and quantities."""
    text = "\n".join(f"{line.sku}\t{plain(line.quantity.normalize())}" for _, line in sorted(lines.items()))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())
