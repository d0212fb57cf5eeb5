"""The evidence of a run in one file: what fragments say of who is one person, and nothing else of them.

Readable values are in it only where the policy publishes them. The same history gives the same bytes for any number of
shards.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import Final

import msgspec

from pipeline.core.fragment import Fragment
from pipeline.core.identifiers import Registry
from pipeline.core.policy import dump

FORMAT: Final = 1


class Evidence(msgspec.Struct, array_like=True):
    """policy: TOML of the whole effective policy. key_check: of the secret that made the profile ids."""

    format: int
    key_check: str
    policy: str
    fragments: list[Fragment]


class UnreadableEvidence(ValueError):
    """The bytes are no evidence, or of another version."""


_decode = msgspec.msgpack.Decoder(Evidence).decode


def encode(fragments: Iterable[Fragment], registry: Registry) -> bytes:
    kept = sorted((_reduced(fragment, registry) for fragment in fragments), key=attrgetter("id"))
    return msgspec.msgpack.encode(Evidence(FORMAT, registry.key_check, dump(registry.policy), kept))


def decode(row: bytes) -> Evidence:
    try:
        evidence = _decode(row)
    except msgspec.MsgspecError as error:
        raise UnreadableEvidence(f"this is no evidence of a replay: {error}") from None
    if evidence.format != FORMAT:
        raise UnreadableEvidence(
            f"the evidence has format {evidence.format}, this version reads {FORMAT}: replay again"
        )
    return evidence


def _reduced(fragment: Fragment, registry: Registry) -> Fragment:
    shown = registry.policy.publish.identifiers
    plain = {id: value for id, value in fragment.plain.items() if shown.get(registry.type(id), "raw") == "raw"}
    return Fragment(
        fragment.id,
        born=fragment.born,
        sets=dict(sorted(fragment.sets.items())),
        rest=dict(sorted(fragment.rest.items())),
        plain=dict(sorted(plain.items())),
        hub=fragment.hub,
        shared=dict(sorted(fragment.shared.items())),
        vetoes=dict(sorted(fragment.vetoes.items())),
        met=fragment.met,
    )
