"""A person and the view of it: a pure function of its fragments, the policy and the time.

The document is assembled block by block in one order; each block folds what all fragments say, so that a merge or a
split is only another list of fragments. Blocks without content are left out. `Horizon` collects when a block will
change by time alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
from pipeline.core.fragment import Fragment
from pipeline.core.identifiers import Registry
from pipeline.core.ledger import Told
from pipeline.core.sales import orders_of
from pipeline.core.touchpoint import Id


class Person(msgspec.Struct, gc=False):
    """ids: strongest first. fragments: of those ids that have one, by id. shared: it is one shared identifier."""

    ids: tuple[Id, ...]
    fragments: list[Fragment]
    profile_id: str
    shared: bool = False
    oversize: bool = False
    conflicts: int = 0


class View(msgspec.Struct, gc=False):
    """blocks: the members of the document after its header, ready for JSON. updated_at: newest received time.
    next_change: when a block changes with no new fact; None: never."""

    blocks: dict[str, Any]
    updated_at: int
    next_change: int | None


def view(person: Person, now: int, registry: Registry, ledger: Mapping[str, Told] | None) -> View:
    """The document of a person at `now`. ledger: trigger id -> what was published of it."""
    policy, fragments = registry.policy, person.fragments
    seen = history(person.ids, fragments)
    orders, horizon = orders_of(fragments), Horizon(now)
    blocks = {
        "created_at": written(seen.first) if seen.count else None,
        "identity": _identity(person, registry),
        "identifiers": identifiers(seen, fragments, person.shared, registry) or None,
        "traits": traits(fragments, policy.profile.source_priority),
        "consents": consents(fragments),
        "commerce": commerce(orders, fragments, policy.profile.currency),
        "engagement": engagement(seen, orders, fragments, policy, horizon),
        "carts": carts(fragments, policy, horizon),
        "triggers": triggers(ledger, horizon) if ledger else None,
        "lineage": lineage(seen, policy),
    }
    updated_at = max((max(fragment.received, fragment.hub) for fragment in fragments), default=0)
    return View({name: block for name, block in blocks.items() if block is not None}, updated_at, horizon.next)


def _identity(person: Person, registry: Registry) -> dict[str, Any]:
    return {
        "kind": "known" if registry.rank(person.ids[0]) <= _weakest_known(registry) else "anonymous",
        "size": len(person.ids),
        "conflicts": person.conflicts,
        "oversize": person.oversize,
    }


def _weakest_known(registry: Registry) -> int:
    """Rank of the phone; in a policy without it, of the weakest type that names somebody; -1: nobody is known."""
    order = registry.policy.identity.order
    named = [order.index(type) for type in ("phone", "email", "customer", "loyalty") if type in order]
    return named[0] if named else -1
