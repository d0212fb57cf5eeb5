"""The view of a person: its document, a pure function of its fragments, the policy and the time.

The document is assembled block by block; each block folds what all fragments say, so that a merge or a split is only
another list of fragments. Blocks without content are left out. `Horizon` collects when a block will change by time
alone. `RECIPES` says of each block what it is made from, so that one whose facts did not change need not be made anew
(see `draft`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from pipeline.core.blocks.attribution import attribution
from pipeline.core.blocks.carts import carts
from pipeline.core.blocks.commerce import commerce
from pipeline.core.blocks.engagement import engagement
from pipeline.core.blocks.horizon import Horizon, written
from pipeline.core.blocks.identifiers import identifiers
from pipeline.core.blocks.ingredients import GROUP, PUTS, SEEN, TOLD, TRADES, TRIPS, WORDS
from pipeline.core.blocks.lineage import lineage
from pipeline.core.blocks.preferences import habits
from pipeline.core.blocks.segments import segments
from pipeline.core.blocks.sources import Sources
from pipeline.core.blocks.store import store
from pipeline.core.blocks.told import triggers
from pipeline.core.blocks.traits import traits
from pipeline.core.blocks.wishes import lists, wishlist
from pipeline.core.fragment import Fragment
from pipeline.core.identifiers import Registry
from pipeline.core.ledger import Told
from pipeline.core.person import Person
from pipeline.core.policy_sections import BLOCKS
from pipeline.core.sales import last_order

HEADER: Final = ("created_at", "identity")
"""Members of every document, also of a reduced one."""
MEMBERS: Final = (*HEADER, *BLOCKS)
"""As they stand in a document."""


class View(msgspec.Struct, gc=False):
    """blocks: the members of the document after its header, ready for JSON. updated_at: newest received time."""

    blocks: dict[str, Any]
    updated_at: int
    next_change: int | None
    """When a block changes with no new fact; None: never."""
    next_fade: int | None
    """The same of blocks that can wait for the sweep."""


def view(person: Person, now: int, registry: Registry, ledger: Mapping[str, Told] | None) -> View:
    """The document of a person at `now`. ledger: trigger id -> what was published of it."""
    sources, horizon = Sources(person, registry, ledger or {}), Horizon(now)
    blocks = {name: recipe.make(sources, horizon) for name, recipe in RECIPES.items()}
    blocks["segments"] = segments_of(blocks, sources, horizon)
    shown = {name: blocks[name] for name in MEMBERS if blocks[name] is not None}
    return View(shown, updated_at(person.fragments), horizon.next, horizon.fades)


def updated_at(fragments: list[Fragment]) -> int:
    newest = 0
    for fragment in fragments:
        newest = max(newest, fragment.received, fragment.hub)
    return newest


def sooner(one: int | None, other: int | None) -> int | None:
    """The sooner of two times; None is never."""
    return min(one, other) if one is not None and other is not None else one if other is None else other


def segments_of(blocks: Mapping[str, Any], sources: Sources, horizon: Horizon) -> list[str] | None:
    """The last block: it is made from all others. Those without content are None."""
    rules = sources.policy.profile.segments
    if not rules or not sources.profiled:
        return None
    document = {name: block for name, block in blocks.items() if block is not None}
    document["profile_id"] = sources.person.profile_id
    return segments(document, rules, sources.policy.profile.timezone, horizon)


class Recipe(NamedTuple):
    """How a block is made, None where it has no content. of: the facts it is made from, beside the time; what it needs
    of some persons only, it tells the horizon."""

    of: int
    make: Callable[[Sources, Horizon], Any]


def _created_at(sources: Sources, horizon: Horizon) -> str | None:
    history = sources.history
    return written(history.first) if history.count else None


def _identity(sources: Sources, horizon: Horizon) -> dict[str, Any]:
    person = sources.person
    return {
        "kind": "known" if sources.registry.names_somebody(person.ids[0]) else "anonymous",
        "size": len(person.ids),
        "conflicts": person.conflicts,
        "oversize": person.oversize,
    }


def _identifiers(sources: Sources, horizon: Horizon) -> list[dict[str, Any]] | None:
    person = sources.person
    return identifiers(sources.history, person.fragments, person.shared, sources.registry) or None


def _preferences(sources: Sources, horizon: Horizon) -> dict[str, Any] | None:
    block = habits(sources.fragments, sources.policy.profile.preference_min)
    size = sources.sizes
    if size is not None:
        block["size"] = size
    block.update(sources.likes)
    return block or None


def _attribution(sources: Sources, horizon: Horizon) -> dict[str, Any] | None:
    policy, fragments = sources.policy, sources.fragments
    last = last_order(fragments, sources.sold)
    return attribution(fragments, last, policy.bounds.touches, policy.profile.position_weights)


RECIPES: Final[Mapping[str, Recipe]] = {
    "created_at": Recipe(SEEN, _created_at),
    "identity": Recipe(GROUP, _identity),
    "identifiers": Recipe(SEEN | GROUP, _identifiers),
    "traits": Recipe(WORDS, lambda of, _: traits(of.fragments, of.policy)),
    "consents": Recipe(WORDS, lambda of, _: of.consents),
    "commerce": Recipe(
        TRADES | TRIPS, lambda of, horizon: commerce(of.orders, of.sold, of.fragments, of.policy, horizon)
    ),
    "preferences": Recipe(SEEN, _preferences),
    "engagement": Recipe(SEEN, lambda of, horizon: engagement(of.history, of.orders, of.fragments, of.policy, horizon)),
    "carts": Recipe(PUTS | TRADES, lambda of, horizon: carts(of.fragments, of.policy, horizon)),
    "wishlist": Recipe(WORDS, lambda of, _: wishlist(of.fragments, of.policy)),
    "lists": Recipe(WORDS, lambda of, _: lists(of.fragments, of.policy)),
    "attribution": Recipe(WORDS | TRADES, _attribution),
    "store": Recipe(TRIPS | TRADES, lambda of, horizon: store(of.fragments, of.policy, horizon)),
    "triggers": Recipe(TOLD, lambda of, horizon: triggers(of.ledger, horizon) if of.ledger else None),
    "lineage": Recipe(SEEN, lambda of, _: lineage(of.history, of.fragments, of.policy)),
}
"""All blocks but the segments."""
