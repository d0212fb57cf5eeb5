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
from pipeline.core.draft import Draft, Made
from pipeline.core.effects import Output
from pipeline.core.facts.traces import newest_trace, span_of
from pipeline.core.fragment import Fragment
from pipeline.core.grouping import PersonIds
from pipeline.core.identifiers import Registry
from pipeline.core.person import Person
from pipeline.core.seat import Seat
from pipeline.core.times import DAY, MINUTE
from pipeline.core.touchpoint import Id
from pipeline.core.view import HEADER, MEMBERS, sooner, updated_at

DRAFTS_MAX = 50_000

_json = orjson.dumps


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
        self._drafts: dict[Id, Draft] = {}
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
        draft = self._draft(group, person, now)
        fade = draft.next_fade
        seat.due, seat.changes = 0, sooner(draft.next_change, fade and self._faded(person.profile_id, fade)) or 0
        trace = self._trace(group, person.fragments)
        if trace is not None:
            seat.traced = span_of(trace)
        self._put(group.owner, seat)
        blocks = {name: made for name, made in draft.blocks.items() if made.member}
        digests = {name: made.digest for name, made in blocks.items()}
        for topic, names in self._reduced.items():
            digests[topic] = _digest(digests, names)
        before = seat.digests
        if not kind.at_once and digests == before:
            return
        seat.digests, seat.target, seat.published = digests, person.profile_id, now
        seat.revision += 1
        issue = Issue(person.profile_id, seat.revision, now, trace)
        head = issue.head(updated_at(person.fragments))
        self._document("profiles", issue, head, blocks.values())
        for topic, names in self._reduced.items():
            if kind.at_once or before.get(topic) != digests[topic]:
                self._document(topic, issue, head, [made for name, made in blocks.items() if name in names])
        self._change(issue, kind, [name for name in MEMBERS if before.get(name) != digests.get(name)])

    def _draft(self, group: PersonIds, person: Person, now: int) -> Draft:
        """The person's document as it is now."""
        draft = self._drafts.get(group.owner)
        if draft is None:
            if len(self._drafts) >= DRAFTS_MAX:
                self._drafts.clear()
            draft = self._drafts[group.owner] = Draft(self._registry)
        told = [one for name in group.ids for one in self._seat_of(name).told.values()]
        draft.renew(group, person, told, now)
        return draft

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
        """Lets go of what is kept of the person whose oldest anchor this is, or was."""
        self._drafts.pop(owner, None)

    def follow(self, group: PersonIds, now: int) -> None:
        """Lets the person's document follow what it was just told of."""
        seat = self._seat_of(group.owner)
        if seat.revision and not seat.due:
            seat.due = max(now + 1, seat.published + self.interval)
            self._put(group.owner, seat)

    def _fitting(self, members: list[bytes]) -> bytes:
        """The members of a document; cut with a mark if their values are more than a record may hold."""
        joined = b",".join(members)
        most = self._registry.policy.bounds.document_bytes
        if len(joined) <= most:
            return joined
        whole = orjson.loads(b"{%b}" % joined)
        if sum(len(_json(block)) for block in whole.values()) > most:
            self._count("documents_cut")
            whole = shorten(whole, most)
        return _json(whole)[1:-1]

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

    def _document(self, topic: str, issue: Issue, head: bytes, blocks: Iterable[Made]) -> None:
        value = b"%b,%b}" % (head, self._fitting([made.member for made in blocks]))
        self._count("documents")
        event = f"{issue.profile_id}:{issue.revision}"
        self._out(Output(topic, issue.profile_id, value, event, issue.now, issue.trace))

    def _change(self, issue: Issue, kind: Kind, changed: Sequence[str]) -> None:
        profile_id, revision, now, trace = issue
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


class Issue(NamedTuple):
    """What the records of one revision of a profile have in common."""

    profile_id: str
    revision: int
    now: int
    trace: str | None

    def head(self, updated_at: int) -> bytes:
        """The document up to its blocks."""
        return b'{"profile_id":"%b","revision":%d,"status":"active","updated_at":"%b","as_of":"%b"' % (
            self.profile_id.encode(),
            self.revision,
            written(updated_at).encode(),
            written(self.now).encode(),
        )


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


def _digest(digests: dict[str, int], names: Sequence[str]) -> int:
    """Of these blocks together."""
    return xxhash.xxh3_64_intdigest(b"".join(digests.get(name, 0).to_bytes(8) for name in names))
