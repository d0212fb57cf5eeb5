"""What the blocks of a person's document are made from: its fragments and, found out once, what several blocks need of
them. What follows of facts that did not change since then serves the next document, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from pipeline.core.blocks.history import History, history
from pipeline.core.blocks.ingredients import LOOKS, PUTS, TRADES, WORDS
from pipeline.core.blocks.preferences import likes, sizes
from pipeline.core.blocks.traits import consents, refuses_profiling
from pipeline.core.fragment import Fragment, Order
from pipeline.core.identifiers import Registry
from pipeline.core.ledger import Told
from pipeline.core.person import Person
from pipeline.core.sales import Bought, bought, orders_of


class Found(msgspec.Struct, gc=False):
    """What was found out and holds until other facts of its kinds come."""

    orders: Mapping[str, Order] | UnsetType = UNSET
    sold: list[Bought] | UnsetType = UNSET
    consents: dict[str, Any] | UnsetType | None = UNSET
    sizes: dict[str, Any] | UnsetType | None = UNSET
    likes: dict[str, Any] | UnsetType = UNSET

    def forget(self, changed: int) -> None:
        """changed: kinds of facts."""
        if changed & TRADES:
            self.orders = self.sold = UNSET
        if changed & WORDS:
            self.consents = UNSET
        if changed & (TRADES | WORDS):
            self.sizes = UNSET
        if changed & (LOOKS | PUTS | TRADES | WORDS):
            self.likes = UNSET


class Sources:
    """ledger: trigger id -> what was published of it."""

    __slots__ = ("_found", "_history", "fragments", "ledger", "person", "policy", "registry")

    def __init__(
        self, person: Person, registry: Registry, ledger: Mapping[str, Told], found: Found | None = None
    ) -> None:
        self.person, self.registry, self.ledger = person, registry, ledger
        self.fragments: Sequence[Fragment] = person.fragments
        self.policy = registry.policy
        self._found = Found() if found is None else found
        self._history: History | None = None

    @property
    def history(self) -> History:
        if self._history is None:
            self._history = history(self.person.ids, self.fragments)
        return self._history

    @property
    def orders(self) -> Mapping[str, Order]:
        """Of all fragments, by id."""
        found = self._found
        if found.orders is UNSET:
            found.orders = orders_of(self.fragments)
        return found.orders

    @property
    def sold(self) -> list[Bought]:
        """The orders that are known in detail and were not cancelled."""
        found = self._found
        if found.sold is UNSET:
            found.sold = bought(self.fragments, self.orders)
        return found.sold

    @property
    def consents(self) -> dict[str, Any] | None:
        """The block."""
        found = self._found
        if found.consents is UNSET:
            found.consents = consents(self.fragments)
        return found.consents

    @property
    def profiled(self) -> bool:
        """Whether the person did not refuse it."""
        return not refuses_profiling(self.consents)

    @property
    def sizes(self) -> dict[str, Any] | None:
        """Member of preferences."""
        found = self._found
        if found.sizes is UNSET:
            found.sizes = sizes(self.fragments, self.sold, self.policy.profile.preference_min)
        return found.sizes

    @property
    def likes(self) -> dict[str, Any]:
        """Members of preferences; none of who refused to be profiled."""
        found = self._found
        if found.likes is UNSET:
            found.likes = likes(self.fragments, self.orders, self.policy.profile) if self.profiled else {}
        return found.likes
