"""What crosses the border of the core: a decoded touchpoint, or the reason why a record is none.

`Data` and its parts are the data members of touchpoints.md section 3, as typed JSON. A dialect fills the same structs.
Times are whole microseconds since 1970-01-01 UTC; money is `Decimal`, read exactly.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NewType

import msgspec

Id = NewType("Id", str)
"""Canonical text of an identifier, `type:value`; for e-mail and phone `type:` + SHA-256 of the normalised value."""

ONE = Decimal(1)


class RawIdentifier(msgspec.Struct, gc=False, omit_defaults=True, frozen=True):
    type: str
    value: str | int | None = None
    verified: bool = True


class Device(msgspec.Struct, gc=False, omit_defaults=True):
    type: str | None = None
    model: str | None = None
    os: str | None = None


class CartRef(msgspec.Struct, gc=False, omit_defaults=True):
    id: str | None = None
    checkout_id: str | None = None
    recovery_url: str | None = None
    currency: str | None = None
    value: Decimal | None = None


class OrderRef(msgspec.Struct, gc=False, omit_defaults=True):
    id: str | None = None
    total: Decimal | None = None
    amount: Decimal | None = None
    currency: str | None = None
    tax: Decimal | None = None
    shipping: Decimal | None = None
    discount: Decimal | None = None
    coupon: str | None = None
    status: str | None = None
    fulfilment: str | None = None
    store: str | None = None


class Item(msgspec.Struct, gc=False, omit_defaults=True):
    sku: str | None = None
    product_id: str | None = None
    name: str | None = None
    variant: str | None = None
    size: str | None = None
    brand: str | None = None
    category: str | None = None
    quantity: Decimal = ONE
    price: Decimal | None = None
    currency: str | None = None
    url: str | None = None
    image_url: str | None = None
    stock: Decimal | None = None


class ListRef(msgspec.Struct, gc=False, omit_defaults=True):
    id: str | None = None
    name: str | None = None


class Store(msgspec.Struct, gc=False, omit_defaults=True):
    id: str | None = None
    register: str | None = None
    staff: str | None = None


class Campaign(msgspec.Struct, gc=False, omit_defaults=True):
    source: str | None = None
    medium: str | None = None
    name: str | None = None
    term: str | None = None
    content: str | None = None


class ConsentRef(msgspec.Struct, gc=False, omit_defaults=True):
    """state: granted, denied or revoked; a reader refuses anything else, and none."""

    channel: str = "*"
    purpose: str = "marketing"
    state: str = ""
    effective: str | None = None
    proof: str | None = None


class MessageRef(msgspec.Struct, gc=False, omit_defaults=True):
    trigger_id: str | None = None
    link: str | None = None


class Data(msgspec.Struct, gc=False, omit_defaults=True):
    identifiers: list[RawIdentifier] = []
    session: str | None = None
    channel: str | None = None
    device: Device | None = None
    cart: CartRef | None = None
    order: OrderRef | None = None
    items: list[Item] = []
    shared_list: ListRef | None = msgspec.field(default=None, name="list")
    store: Store | None = None
    campaign: Campaign | None = None
    consent: ConsentRef | None = None
    traits: dict[str, Any] = {}
    message: MessageRef | None = None
    query: str | None = None


class Touchpoint(msgspec.Struct, gc=False, omit_defaults=True):
    """One event of one person on one channel, identifiers resolved. `ids` is distinct, strongest first; ids[0] is the
    anchor; empty only for catalogue facts (price.changed, stock.changed). `time` is clamped, `received` is not later
    than the record's own timestamp + 5 min. `plain` has the readable value of e-mail and phone ids, where known."""

    id: str
    source: str
    channel: str
    type: str
    time: int
    received: int
    ids: tuple[Id, ...]
    data: Data
    plain: dict[Id, str] | None = None
    hints: tuple[tuple[str, str], ...] = ()
    blocked: int = 0
    client_time: int | None = None
    effective: int | None = None
    dialect: str = "cloudevents"
    trace: str | None = None
    """The W3C traceparent under which it was sent; after a space the tracestate, if there is one."""


class Rejected(msgspec.Struct, frozen=True):
    """Bad input as a value. `code` is one of touchpoints.md section 3, `message` says which field and why, without
    personal data; id and source are there where they could be read."""

    code: str
    message: str
    id: str | None = None
    source: str | None = None
    stage: str = "DECODE"
