"""View minus seats: what to publish about one person, and the seats after it.

Identifiers whose row changed are published; profile ids that the person no longer goes by become redirects, always one
hop; the document goes out at once when who the person is has changed, otherwise at most once per `min_interval`, and
only if a block differs from the one published. What changes by time alone and can wait is looked at once a day, each
profile at a time of its own. Reduced topics get the same documents with fewer blocks, when one of these differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
import orjson
import xxhash

from pipeline.core.blocks.horizon import written
from pipeline.core.blocks.identifiers import how_shown, key_of_row, published
from pipeline.core.blocks.shorten import shorten
from pipeline.core.effects import Output
from pipeline.core.facts.traces import newest_trace, span_of
from pipeline.core.fragment import Fragment
from pipeline.core.grouping import PersonIds
from pipeline.core.identifiers import Registry
from pipeline.core.ledger import Told, newest
from pipeline.core.person import BLOCKS, Deeds, Person, deeds, in_order, presence, sooner, tastes
from pipeline.core.seat import Seat
from pipeline.core.times import DAY, MINUTE
from pipeline.core.touchpoint import Id

KEPT_MAX = 50_000
HEADER = ("created_at", "identity")
"""Members of every document, also of a reduced one."""

_json = orjson.dumps


class Part(NamedTuple):
    """Some blocks of a document as JSON, and their digests."""

    blocks: dict[str, bytes]
    digests: dict[str, int]


class Kept(NamedTuple):
    """The part of a person's document that holds until a fact or its time changes it. told: what was told by then. at:
    when it was made. acted: of each fragment how many deeds there were then, and how many moments up to then; looks:
    how many product views."""

    group: PersonIds
    told: list[Told]
    at: int
    acted: list[tuple[int, int]]
    looks: list[int]
    deeds: Deeds
    tastes: dict[str, Any]
    part: Part


class Publisher:
    """`out` takes the records of an epoch. `fragment_of` and `seat_of` read the shard; `put` stores a changed seat.
    swept: what fades waits for the daily sweep; else it is published when it does, as a record clock that stands still
    might never come to the sweep."""

    def __init__(
        self,
        registry: Registry,
        out: Callable[[Output], None],
        fragment_of: Callable[[Id], Fragment | None],
        seat_of: Callable[[Id], Seat],
        put: Callable[[Id, Seat], None],
        count: Callable[[str], None],
        *,
        swept: bool = True,
    ) -> None:
        self._registry, self._out, self._count, self._swept = registry, out, count, swept
        self._fragment_of, self._seat_of, self._put = fragment_of, seat_of, put
        self._kept: dict[Id, Kept] = {}
        publish = registry.policy.publish
        self._topics = publish.profile_topics
        self._reduced = {
            topic: (*HEADER, *blocks)
            for topic, blocks in zip(publish.reduced_topics, publish.reduced.values(), strict=True)
        }
        self.interval = registry.policy.publish.min_interval

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
        move, trace = Move(), self._trace(group, filter(None, map(self._fragment_of, group.anchors)))
        for name in group.ids:
            seat = self._seat_of(name)
            first, plain = since.get(name, 0), self._plain(group, name)
            row = (profile_id, first, group.shared, plain is not None, how_shown(name, registry))
            if row != (seat.profile_id, seat.since, seat.shared, seat.known, seat.shown):
                if seat.profile_id and seat.profile_id != profile_id:
                    move.left.add(seat.profile_id)
                    self._count("flips")
                move.shared |= group.shared and not seat.shared
                move.joined |= seat.profile_id != profile_id
                withdrawn = key_of_row(name, seat.shown, registry)
                seat.profile_id, seat.since, seat.shared, seat.known, seat.shown = row
                self._put(name, seat)
                if withdrawn is not None and withdrawn != key_of_row(name, seat.shown, registry):
                    self._out(Output("identities", withdrawn, None, f"{withdrawn}@", now, trace))
                self._identity(name, plain, seat, now, trace)
            if seat.oversize != group.oversize:
                seat.oversize = group.oversize
                move.oversize |= group.oversize
                self._put(name, seat)
            if seat.revision and name != group.owner and seat.target != profile_id:
                own = registry.profile_id(name)
                (move.merged if seat.target == own else move.led).append(own)
                self._redirect(name, seat, profile_id, now, trace)
        return move

    def document(self, group: PersonIds, kind: Kind, now: int, *, last: bool = False) -> None:
        """Publishes the person's document if it is due and differs from the published one. last: it is due now."""
        seat = self._seat_of(group.owner)
        if not kind.at_once and not last and now < seat.published + self.interval:
            seat.due = seat.published + self.interval
            self._put(group.owner, seat)
            return
        person = self.person(group)
        kept = self._deeds(person, group, now)
        seen = presence(person, now, self._registry, kept.deeds, kept.tastes)
        part = self._part(seen.blocks)
        fade = sooner(seen.next_fade, kept.deeds.next_fade)
        change = sooner(seen.next_change, kept.deeds.next_change)
        seat.due, seat.changes = 0, sooner(change, fade and self._faded(person.profile_id, fade)) or 0
        trace = self._trace(group, person.fragments)
        if trace is not None:
            seat.traced = span_of(trace)
        self._put(group.owner, seat)
        digests = part.digests | kept.part.digests
        digests |= {topic: _digest(digests, blocks) for topic, blocks in self._reduced.items()}
        if not kind.at_once and digests == seat.digests:
            return
        changed = {name for name in seat.digests | digests if seat.digests.get(name) != digests.get(name)}
        seat.digests, seat.target, seat.published = digests, person.profile_id, now
        seat.revision += 1
        blocks = in_order(part.blocks | kept.part.blocks)
        self._document("profiles", person.profile_id, seat.revision, seen.updated_at, blocks, now, trace)
        for topic, names in self._reduced.items():
            if kind.at_once or topic in changed:
                some = {name: block for name, block in blocks.items() if name in names}
                self._document(topic, person.profile_id, seat.revision, seen.updated_at, some, now, trace)
        self._change(person.profile_id, seat.revision, kind, [name for name in BLOCKS if name in changed], now, trace)

    def _trace(self, group: PersonIds, fragments: Iterable[Fragment]) -> str | None:
        """That of the person's newest traced touchpoint, unless an earlier document came of it."""
        trace = newest_trace(fragments)
        return None if trace is None or span_of(trace) == self._seat_of(group.owner).traced else trace

    def _faded(self, profile_id: str, time: int) -> int:
        return sweep(profile_id, time) if self._swept else time

    def pace(self, behind: int) -> None:
        """behind: how far reading is behind the clock. A document of a person that is still being caught up with would
        be replaced soon: it waits as long as that, up to a minute."""
        self.interval = max(self._registry.policy.publish.min_interval, min(behind, MINUTE))

    def forget(self, owner: Id) -> None:
        """Lets go of what is kept of the person whose oldest anchor this is."""
        self._kept.pop(owner, None)

    def follow(self, group: PersonIds, now: int) -> None:
        """Lets the person's document follow what it was just told of."""
        seat = self._seat_of(group.owner)
        if seat.revision and not seat.due:
            seat.due = max(now + 1, seat.published + self.interval)
            self._put(group.owner, seat)

    def _deeds(self, person: Person, group: PersonIds, now: int) -> Kept:
        kept = self._kept.get(group.owner)
        looks = [fragment.looks for fragment in person.fragments]
        told = [one for name in group.ids for one in self._seat_of(name).told.values()]
        if kept is not None and kept.group == group and kept.told == told and _holds(kept, person, now):
            if kept.looks == looks:
                return kept
            if not kept.deeds.offline:
                tasted = kept._replace(looks=looks, tastes=tastes(person, self._registry, kept.deeds))
                self._kept[group.owner] = tasted
                return tasted
        ledger = newest(told)
        known = deeds(person, now, self._registry, ledger)
        if len(self._kept) >= KEPT_MAX:
            self._kept.clear()
        acted, liked = _acted(person, now), tastes(person, self._registry, known)
        kept = self._kept[group.owner] = Kept(group, told, now, acted, looks, known, liked, self._part(known.blocks))
        return kept

    def _part(self, blocks: dict[str, Any]) -> Part:
        encoded = {name: _json(block) for name, block in blocks.items()}
        return Part(encoded, {name: xxhash.xxh3_64_intdigest(block) for name, block in encoded.items()})

    def _fitting(self, blocks: dict[str, bytes]) -> dict[str, bytes]:
        """The blocks; cut with a mark if they are more than a record may hold."""
        most = self._registry.policy.bounds.document_bytes
        if sum(map(len, blocks.values())) <= most:
            return blocks
        self._count("documents_cut")
        whole = {name: orjson.loads(block) for name, block in blocks.items()}
        return {name: _json(block) for name, block in shorten(whole, most).items()}

    def _plain(self, group: PersonIds, name: Id) -> str | None:
        for anchor in group.anchors:
            fragment = self._fragment_of(anchor)
            if fragment is not None and name in fragment.plain:
                return fragment.plain[name]
        return None

    def _identity(self, name: Id, plain: str | None, seat: Seat, now: int, trace: str | None) -> None:
        shown = published(name, plain, self._registry)
        if shown is None:
            return
        key, type, value = shown
        row = {
            "type": type,
            "value": value,
            "profile_id": seat.profile_id,
            "since": written(seat.since) if seat.since else None,
            "shared": seat.shared,
        }
        self._out(Output("identities", key, _json(row), f"{key}@{seat.profile_id}", now, trace))

    def _redirect(self, name: Id, seat: Seat, target: str, now: int, trace: str | None) -> None:
        profile_id = self._registry.profile_id(name)
        seat.revision += 1
        seat.target, seat.digests, seat.due, seat.changes = target, {}, 0, 0
        self._put(name, seat)
        self._count("redirects")
        row = {"profile_id": profile_id, "revision": seat.revision, "status": "merged", "merged_into": target}
        for topic in self._topics:
            self._out(Output(topic, profile_id, _json(row), f"{profile_id}:{seat.revision}", now, trace))

    def _document(
        self,
        topic: str,
        profile_id: str,
        revision: int,
        updated_at: int,
        blocks: dict[str, bytes],
        now: int,
        trace: str | None,
    ) -> None:
        members = [b'"%b":%b' % (name.encode(), block) for name, block in self._fitting(blocks).items()]
        value = b'{"profile_id":"%b","revision":%d,"status":"active","updated_at":"%b","as_of":"%b",%b}' % (
            profile_id.encode(),
            revision,
            written(updated_at).encode(),
            written(now).encode(),
            b",".join(members),
        )
        self._count("documents")
        self._out(Output(topic, profile_id, value, f"{profile_id}:{revision}", now, trace))

    def _change(
        self, profile_id: str, revision: int, kind: Kind, changed: Sequence[str], now: int, trace: str | None
    ) -> None:
        row: dict[str, Any] = {
            "profile_id": profile_id,
            "revision": revision,
            "kind": kind.name,
            "changed": changed,
            "cause": kind.cause,
            "time": written(now),
        }
        if kind.merged_from:
            row["merged_from"] = sorted(kind.merged_from)
        if kind.split_into:
            row["split_into"] = sorted(kind.split_into)
        self._count(kind.name)
        self._out(Output("profile-changes", profile_id, _json(row), f"{profile_id}:{revision}:{kind.name}", now, trace))


class Move:
    """What publishing the identities of a person moved: profile ids its identifiers left, profile ids that became
    redirects to it (merged) or were redirects to another (led), whether an identifier joined, whether it is newly
    shared or oversize."""

    __slots__ = ("joined", "led", "left", "merged", "oversize", "shared")

    def __init__(self) -> None:
        self.left: set[str] = set()
        self.merged: list[str] = []
        self.led: list[str] = []
        self.joined = self.shared = self.oversize = False


class Kind(msgspec.Struct, frozen=True):
    """What kind of change a publication is: created, updated, merged, split, renamed, shared or oversize, and its
    cause: a touchpoint id, or merge, split, sweep, policy. merged_from: ids that redirect to it from now on."""

    name: str
    cause: str
    merged_from: Sequence[str] = ()
    split_into: Sequence[str] = ()

    @property
    def at_once(self) -> bool:
        return self.name != "updated" or bool(self.merged_from)


def sweep(profile_id: str, time: int) -> int:
    """The first time from `time` on at which the sweep comes to a profile: once a day, the profiles spread over it."""
    offset = int(profile_id[:8], 16) * DAY >> 32
    return time + (offset - time) % DAY


def _holds(kept: Kept, person: Person, now: int) -> bool:
    """Whether nothing was done since, nor became known of the time before: later activity only puts changes off."""
    until = sooner(kept.deeds.next_change, kept.deeds.next_fade)
    return (until is None or now < until) and _acted(person, kept.at) == kept.acted


def _acted(person: Person, at: int) -> list[tuple[int, int]]:
    """Of each fragment the number of deeds, and of moments up to a time."""
    found = []
    for fragment in person.fragments:
        moments = len(fragment.activity)
        for time in reversed(fragment.activity):
            if time <= at:
                break
            moments -= 1
        found.append((fragment.deeds, moments))
    return found


def _digest(digests: dict[str, int], names: Sequence[str]) -> int:
    """Of these blocks together."""
    return xxhash.xxh3_64_intdigest(b"".join(digests.get(name, 0).to_bytes(8) for name in names))
