"""A person and the view of it: a pure function of its fragments, the policy and the time.

The document is assembled block by block; each block folds what all fragments say, so that a merge or a split is only
another list of fragments. Blocks without content are left out. `Horizon` collects when a block will change by time
alone. Every touchpoint changes one part of a document, only some change the other: that one can be kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec

from pipeline.core.blocks.attribution import attribution
from pipeline.core.blocks.carts import carts
from pipeline.core.blocks.commerce import commerce
from pipeline.core.blocks.engagement import engagement
from pipeline.core.blocks.history import history
from pipeline.core.blocks.horizon import Horizon, written
from pipeline.core.blocks.identifiers import identifiers
from pipeline.core.blocks.lineage import lineage
from pipeline.core.blocks.preferences import habits, likes, sizes
from pipeline.core.blocks.segments import segments
from pipeline.core.blocks.store import store
from pipeline.core.blocks.told import triggers
from pipeline.core.blocks.traits import consents, refuses_profiling, traits
from pipeline.core.blocks.wishes import lists, wishlist
from pipeline.core.events import IN_STORE
from pipeline.core.fragment import Fragment, Order
from pipeline.core.identifiers import Registry
from pipeline.core.ledger import Told
from pipeline.core.sales import bought, last_order, orders_of
from pipeline.core.touchpoint import Id

T = TypeVar("T")

BLOCKS: Final = (
    "created_at",
    "identity",
    "identifiers",
    "traits",
    "consents",
    "commerce",
    "preferences",
    "engagement",
    "carts",
    "wishlist",
    "lists",
    "attribution",
    "segments",
    "store",
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
    """What a person said, bought and was told: the part of a document that neither being there nor looking at products
    changes, unless something was bought in a store (`offline`). profiled: the person did not refuse it."""

    orders: Mapping[str, Order]
    blocks: dict[str, Any]
    size: dict[str, Any] | None
    offline: bool
    profiled: bool
    next_change: int | None
    """When a block changes with no new fact; None: never."""
    next_fade: int | None
    """The same of blocks that can wait for the sweep."""


class View(msgspec.Struct, gc=False):
    """blocks: the members of the document after its header, ready for JSON. updated_at: newest received time.
    next_change, next_fade: as of Deeds."""

    blocks: dict[str, Any]
    updated_at: int
    next_change: int | None
    next_fade: int | None


def deeds(person: Person, now: int, registry: Registry, ledger: Mapping[str, Told] | None) -> Deeds:
    """ledger: trigger id -> what was published of it."""
    policy, fragments = registry.policy, person.fragments
    profile, horizon = policy.profile, Horizon(now)
    orders = orders_of(fragments)
    sold = bought(fragments, orders)
    allowed = consents(fragments)
    profiled = not refuses_profiling(allowed)
    blocks = {
        "traits": traits(fragments, policy),
        "consents": allowed,
        "commerce": commerce(orders, sold, fragments, policy, horizon),
        "carts": carts(fragments, policy, horizon),
        "wishlist": wishlist(fragments, policy),
        "lists": lists(fragments, policy),
        "attribution": attribution(
            fragments, last_order(fragments, sold), policy.bounds.touches, profile.position_weights
        ),
        "store": store(fragments, policy, horizon),
        "triggers": triggers(ledger, horizon) if ledger else None,
    }
    size = sizes(fragments, sold, profile.preference_min)
    offline = any(one.sale.channel in IN_STORE for one in sold)
    return Deeds(orders, _present(blocks), size, offline, profiled, horizon.next, horizon.fades)


def tastes(person: Person, registry: Registry, known: Deeds) -> dict[str, Any]:
    """What follows of deeds and product views: members of `preferences`."""
    found = {} if known.size is None else {"size": known.size}
    if known.profiled:
        found |= likes(person.fragments, known.orders, registry.policy.profile)
    return found


def presence(person: Person, now: int, registry: Registry, known: Deeds, tastes: Mapping[str, Any]) -> View:
    """The other part: who the person is, when it was here, and what follows from all of the document."""
    policy, fragments = registry.policy, person.fragments
    seen, horizon = history(person.ids, fragments), Horizon(now)
    blocks = _present(
        {
            "created_at": written(seen.first) if seen.count else None,
            "identity": _identity(person, registry),
            "identifiers": identifiers(seen, fragments, person.shared, registry) or None,
            "preferences": {**habits(fragments, policy.profile.preference_min), **tastes} or None,
            "engagement": engagement(seen, known.orders, fragments, policy, horizon),
            "lineage": lineage(seen, fragments, policy),
        }
    )
    rules = policy.profile.segments
    if rules and known.profiled:
        document = {"profile_id": person.profile_id, **blocks, **known.blocks}
        found = segments(document, rules, policy.profile.timezone, horizon)
        if found is not None:
            blocks["segments"] = found
    updated_at = max((max(fragment.received, fragment.hub) for fragment in fragments), default=0)
    return View(blocks, updated_at, horizon.next, horizon.fades)


def view(person: Person, now: int, registry: Registry, ledger: Mapping[str, Told] | None) -> View:
    """The document of a person at `now`: both parts."""
    known = deeds(person, now, registry, ledger)
    seen = presence(person, now, registry, known, tastes(person, registry, known))
    return View(
        in_order(seen.blocks | known.blocks),
        seen.updated_at,
        sooner(seen.next_change, known.next_change),
        sooner(seen.next_fade, known.next_fade),
    )


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
