"""The shell's own rows in the state topic, beside those of the core (partition = shard).

A claim says that a process wants to own the shard or owns it, one row per transactional id; deleting it releases. The
position row says how far the sources have been read into the state: it is committed with the rows it belongs to.
Keys of the core never begin with 0xFF.
"""

from __future__ import annotations

import msgspec

SHELL = b"\xff"
CLAIM = SHELL + b"claim:"
POSITION = SHELL + b"position"


class Position(msgspec.Struct):
    """touchpoints, mail: offset of the next record to read. now: the newest clock the shard was evaluated at;
    received: newest received time of a touchpoint read (microseconds, 0: none)."""

    touchpoints: int
    mail: int
    now: int = 0
    received: int = 0


encode_position = msgspec.json.Encoder().encode
decode_position = msgspec.json.Decoder(Position).decode


def claim_key(transactional_id: str) -> bytes:
    return CLAIM + transactional_id.encode()


def claimant(key: bytes) -> str:
    """The transactional id of a claim's key."""
    return key.removeprefix(CLAIM).decode()
