"""What a shard's state was made with: one row that says whether this process may go on with it."""

from __future__ import annotations

import msgspec

from pipeline.core.identifiers import Registry
from pipeline.core.policy import READ_KEYS

FORMAT = 1
KEY = b"M"
REBUILD = "selvedge rebuild"


class StateError(Exception):
    """The state of a shard was made with another hash key, policy or format. The message says what to do."""


class Outdated(StateError):
    """The same where reading all touchpoints of the topic again is all it takes. shards: of the deployment."""

    def __init__(self, message: str, shards: int) -> None:
        super().__init__(message)
        self.shards = shards


class Made(msgspec.Struct, array_like=True, frozen=True):
    """fold: the keys of the policy that decide how touchpoints are folded, with their values as TOML. rebuilding: a
    rebuild has begun and not ended. archived: what an archive held is in it, or was to be."""

    format: int
    key_check: str
    fold_digest: str
    digest: str
    shards: int
    fold: dict[str, str] = {}
    rebuilding: bool = False
    archived: bool = False


def made_with(registry: Registry, *, rebuilding: bool = False, archived: bool = False) -> Made:
    policy = registry.policy
    return Made(
        FORMAT,
        registry.key_check,
        policy.fold_digest,
        policy.digest,
        registry.shards,
        policy.fold_values,
        rebuilding,
        archived,
    )


def encode(made: Made) -> bytes:
    return msgspec.msgpack.encode(made)


def check(row: bytes, registry: Registry) -> bool:
    """Whether the policy is the one that the state was solved with; if not, every cluster has to be regrouped.
    Raises StateError where the state cannot be used."""
    made = readable(row, registry)
    if made.rebuilding:
        unfinished = f"a rebuild of the state has begun and was not finished; run: {REBUILD}"
        raise StateError(unfinished) if made.archived else Outdated(unfinished, made.shards)
    wanted = made_with(registry)
    if made.fold_digest != wanted.fold_digest:
        changed = [key for key in wanted.fold if made.fold.get(key) != wanted.fold[key]]
        told = "; ".join(f"{key} is {wanted.fold[key]}, the state has {made.fold.get(key)}" for key in changed)
        refused = f"the state was folded with another policy: {told}. Take the change back, or run: {REBUILD}"
        topic_has_all = not made.archived and set(changed) <= set(READ_KEYS)
        raise Outdated(refused, made.shards) if topic_has_all else StateError(refused)
    return made.digest == wanted.digest


def readable(row: bytes, registry: Registry) -> Made:
    """What the state was made with, if its rows can be read at all. Raises StateError."""
    made = msgspec.msgpack.decode(row, type=Made)
    if made.format != FORMAT:
        raise StateError(f"the state has format {made.format}, this version reads {FORMAT}")
    if made.shards != registry.shards:
        raise StateError(
            f"the state has {made.shards} shards, the topics have {registry.shards}; shards are fixed for life"
        )
    if made.key_check != registry.key_check:
        raise StateError(
            "the state was made with another hash key: set SELVEDGE_HASH_KEY_FILE to the key it was made with"
        )
    return made
