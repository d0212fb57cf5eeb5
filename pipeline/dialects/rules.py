"""What each type of touchpoint needs, as one table; and what a type and a source may be called."""

from __future__ import annotations

from typing import Final

import msgspec

from pipeline.core.events import (
    BASKET,
    CART,
    CART_DELTA,
    CHANNELS,
    KNOWN,
    LIST,
    ORDER,
    WISHLIST,
)
from pipeline.dialects.refused import bad_envelope, bad_field

NAME_CHARS_MAX: Final = 256


class Rule(msgspec.Struct, frozen=True, gc=False):
    """What a type needs. `items`: each of them names a product; `least`: how many there are at least; `fact`: a member
    each item must have; `lines`: they are lines of a cart, in which 0 pieces are no line; `delta`: each adds or removes
    something; `member`: a member of the data that must be there, with an id if it has one;
    `named`: identifiers are resolved and needed."""

    type: str
    items: bool = False
    least: int = 0
    fact: str | None = None
    lines: bool = False
    delta: bool = False
    member: str | None = None
    named: bool = True


def _rules() -> dict[str, Rule]:
    rules = {type: Rule(type) for type in KNOWN}
    for type in CART | BASKET:
        rules[type] = Rule(type, items=True, lines=True)
    for type in (*CART_DELTA, "store.item_scanned"):
        rules[type] = Rule(type, items=True, least=1, delta=True)
    for type in (*WISHLIST, "stock.subscribed"):
        rules[type] = Rule(type, items=True, least=1)
    for type in ORDER:
        rules[type] = Rule(type, items=True, member="order")
    rules["price.changed"] = Rule("price.changed", items=True, least=1, fact="price", named=False)
    rules["stock.changed"] = Rule("stock.changed", items=True, least=1, fact="stock", named=False)
    rules["consent.changed"] = Rule("consent.changed", member="consent")
    rules[LIST] = Rule(LIST, items=True, member="shared_list")
    return rules


_RULES: Final = _rules()


def rule_of(type: str) -> Rule:
    """The rule of a type; a reverse-DNS prefix before a known type is stripped, an unknown type needs nothing."""
    if not type or len(type) > NAME_CHARS_MAX:
        raise bad_envelope(f"type: 1 to {NAME_CHARS_MAX} characters")
    known = type if type in KNOWN else ".".join(type.split(".")[-2:])
    return _RULES.get(known) or Rule(type)


def channel_of(source: str) -> str:
    """The channel of a source `<channel>/<name>`."""
    channel, slash, name = source.partition("/")
    if not slash or not name or len(source) > NAME_CHARS_MAX or not source.isprintable():
        raise bad_envelope(f"source: not <channel>/<name> of at most {NAME_CHARS_MAX} printable characters")
    return checked_channel("source", channel)


def checked_channel(field: str, channel: str) -> str:
    if channel not in CHANNELS:
        raise bad_field(field, "the channel is none of " + ", ".join(sorted(CHANNELS)))
    return channel
