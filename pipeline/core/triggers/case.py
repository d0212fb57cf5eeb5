"""A case: one person at one evaluation, with the ledger as it is revised on the way.

Nothing is published here; records and new ledger entries are collected for whoever asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from pipeline.core.episode import Episode, Ref
from pipeline.core.identifiers import Registry
from pipeline.core.ledger import Cover, Told
from pipeline.core.person import Person
from pipeline.core.touchpoint import Id
from pipeline.core.triggers.addressing import Addressing
from pipeline.core.triggers.families import ALL, LEVEL
from pipeline.core.triggers.known import Known
from pipeline.core.triggers.soonest import clocks


class Case:
    """as_of: only facts received up to then count; None: all. revision: of the person's profile."""

    def __init__(
        self, person: Person, now: int, caught_up_to: int, registry: Registry, as_of: int | None, revision: int
    ) -> None:
        self.person, self.registry, self.policy = person, registry, registry.policy.triggers
        self.now, self.caught_up_to, self.as_of, self.revision = now, caught_up_to, as_of, revision
        self.known = Known(person.fragments, as_of, registry.policy)
        self.told: dict[str, Told] = {}
        self.records: list[dict[str, Any]] = []
        self.changed: dict[Id, dict[str, Told]] = {}
        self.wake: int | None = None
        self.forgotten: Mapping[Id, int] = {}
        """Identifier -> up to which deadline the ledger in its seat has forgotten what was told."""
        self._homes: dict[str, set[Id]] = {}
        self._live: list[Told] | None = None

    def read(self, ledger: Mapping[Id, Mapping[str, Told]]) -> None:
        """A trigger that is in several seats counts by its highest revision."""
        for home, entries in ledger.items():
            for told in entries.values():
                known = self.told.get(told.trigger_id)
                self._homes.setdefault(told.trigger_id, set()).add(home)
                if known is None or told.revision > known.revision:
                    self.told[told.trigger_id] = told

    @cached_property
    def level(self) -> int:
        """The lowest family of which something was told or may be due; negative: there is none. Those above may stand
        in its way, those below do not matter yet."""
        ripe = [level for level, clock in enumerate(self._clocks) if clock is not None and clock <= self.now]
        return max([*ripe, *(LEVEL[told.family] for told in self.told.values())], default=-1)

    @cached_property
    def later(self) -> list[int]:
        """When something of the lower families can be due at the soonest."""
        return [clock for clock in self._clocks[self.level + 1 :] if clock is not None]

    @cached_property
    def episodes(self) -> list[Episode]:
        """Of the families down to the lowest that matters."""
        return [episode for family in ALL[: self.level + 1] for episode in family.episodes(self.known)]

    @cached_property
    def _clocks(self) -> list[int | None]:
        return clocks(self.known)

    @cached_property
    def addressing(self) -> Addressing:
        return Addressing(self.person, self.registry, self.as_of)

    @cached_property
    def _holders(self) -> dict[Ref, Episode]:
        return {ref: episode for episode in self.episodes for ref, _ in episode.changes}

    def holder(self, cover: Cover) -> Episode | None:
        """The episode that has the change now."""
        return self._holders.get((cover.event, cover.source))

    def has(self, cover: Cover) -> bool:
        """Whether the change is one of the person, in an episode or not."""
        return any(
            ref == (cover.event, cover.source) and self.known.has(received)
            for fragment in self.person.fragments
            for family in ALL
            for ref, received in family.refs(fragment)
        )

    def heir(self, episode: Episode) -> Episode:
        """Where an episode's lines went in the end."""
        while episode.successor is not None and (heir := self._holders.get(episode.successor)) is not None:
            episode = heir
        return episode

    def live(self) -> list[Told]:
        """The triggers that are live, by deadline."""
        if self._live is None:
            found = [told for told in self.told.values() if told.live]
            self._live = sorted(found, key=lambda told: (told.deadline_at, told.fired_at, told.trigger_id))
        return self._live

    def wake_at(self, time: int) -> None:
        """Notes a clock time, later than now, at which something can change with no new fact."""
        self.wake = time if self.wake is None else min(self.wake, time)

    def note(self, told: Told, record: dict[str, Any], home: Id | None = None) -> None:
        """Puts a new revision of a trigger on record: where it is already, at its origin and in `home`."""
        homes = self._homes.setdefault(told.trigger_id, set())
        if home is not None:
            homes.update((home, told.origin))
        self.told[told.trigger_id], self._live = told, None
        for each in sorted(homes):
            self.changed.setdefault(each, {})[told.trigger_id] = told
        self.records.append(record)
