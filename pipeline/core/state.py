"""What a shard's state was made with: one row that says whether this process may go on with it."""

from __future__ import annotations

import msgspec

from pipeline.core.identifiers import Registry

FORMAT = 1
KEY = b"M"


class StateError(Exception):
    """The state of a shard was made with another hash key, policy or format. The message says what to do."""


class Made(msgspec.Struct, array_like=True, frozen=True):
    format: int
    key_check: str
    fold_digest: str
    digest: str
    shards: int


def made_with(registry: Registry) -> Made:
    policy = registry.policy
    return Made(FORMAT, registry.key_check, policy.fold_digest, policy.digest, registry.shards)


def encode(made: Made) -> bytes:
    return msgspec.msgpack.encode(made)


def check(row: bytes, registry: Registry) -> bool:
    """Whether the policy is the one that the state was solved with; if not, every cluster has to be regrouped.
    Raises StateError where the state cannot be used."""
    made = msgspec.msgpack.decode(row, type=Made)
    wanted = made_with(registry)
    if made.format != wanted.format:
        raise StateError(f"the state has format {made.format}, this version reads {wanted.format}")
    if made.shards != wanted.shards:
        raise StateError(
            f"the state has {made.shards} shards, the topics have {wanted.shards}; shards are fixed for life"
        )
    if made.key_check != wanted.key_check:
        raise StateError(
            "the state was made with another hash key: set SELVEDGE_HASH_KEY_FILE to the key it was made with"
        )
    if made.fold_digest != wanted.fold_digest:
        raise StateError(
            "the state was folded with another policy: a key that decides how touchpoints are folded has changed. "
            "Take the change back, or start over with an empty state topic"
        )
    return made.digest == wanted.digest
