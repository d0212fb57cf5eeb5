"""identifiers: who the person is, as the policy publishes it, strongest first.

`raw` shows the value, `sha256` its hash, `omit` nothing at all. The value of an e-mail or a phone that only ever came
as a hash is not known; until it is, the hash is shown. Wherever a hash stands, the type says so: `email_sha256` with
the hex digest of the normalised value, which is also what a touchpoint may carry.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any

from pipeline.core.blocks.history import History, Share
from pipeline.core.blocks.horizon import written
from pipeline.core.fragment import Fragment
from pipeline.core.identifiers import Registry
from pipeline.core.touchpoint import Id

_HASHED = frozenset({"email", "phone"})
"""Types whose canonical text has the hash in place of the value."""


def published(id: Id, plain: str | None, registry: Registry) -> tuple[str, str, str] | None:
    """(key, type, value) as the policy lets an identifier be seen, None if not at all. `plain`: the readable value of
    an e-mail or a phone, where known. The key is the canonical text, with the hash by policy, whatever is known."""
    type, _, value = id.partition(":")
    how = registry.policy.publish.identifiers.get(type, "raw")
    if how == "omit":
        return None
    if _is_hashed(type, registry):
        return (id, type, plain) if how == "raw" and plain is not None else (id, f"{type}_sha256", value)
    if how == "raw":
        return id, type, value
    digest = _sha256(value)
    return f"{type}:{digest}", f"{type}_sha256", digest


def how_shown(id: Id, registry: Registry) -> str:
    """raw, sha256, or empty: not at all."""
    how = registry.policy.publish.identifiers.get(id.partition(":")[0], "raw")
    return "" if how == "omit" else how


def key_of_row(id: Id, how: str, registry: Registry) -> str | None:
    """The key of the identities row of an identifier that is shown so; None: there is none."""
    if not how:
        return None
    type, _, value = id.partition(":")
    return id if how == "raw" or _is_hashed(type, registry) else f"{type}:{_sha256(value)}"


def _is_hashed(type: str, registry: Registry) -> bool:
    return type in _HASHED and registry.policy.identity.normalise


@lru_cache(maxsize=16_384)
def _sha256(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()


def identifiers(history: History, fragments: list[Fragment], shared: bool, registry: Registry) -> list[dict[str, Any]]:
    plain = {id: value for fragment in reversed(fragments) for id, value in fragment.plain.items()}
    rows = []
    for id, share in history.shares.items():
        shown = published(id, plain.get(id), registry)
        if shown is not None:
            rows.append(_row(shown, share, shared))
    return rows


def _row(shown: tuple[str, str, str], share: Share, shared: bool) -> dict[str, Any]:
    row: dict[str, Any] = {"type": shown[1], "value": shown[2]}
    if share.count:
        row["first_seen"] = written(share.first)
        row["last_seen"] = written(share.last)
    row["count"] = share.count
    row["sources"] = sorted(share.sources)
    row["verified"] = True
    row["shared"] = shared
    return row
