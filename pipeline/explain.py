"""`selvedge explain`: what is known of identifiers, from a running system, from a replay, or from files of touchpoints.

Only looks: nothing is claimed, committed or written. What a worker is reading at this moment may not be in yet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cramjam

from pipeline import shards
from pipeline.core import policy as policies
from pipeline.core import state
from pipeline.core.explain import evidence
from pipeline.core.explain.graph import graph, graphml
from pipeline.core.explain.known import Known
from pipeline.core.explain.picture import svg
from pipeline.core.explain.records import Explanation, to_json
from pipeline.core.explain.text import text
from pipeline.core.fragment_rows import decode_fragment
from pipeline.core.identifiers import Registry
from pipeline.core.policy import Policy
from pipeline.core.policy_changes import changes
from pipeline.core.touchpoint import Id
from pipeline.replay import EVIDENCE

if TYPE_CHECKING:
    from pipeline.settings import Settings


FRAGMENTS = b"F"
"""What the keys of their state rows begin with."""


class CannotExplain(Exception):
    """There is nothing to explain from; the message says what is missing."""


def from_files(paths: Sequence[Path], registry: Registry, progress: Callable[[int], None] | None = None) -> Known:
    """What is known after all touchpoints of the files. What a reader refuses is passed over."""
    return Known(shards.from_files(paths, registry, progress).fragments(), registry)


def from_directory(directory: Path, secret: bytes) -> Known:
    """What a replay left in its directory, with the policy that it was made with. Raises CannotExplain."""
    file = directory / EVIDENCE
    if not file.exists():
        raise CannotExplain(f"{directory} has no {EVIDENCE}: it was not written by `selvedge replay` of this version")
    try:
        found = evidence.decode(bytes(cramjam.zstd.decompress(file.read_bytes())))
    except (cramjam.DecompressionError, evidence.UnreadableEvidence) as error:
        raise CannotExplain(f"{file}: {error}") from None
    registry = Registry(policies.load(found.policy), secret)
    if found.key_check != registry.key_check:
        raise CannotExplain(f"{file} was made with another hash key: set SELVEDGE_HASH_KEY_FILE to that one")
    return Known(found.fragments, registry)


def from_state(settings: Settings, registry: Registry) -> Known:
    """What the state topic has. Where workers have not been restarted with the policy yet, it is laid over. Raises
    StateError if another hash key made it, or a policy that folds in another way."""
    from pipeline.kafka.look import state_rows

    found = state_rows(settings, registry.shards, FRAGMENTS + state.KEY)
    made_with_it = [state.check(rows[state.KEY], registry) for rows in found if state.KEY in rows]
    fragments = (decode_fragment(row) for rows in found for key, row in rows.items() if key[:1] == FRAGMENTS)
    known = Known(fragments, registry)
    return known if all(made_with_it) else known.under(registry)


def under(known: Known, policy: Policy, secret: bytes) -> Known:
    """The same under another policy. Raises CannotExplain if that would fold touchpoints in another way."""
    keys = ", ".join(change.key for change in changes(known.registry.policy, policy) if change.fold)
    if keys:
        raise CannotExplain(
            f"{keys}: decides how touchpoints are folded, so that only a history shows what would differ: "
            "give its files with --input"
        )
    return known.under(Registry(policy, secret))


def shown(known: Known, found: Explanation, asked: Sequence[Id], shape: str) -> str:
    """shape: text, json, graphml or svg."""
    if shape == "json":
        return to_json(found).decode() + "\n"
    if shape == "text":
        return text(found)
    drawn = graph(known, *asked)
    return graphml(drawn) if shape == "graphml" else svg(drawn)
