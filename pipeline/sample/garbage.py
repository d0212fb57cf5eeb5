"""Records that no reader can take: broken bytes, other people's JSON, touchpoints with a fault. None holds a line feed,
so that each is a line of a file."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import msgspec

from pipeline.core import times


def garbage(random: Random, received: int) -> bytes:
    return random.choice(_KINDS)(random, received)


def _noise(random: Random, _: int) -> bytes:
    return b"\xff\xfe" + random.randbytes(random.randrange(4, 40)).translate(None, b"\r\n")


def _foreign(random: Random, _: int) -> bytes:
    return random.choice((b"[]", b"42", b'"hello"', b'{"hello":"world"}', b"<xml/>", b"a,b,c"))


def _cut(random: Random, received: int) -> bytes:
    whole = _touchpoint(random, received)
    return whole[: random.randrange(20, len(whole) - 1)]


def _nobody(random: Random, received: int) -> bytes:
    return _touchpoint(random, received, identifiers=[{"type": "cookie", "value": "undefined"}])


def _two_cards(random: Random, received: int) -> bytes:
    cards = [{"type": "loyalty", "value": f"L-x{n}-{random.getrandbits(24)}"} for n in range(2)]
    return _touchpoint(random, received, identifiers=cards)


def _bad_price(random: Random, received: int) -> bytes:
    return _touchpoint(random, received, items=[{"sku": "SKU-1-0", "price": "cheap"}])


def _old_version(random: Random, received: int) -> bytes:
    return _touchpoint(random, received).replace(b'"1.0"', b'"0.3"')


_KINDS: tuple[Callable[[Random, int], bytes], ...] = (
    _noise, _foreign, _cut, _nobody, _two_cards, _bad_price, _old_version,
)  # fmt: skip


def _touchpoint(random: Random, received: int, **data: Any) -> bytes:
    identifiers = [{"type": "cookie", "value": f"ck-x-{random.getrandbits(32):08x}"}]
    envelope = {
        "specversion": "1.0",
        "id": f"x-{random.getrandbits(64):016x}",
        "source": "web/shop-de",
        "type": "product.viewed",
        "time": times.text(received),
        "recordedtime": times.text(received),
        "data": {"identifiers": identifiers} | data,
    }
    return msgspec.json.encode(envelope)
