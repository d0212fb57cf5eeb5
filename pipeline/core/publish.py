"""View minus seats: what to publish about one person, and the seats after it.

Identifiers whose row changed are published; profile ids that the person no longer goes by become redirects, always one
hop; the document goes out at once when who the person is has changed, otherwise at most once per `min_interval`, and
only if a block differs from the one published.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import xxhash

from pipeline.core import times
from pipeline.core.blocks.identifiers import published
from pipeline.core.blocks.shorten import shorten
from pipeline.core.effects import Output
from pipeline.core.fragment import Fragment
from pipeline.core.grouping import PersonIds
from pipeline.core.identifiers import Registry
from pipeline.core.person import Person, View, view
from pipeline.core.seat import Seat
from pipeline.core.touchpoint import Id

_json = msgspec.json.Encoder().encode


class Publisher:
    """`out` takes the records of an epoch. `fragment_of` and `seat_of` read the shard; `put` stores a changed seat."""

    def __init__(
        self,
        registry: Registry,
        out: Callable[[Output], None],
        fragment_of: Callable[[Id], Fragment | None],
        seat_of: Callable[[Id], Seat],
        put: Callable[[Id, Seat], None],
        count: Callable[[str], None],
    ) -> None:
        self._registry, self._out, self._count = registry, out, count
        self._fragment_of, self._seat_of, self._put = fragment_of, seat_of, put
        self._interval = registry.policy.publish.min_interval

    def person(self, group: PersonIds) -> Person:
        fragments = [fragment for fragment in map(self._fragment_of, group.anchors) if fragment is not None]
        return Person(
            ids=group.ids,
            fragments=fragments,
            profile_id=self._registry.profile_id(group.owner),
            shared=group.shared,
            oversize=group.oversize,
            conflicts=group.conflicts,
        )

    def identities(self, group: PersonIds, since: dict[Id, int], now: int) -> Move:
        """Publishes the identities rows and redirects that follow from the grouping, and says what moved."""
        registry = self._registry
        profile_id = registry.profile_id(group.owner)
        move = Move()
        for name in group.ids:
            seat = self._seat_of(name)
            first, plain = since.get(name, 0), self._plain(group, name)
            row = (profile_id, first, group.shared, plain is not None)
            if row != (seat.profile_id, seat.since, seat.shared, seat.known):
                if seat.profile_id and seat.profile_id != profile_id:
                    move.left.add(seat.profile_id)
                move.shared |= group.shared and not seat.shared
                move.joined |= seat.profile_id != profile_id
                seat.profile_id, seat.since, seat.shared, seat.known = row
                self._put(name, seat)
                self._identity(name, plain, seat, now)
            if seat.revision and name != group.owner and seat.target != profile_id:
                if seat.target == registry.profile_id(name):
                    move.merged.append(seat.target)
                self._redirect(name, seat, profile_id, now)
        return move

    def document(self, group: PersonIds, kind: Kind, now: int, *, last: bool = False) -> None:
        """Publishes the person's document if it is due and differs from the published one. last: it is due now."""
        seat = self._seat_of(group.owner)
        if not kind.at_once and not last and now < seat.published + self._interval:
            seat.due = seat.published + self._interval
            self._put(group.owner, seat)
            return
        person = self.person(group)
        ledger = {trigger: told for name in group.ids for trigger, told in self._seat_of(name).told.items()}
        seen = view(person, now, self._registry, ledger)
        blocks = self._encoded(seen)
        digests = {name: xxhash.xxh3_64_intdigest(block) for name, block in blocks.items()}
        seat.due, seat.changes = 0, seen.next_change or 0
        self._put(group.owner, seat)
        if not kind.at_once and digests == seat.digests:
            return
        changed = [name for name in {**seat.digests, **digests} if seat.digests.get(name) != digests.get(name)]
        seat.digests, seat.target, seat.published = digests, person.profile_id, now
        seat.revision += 1
        self._document(person.profile_id, seat.revision, seen, blocks, now)
        self._change(person.profile_id, seat.revision, kind, changed, now)

    def _encoded(self, seen: View) -> dict[str, bytes]:
        """The blocks as JSON; cut with a mark if they are more than a record may hold."""
        blocks = {name: _json(block) for name, block in seen.blocks.items()}
        most = self._registry.policy.bounds.document_bytes
        if sum(map(len, blocks.values())) > most:
            self._count("documents_cut")
            blocks = {name: _json(block) for name, block in shorten(seen.blocks, most).items()}
        return blocks

    def _plain(self, group: PersonIds, name: Id) -> str | None:
        for anchor in group.anchors:
            fragment = self._fragment_of(anchor)
            if fragment is not None and name in fragment.plain:
                return fragment.plain[name]
        return None

    def _identity(self, name: Id, plain: str | None, seat: Seat, now: int) -> None:
        shown = published(name, plain, self._registry)
        if shown is None:
            return
        key, type, value = shown
        row = {
            "type": type,
            "value": value,
            "profile_id": seat.profile_id,
            "since": times.text(seat.since) if seat.since else None,
            "shared": seat.shared,
        }
        self._out(Output("identities", key, _json(row), f"{key}@{seat.profile_id}", now))

    def _redirect(self, name: Id, seat: Seat, target: str, now: int) -> None:
        profile_id = self._registry.profile_id(name)
        seat.revision += 1
        seat.target, seat.digests, seat.due, seat.changes = target, {}, 0, 0
        self._put(name, seat)
        self._count("redirects")
        row = {"profile_id": profile_id, "revision": seat.revision, "status": "merged", "merged_into": target}
        self._out(Output("profiles", profile_id, _json(row), f"{profile_id}:{seat.revision}", now))

    def _document(self, profile_id: str, revision: int, seen: View, blocks: dict[str, bytes], now: int) -> None:
        members = [b'"%b":%b' % (name.encode(), block) for name, block in blocks.items()]
        value = b'{"profile_id":"%b","revision":%d,"status":"active","updated_at":"%b","as_of":"%b",%b}' % (
            profile_id.encode(),
            revision,
            times.text(seen.updated_at).encode(),
            times.text(now).encode(),
            b",".join(members),
        )
        self._count("documents")
        self._out(Output("profiles", profile_id, value, f"{profile_id}:{revision}", now))

    def _change(self, profile_id: str, revision: int, kind: Kind, changed: Sequence[str], now: int) -> None:
        row: dict[str, Any] = {
            "profile_id": profile_id,
            "revision": revision,
            "kind": kind.name,
            "changed": changed,
            "cause": kind.cause,
            "time": times.text(now),
        }
        if kind.merged_from:
            row["merged_from"] = sorted(kind.merged_from)
        if kind.split_into:
            row["split_into"] = sorted(kind.split_into)
        self._count(kind.name)
        self._out(Output("profile-changes", profile_id, _json(row), f"{profile_id}:{revision}:{kind.name}", now))


class Move:
    """What publishing the identities of a person moved: profile ids its identifiers left, profile ids that became
    redirects to it, whether an identifier joined, whether it is newly shared."""

    __slots__ = ("joined", "left", "merged", "shared")

    def __init__(self) -> None:
        self.left: set[str] = set()
        self.merged: list[str] = []
        self.joined = False
        self.shared = False


class Kind(msgspec.Struct, frozen=True):
    """What kind of change a publication is: created, updated, merged, split, renamed, shared or oversize, and its
    cause: a touchpoint id, or merge, split, sweep, policy."""

    name: str
    cause: str
    merged_from: Sequence[str] = ()
    split_into: Sequence[str] = ()

    @property
    def at_once(self) -> bool:
        return self.name != "updated"
