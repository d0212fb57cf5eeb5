"""A person's document as it was last made. To bring it up to date only those blocks are made anew whose facts changed
since, or whose time has come. It always says the same as a fresh view.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
import orjson
import xxhash

from pipeline.core.blocks.horizon import Horizon
from pipeline.core.blocks.ingredients import ALL, GROUP, MOMENTS, TOLD, Counts, changed, counts, moments
from pipeline.core.blocks.sources import Found, Sources
from pipeline.core.grouping import PersonIds
from pipeline.core.identifiers import Registry
from pipeline.core.ledger import Told, newest
from pipeline.core.person import Person
from pipeline.core.view import MEMBERS, RECIPES, Recipe, segments_of

_json: Final = orjson.dumps
_digest: Final = xxhash.xxh3_64_intdigest
_NAMES: Final = {name: b'"%b":' % name.encode() for name in MEMBERS}


class Made(msgspec.Struct, frozen=True, gc=False):
    """A block. member: name and content as JSON; empty: it has no content. digest: of the content. of: kinds of facts
    that it was made from. next_change, next_fade: as of a view. content: only where rules may ask for it."""

    member: bytes
    digest: int
    of: int
    next_change: int | None
    next_fade: int | None
    content: Any = None


_UNKNOWN: Final = Made(b"", 0, ALL, None, None)


class Draft:
    """blocks: all of them, in the order of the document. next_change, next_fade: of all of it."""

    __slots__ = (
        "_at",
        "_counts",
        "_found",
        "_group",
        "_ledger",
        "_moments",
        "_registry",
        "_told",
        "_with_rules",
        "blocks",
        "next_change",
        "next_fade",
    )

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._with_rules = bool(registry.policy.profile.segments)
        self._group: PersonIds | None = None
        self._told: list[Told] = []
        self._ledger: dict[str, Told] = {}
        self._counts: list[Counts] = []
        self._found = Found()
        self._at = 0
        self._moments: list[tuple[int, int]] = []
        """Up to `_at`."""
        self.blocks = dict.fromkeys(MEMBERS, _UNKNOWN)
        self.next_change: int | None = None
        self.next_fade: int | None = None

    def renew(self, group: PersonIds, person: Person, told: list[Told], now: int) -> None:
        """Brings it up to date. told: what was published of triggers."""
        kinds = self._changed(group, person, told)
        if kinds or _is_due(self, now):
            self._found.forget(kinds)
            self._make(kinds, Sources(person, self._registry, self._ledger, self._found), now)

    def _changed(self, group: PersonIds, person: Person, told: list[Told]) -> int:
        """The kinds of facts that changed since the last call."""
        before, known = self._group, counts(person.fragments)
        if before is None or before.anchors != group.anchors or len(known) != len(self._counts):
            kinds = ALL
        else:
            kinds = GROUP if group != before else 0
            if known != self._counts:
                kinds |= changed(self._counts, known)
                if self.blocks["carts"].of & MOMENTS and moments(person.fragments, self._at) != self._moments:
                    kinds |= MOMENTS
        if told != self._told:
            self._told, self._ledger = told, newest(told)
            kinds |= TOLD
        self._group, self._counts = group, known
        return kinds

    def _make(self, kinds: int, sources: Sources, now: int) -> None:
        blocks, due, differs = self.blocks, _is_due(self, now), False
        for name, recipe in RECIPES.items():
            before = blocks[name]
            if before.of & kinds or (due and _is_due(before, now)):
                made = blocks[name] = self._made(name, recipe, sources, now)
                differs = differs or made.member != before.member
        if self._with_rules and (differs or _is_due(blocks["segments"], now)):
            blocks["segments"] = self._made("segments", Recipe(0, self._segments), sources, now)
        if blocks["carts"].of & MOMENTS:
            self._at, self._moments = now, moments(sources.fragments, now)
        self.next_change = min(filter(None, [made.next_change for made in blocks.values()]), default=None)
        self.next_fade = min(filter(None, [made.next_fade for made in blocks.values()]), default=None)

    def _made(self, name: str, recipe: Recipe, sources: Sources, now: int) -> Made:
        horizon, before = Horizon(now), self.blocks[name]
        content = recipe.make(sources, horizon)
        of = recipe.of | horizon.needs
        if content is None:
            return Made(b"", 0, of, horizon.next, horizon.fades)
        encoded = _json(content)
        member = _NAMES[name] + encoded
        digest = before.digest if member == before.member else _digest(encoded)
        return Made(member, digest, of, horizon.next, horizon.fades, content if self._with_rules else None)

    def _segments(self, sources: Sources, horizon: Horizon) -> list[str] | None:
        return segments_of({name: made.content for name, made in self.blocks.items()}, sources, horizon)


def _is_due(made: Made | Draft, now: int) -> bool:
    """Whether the time of a block, or of one of a document's, has come."""
    change, fade = made.next_change, made.next_fade
    return (change is not None and change <= now) or (fade is not None and fade <= now)
