"""A person and the view of it: a pure function of its fragments, the policy and the time.

The document is assembled block by block; each block folds what all fragments say, so that a merge or a split is only
another list of fragments. Blocks without content are left out. `Horizon` collects when a block will change by time
alone. Every touchpoint changes one part of a document, only some change the other: that one can be kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec

from pipeline.core.blocks.carts import carts
from pipeline.core.blocks.commerce import commerce
from pipeline.core.blocks.engagement import engagement
from pipeline.core.blocks.history import history
from pipeline.core.blocks.horizon import Horizon, written
from pipeline.core.blocks.identifiers import identifiers
from pipeline.core.blocks.lineage import lineage
from pipeline.core.blocks.told import triggers
from pipeline.core.blocks.traits import consents, traits
from pipeline.core.fragment import Fragment, Order
from pipeline.core.identifiers import Registry
from pipeline.core.ledger import Told
from pipeline.core.sales import orders_of
from pipeline.core.touchpoint import Id

T = TypeVar("T")

BLOCKS: Final = (
    "created_at",
    "identity",
    "identifiers",
    "traits",
    "consents",
    "commerce",
    "engagement",
    "carts",
    "triggers",
    "lineage",
)


class Person(msgspec.Struct, gc=False):
    """ids: strongest first. fragments: of those ids that have one, by id. shared: it is one shared identifier."""

    ids: tuple[Id, ...]
    fragments: list[Fragment]
    profile_id: str
    shared: bool = False
    oversize: bool = False
    conflicts: int = 0


class Deeds(msgspec.Struct, gc=False):
    """What a person said, bought and was told: the part of a document that merely being there does not change.
    next_change: when a block changes with no new fact; None: never."""

    orders: Mapping[str, Order]
    blocks: dict[str, Any]
    next_change: int | None


class View(msgspec.Struct, gc=False):
    """blocks: the members of the document after its header, ready for JSON. updated_at: newest received time.
    next_change: when a block changes with no new fact; None: never."""

    blocks: dict[str, Any]
    updated_at: int
    next_change: int | None


def deeds(person: Person, now: int, registry: Registry, ledger: Mapping[str, Told] | None) -> Deeds:
    """ledger: trigger id -> what was published of it."""
    policy, fragments = registry.policy, person.fragments
    orders, horizon = orders_of(fragments), Horizon(now)
    blocks = {
        "traits": traits(fragments, policy.profile.source_priority),
        "consents": consents(fragments),
        "commerce": commerce(orders, fragments, policy.profile.currency),
        "carts": carts(fragments, policy, horizon),
        "triggers": triggers(ledger, horizon) if ledger else None,
    }
    return Deeds(orders, _present(blocks), horizon.next)


def presence(person: Person, now: int, registry: Registry, orders: Mapping[str, Order]) -> View:
    """The other part: who the person is and when it was here. orders: of all fragments."""
    policy, fragments = registry.policy, person.fragments
    seen, horizon = history(person.ids, fragments), Horizon(now)
    blocks = {
        "created_at": written(seen.first) if seen.count else None,
        "identity": _identity(person, registry),
        "identifiers": identifiers(seen, fragments, person.shared, registry) or None,
        "engagement": engagement(seen, orders, fragments, policy, horizon),
        "lineage": lineage(seen, policy),
    }
    updated_at = max((max(fragment.received, fragment.hub) for fragment in fragments), default=0)
    return View(_present(blocks), updated_at, horizon.next)


def view(person: Person, now: int, registry: Registry, ledger: Mapping[str, Told] | None) -> View:
    """The document of a person at `now`: both parts."""
    known = deeds(person, now, registry, ledger)
    seen = presence(person, now, registry, known.orders)
    blocks = in_order(seen.blocks | known.blocks)
    return View(blocks, seen.updated_at, sooner(seen.next_change, known.next_change))


def in_order(blocks: Mapping[str, T]) -> dict[str, T]:
    """The blocks as they stand in a document."""
    return {name: blocks[name] for name in BLOCKS if name in blocks}


def sooner(one: int | None, other: int | None) -> int | None:
    """The sooner of two times; None is never."""
    return min(one, other) if one is not None and other is not None else one if other is None else other


def _present(blocks: dict[str, Any]) -> dict[str, Any]:
    return {name: block for name, block in blocks.items() if block is not None}


def _identity(person: Person, registry: Registry) -> dict[str, Any]:
    return {
        "kind": "known" if registry.names_somebody(person.ids[0]) else "anonymous",
        "size": len(person.ids),
        "conflicts": person.conflicts,
        "oversize": person.oversize,
    }
