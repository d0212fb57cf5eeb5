"""One shard: fragments and index nodes of the identifiers at home here, clusters of the roots at home here.

The order inside an epoch: touch and receive fold and unite; `report` sends each changed fragment to its root once;
`cut` hands the clusters of roots that were lost to their new root; what is left dirty is settled.
A root reads a fragment at home here directly; fragments from elsewhere are kept as replicas. A replica whose seat is
not here yet (an orphan) waits: nobody solves with it or publishes for it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import msgspec

from pipeline.core import seat as seats_of
from pipeline.core.alarms import waits
from pipeline.core.dedup import Dedup
from pipeline.core.events import ADDRESS, CART, MESSAGE, ORDER, UNLINKED
from pipeline.core.facts.sightings import weaker_since
from pipeline.core.fit import encode_within
from pipeline.core.fold import fold
from pipeline.core.fragment import Fragment, Sighting, ids_of, set_key
from pipeline.core.identifiers import Registry
from pipeline.core.mail import Adopt, Arrived, Link, Mail, Point, Report, Shared, Touch, Unite
from pipeline.core.rows import Rows
from pipeline.core.seat import Seat
from pipeline.core.timers import Timers, earlier
from pipeline.core.times import SECOND
from pipeline.core.touchpoint import Id, Touchpoint
from pipeline.core.unionfind import Index

JUDGED = CART | ORDER | MESSAGE | ADDRESS | {"consent.changed"}

_VERSION = struct.Struct(">q")
_decode = msgspec.msgpack.Decoder(Fragment).decode


def encode_fragment(fragment: Fragment, most: int) -> bytes:
    """A fragment's row: its version, then the fragment in `most` bytes."""
    return _VERSION.pack(fragment.version) + encode_within(fragment, most)


def decode_fragment(row: bytes) -> Fragment:
    return _decode(memoryview(row)[_VERSION.size :])


def matters(touchpoint: Touchpoint, grace: int) -> bool:
    """Whether a trigger can depend on it other than by its deadline. Being there in time, at most `grace` late, only
    moves deadlines to come, and these are met by their alarms."""
    data = touchpoint.data
    late = touchpoint.received - touchpoint.time > grace
    return late or touchpoint.type in JUDGED or bool(data.traits) or bool(touchpoint.hints)


def version_of(row: bytes | None) -> int:
    return -1 if row is None else int(_VERSION.unpack_from(row)[0])


class Cause:
    """Why a cluster must be looked at: changed fragments with the touchpoint that changed them, whether the grouping
    may have changed, whether a fact that triggers depend on was among it, and for changed carts the first clock time at
    which they could be abandoned, by anchor."""

    __slots__ = ("alarms", "events", "judge", "regroup")

    def __init__(self) -> None:
        self.events: dict[Id, str] = {}
        self.regroup = False
        self.judge = False
        self.alarms: dict[Id, int] = {}

    def add(self, other: Cause) -> None:
        self.events.update(other.events)
        self.regroup |= other.regroup
        self.judge |= other.judge
        self.alarms.update(other.alarms)


class Watch:
    """Identifiers whose facts may change triggers at once. carts: in clusters with carts. contested: in clusters whose
    persons may change with each newer sighting. Facts and roots may be at different shards: they have one in common."""

    def __init__(self) -> None:
        self.carts: set[Id] = set()
        self.contested: set[Id] = set()


class Shard:
    """`post` sends a message to the home of its addressee. `count` counts what metrics show. `watch`: of all shards of
    the process."""

    def __init__(
        self,
        number: int,
        registry: Registry,
        post: Callable[[Mail], None],
        count: Callable[[str], None],
        watch: Watch,
        *,
        durable: bool = True,
    ) -> None:
        self.number, self.registry, self.count = number, registry, count
        self._post, self._home = post, registry.home
        self.index = Index(
            registry, durable=durable, post=post, born=self._born, hub=self._became_hub, lost=self._lost_root
        )
        key = registry.key
        encode = partial(encode_fragment, most=registry.policy.bounds.fragment_bytes)
        self.fragments: Rows[Fragment] = Rows(encode, decode_fragment, key, durable=durable)
        self.replicas: Rows[Fragment] = Rows(encode, decode_fragment, key, durable=durable)
        self.seats: Rows[Seat] = Rows(seats_of.encode, seats_of.decode, key, durable=durable)
        self.dedup = Dedup(registry.policy.identity.dedup_window, durable=durable)
        self.timers = Timers()
        self.clock = 0
        """When the last epoch ended. What becomes known of identifiers that are new after that was received later."""
        self.clusters: dict[Id, list[Id]] = {}
        self.orphans: dict[Id, Id] = {}
        """Replica without seat -> the root it was sent to."""
        self.dirty: dict[Id, Cause] = {}
        self.alarms: dict[Id, int] = {}
        """Carts that changed since the last report: anchor -> first clock time at which they could be abandoned."""
        self.next_alarm = 0
        self.watched, self.contested = watch.carts, watch.contested
        self.urgent = False
        """Whether a touchpoint since the last report could change a trigger of a watched identifier."""
        self._grace = registry.policy.triggers.grace
        self._waits = waits(registry.policy.triggers)
        self._changed: dict[Id, str] = {}
        self._regroup: set[Id] = set()
        self._judged: set[Id] = set()
        self._lost: list[Id] = []
        self._moved_orphans: set[Id] = set()
        self._handlers: dict[type, Callable[..., None]] = {
            Touch: lambda message: self.touch(message.touchpoint),
            Link: self._linked,
            Unite: self.index.unite,
            Point: self.index.point,
            Shared: self._shared,
            Report: self._report,
            Adopt: self._adopt,
            Arrived: self._arrived,
        }

    # -- facts -------------------------------------------------------------------------------------------------------

    def touch(self, touchpoint: Touchpoint) -> None:
        """Folds a touchpoint whose anchor is at home here, unless it was folded before."""
        ids = touchpoint.ids
        anchor = ids[0]
        if not self.dedup.first(touchpoint.id, touchpoint.source, anchor, touchpoint.received):
            self.count("repeated")
            return
        fragment = self.fragments.get(anchor)
        if fragment is None:
            self.index.node(anchor)
            fragment = Fragment(anchor)
        plain = touchpoint.plain
        learned = plain is not None and any(id not in fragment.plain for id in plain)
        born = fragment.born
        overtaken = self._overtaken(fragment, touchpoint)
        new = fold(fragment, touchpoint, self.registry)
        self.fragments.put(anchor, fragment)
        self._changed[anchor] = touchpoint.id
        sighting = fragment.sets.get(set_key(ids))
        vetoed = touchpoint.type == UNLINKED
        first = sighting is None or sighting.first == touchpoint.time
        if first or vetoed or learned or fragment.born != born:
            self._regroup.add(anchor)
            self._note_judged(anchor, ids)
        elif self._may_matter(touchpoint, sighting):
            self._note_judged(anchor, ids)
        wait = self._waits.get(touchpoint.type)
        if wait is not None:
            self._arm(anchor, max(touchpoint.time + wait, -(-touchpoint.received // SECOND) * SECOND))
        told = ids[1:] if fragment.hub and first else overtaken
        if (new or told) and not vetoed:
            self._link(fragment, new, told, touchpoint)

    def _may_matter(self, touchpoint: Touchpoint, sighting: Sighting | None) -> bool:
        """Whether triggers can depend on identifiers seen again: the app is new, or who is one person is open."""
        on_app = sighting is not None and sighting.app == touchpoint.received
        return on_app or matters(touchpoint, self._grace) or not self.contested.isdisjoint(touchpoint.ids)

    def receive(self, message: Mail) -> None:
        self._handlers[type(message)](message)

    def fragment(self, name: Id) -> Fragment | None:
        """The newest version known here of a fragment of a cluster of this shard."""
        return (self.fragments if self._home(name) == self.number else self.replicas).get(name)

    def _overtaken(self, fragment: Fragment, touchpoint: Touchpoint) -> list[Id]:
        """Identifiers known with the anchor from touchpoints that were received later than this one."""
        if touchpoint.received >= fragment.received:
            return []
        since = weaker_since(fragment)
        return [name for name in touchpoint.ids[1:] if touchpoint.received < since.get(name, 0)]

    def _link(self, fragment: Fragment, new: Sequence[Id], told: Sequence[Id], touchpoint: Touchpoint) -> None:
        """new: identifiers that the fragment saw for the first time. told: those that are to be told anew."""
        received = touchpoint.received
        if self.index.widen(fragment.id, len(new)) and (not fragment.hub or received < fragment.hub):
            self.index.share(fragment.id, self._wide_since(fragment))
        for name in dict.fromkeys((*new, *told)):
            if not fragment.hub or received < fragment.hub:
                self._post(Link(name, fragment.id, received, touchpoint.time, False))
            if fragment.hub:
                self._post(Link(name, fragment.id, received, touchpoint.time, True))

    def _linked(self, message: Link) -> None:
        self.index.link(message)
        if message.count_only:
            fragment = self.fragments.get(message.to) or Fragment(message.to)
            if fragment.met is None or message.first < fragment.met:
                fragment.met = message.first
                self._put_identity(fragment)

    def _note_judged(self, anchor: Id, ids: tuple[Id, ...]) -> None:
        self._judged.add(anchor)
        if not self.watched.isdisjoint(ids):
            self.urgent = True

    def _arm(self, anchor: Id, alarm: int) -> None:
        self.alarms[anchor] = earlier(self.alarms.get(anchor, 0), alarm)
        self.next_alarm = earlier(self.next_alarm, alarm)

    def _born(self, name: Id) -> None:
        self.seats.put(name, Seat(name, name, evaluated=self.clock))
        self.clusters[name] = [name]

    def _wide_since(self, fragment: Fragment) -> int:
        """When the first weaker identifier too many was received."""
        times = sorted(weaker_since(fragment).values())
        return times[min(self.registry.policy.identity.hub_fanout, len(times) - 1)]

    def _became_hub(self, name: Id, since: int) -> None:
        fragment = self.fragments.get(name) or Fragment(name)
        if not fragment.hub:
            self.count("hubs")
        fragment.hub = since
        self._put_identity(fragment)
        known = weaker_since(fragment)
        for key, sighting in fragment.sets.items():
            for met in ids_of(key)[1:]:
                self._post(Link(met, name, known[met], sighting.first, True))
        for met, seen in fragment.rest.items():
            if met != name:
                self._post(Link(met, name, known[met], seen.first, True))

    def _shared(self, message: Shared) -> None:
        fragment = self.fragments.get(message.to)
        if fragment is None:
            return
        known = fragment.shared.get(message.hub)
        if known is None or message.since < known:
            fragment.shared[message.hub] = message.since
            self._put_identity(fragment)

    def _put_identity(self, fragment: Fragment) -> None:
        fragment.version += 1
        self.fragments.put(fragment.id, fragment)
        self._changed.setdefault(fragment.id, "")
        self._regroup.add(fragment.id)
        self._judged.add(fragment.id)

    # -- from fragments to roots -------------------------------------------------------------------------------------

    def report(self) -> None:
        """Sends each fragment that changed since the last call to its root."""
        changed, self._changed = self._changed, {}
        regroup, self._regroup = self._regroup, set()
        judged, self._judged = self._judged, set()
        alarms, self.alarms = self.alarms, {}
        self.next_alarm, self.urgent = 0, False
        for anchor, event in changed.items():
            root, parent = self._climb(anchor)
            alarm = alarms.get(anchor, 0)
            if parent is None:
                self._mark(root, anchor, event, anchor in regroup, anchor in judged, alarm)
            else:
                row = self.fragments.encoded(anchor)
                assert row is not None
                self._post(Report(parent, anchor, row, 0, anchor in regroup, anchor in judged, alarm))

    def _climb(self, name: Id) -> tuple[Id, Id | None]:
        """Follows parents as long as they are at home here: (the last node, None if it is a root, else its parent
        at another shard). The way is shortened."""
        node = self.index.node(name)
        parent = node.parent
        if parent is None or self._home(parent) != self.number:
            return name, parent
        root, beyond = self._climb_from(parent)
        if root != parent:
            self.index.point(Point(name, root))
        return root, beyond

    def _climb_from(self, name: Id) -> tuple[Id, Id | None]:
        parent = self.index.parent(name)
        while parent is not None and self._home(parent) == self.number:
            name, parent = parent, self.index.parent(parent)
        return name, parent

    def _report(self, message: Report) -> None:
        root, parent = self._climb(message.to)
        hops = message.hops + (root != message.to)
        anchor = message.anchor
        if parent is not None:
            self._post(
                Report(parent, anchor, message.fragment, hops + 1, message.regroup, message.judge, message.alarm)
            )
            return
        if hops:
            self._post(Point(anchor, root))
        self._replicate(root, anchor, message.fragment)
        if anchor not in self.orphans:
            seat = self.seats.get(anchor)
            at = root if seat is None else seat.root
            self._mark(at, anchor, "", message.regroup, message.judge, message.alarm)

    def _replicate(self, root: Id, name: Id, row: bytes) -> None:
        """Keeps a fragment of another shard if it is newer than what is here."""
        if self._home(name) != self.number and version_of(row) > version_of(self.replicas.encoded(name)):
            self.replicas.put_row(name, row)
            if self.seats.get(name) is None:
                self._orphan(name, root)

    def _orphan(self, name: Id, root: Id | None) -> None:
        """Notes where a replica without seat was sent to, or that it is an orphan no more."""
        if root is not None:
            self.orphans[name] = root
        elif self.orphans.pop(name, None) is None:
            return
        self._moved_orphans.add(name)

    def _mark(self, root: Id, anchor: Id, event: str, regroup: bool, judge: bool = True, alarm: int = 0) -> None:
        cause = self.dirty.get(root)
        if cause is None:
            cause = self.dirty[root] = Cause()
        if event or anchor not in cause.events:
            cause.events[anchor] = event
        cause.regroup |= regroup
        cause.judge |= judge
        if alarm:
            cause.alarms[anchor] = earlier(cause.alarms.get(anchor, 0), alarm)

    # -- clusters on the move ----------------------------------------------------------------------------------------

    def _lost_root(self, name: Id) -> None:
        self._lost.append(name)

    def cut(self) -> None:
        """Hands the clusters of the roots lost since the last call to where their parents lead."""
        lost, self._lost = self._lost, []
        for old in lost:
            members = self.clusters.pop(old)
            cause = self.dirty.pop(old, None)
            self.timers.arm(old, 0)
            root, parent = self._climb(old)
            if parent is None:
                self._absorb(root, old, members)
            else:
                self._hand_over(parent, old, members, cause)
            if parent is None and cause is not None:
                self.dirty[root].add(cause)

    def _absorb(self, root: Id, old: Id, members: list[Id]) -> None:
        for name in members:
            seat = self._seat(name)
            seat.root = root
            self.seats.put(name, seat)
            self._mark(root, name, "", True)
        self.clusters[root].extend(members)
        if old in self.watched or root in self.watched:
            self.watched.update(self.clusters[root])
        for name, where in list(self.orphans.items()):
            if where == old:
                self._orphan(name, root)
        before, after = self._seat(old), self._seat(root)
        for bundle, (arrived, size) in before.waiting.items():
            self._expect(root, bundle, arrived, size)
        before.waiting = {}
        self.seats.put(root, after)

    def _hand_over(self, parent: Id, old: Id, members: list[Id], cause: Cause | None) -> None:
        if cause is not None:
            self.sound(cause)
        for bundle, (arrived, size) in self._seat(old).waiting.items():
            self._post(Arrived(parent, bundle, arrived, size))
        for name in members:
            seat = self._seat(name)
            if name == old:
                seat.waiting = {}
            row = self._row_for(parent, name, self.replicas.encoded(name))
            self._post(Adopt(parent, old, len(members), seats_of.encode(seat), row))
            self.seats.drop(name)
            self.replicas.drop(name)
        for name in [name for name, where in self.orphans.items() if where == old]:
            row = self.replicas.encoded(name)
            assert row is not None
            self._post(Report(parent, name, row, 1, True, True, 0))
            self.replicas.drop(name)
            self._orphan(name, None)

    def sound(self, cause: Cause) -> None:
        """Notes changed carts and their alarms in the seats of their anchors, as far as these are here."""
        for name, alarm in cause.alarms.items():
            seat = self.seats.get(name)
            if seat is not None:
                seat.alarm = earlier(seat.alarm, alarm)
                seat.carts = True
                self.seats.put(name, seat)

    def _row_for(self, parent: Id, name: Id, replica: bytes | None) -> bytes | None:
        """The fragment that travels with a seat to the home of `parent`."""
        home = self._home(name)
        if home == self._home(parent):
            return None
        return self.fragments.encoded(name) if home == self.number else replica

    def _adopt(self, message: Adopt) -> None:
        root, parent = self._climb(message.to)
        seat = seats_of.decode(message.seat)
        name = seat.id
        if parent is not None:
            row = self._row_for(parent, name, message.fragment)
            self._post(Adopt(parent, message.bundle, message.size, message.seat, row))
            return
        assert self.seats.get(name) is None, "one seat per identifier"
        seat.root = root
        seat.wake = 0
        self.seats.put(name, seat)
        self.clusters[root].append(name)
        self._orphan(name, None)
        if message.fragment is not None:
            self._replicate(root, name, message.fragment)
        fragment = self.fragment(name)
        seat.carts |= fragment is not None and bool(fragment.carts)
        if seat.carts or root in self.watched:
            self.watched.update(self.clusters[root])
        self._expect(root, message.bundle, 1, message.size)
        self._mark(root, name, "", True)

    def _arrived(self, message: Arrived) -> None:
        root, parent = self._climb(message.to)
        if parent is None:
            self._expect(root, message.bundle, message.count, message.size)
        else:
            self._post(Arrived(parent, message.bundle, message.count, message.size))

    def _expect(self, root: Id, bundle: Id, arrived: int, size: int) -> None:
        """Counts the seats of a bundle at its root: complete when as many arrived as its size, which 0 leaves open."""
        seat = self._seat(root)
        before, known = seat.waiting.get(bundle, (0, 0))
        arrived, size = before + arrived, size or known
        if arrived == size:
            seat.waiting.pop(bundle, None)
            self._mark(root, root, "", True)
        else:
            seat.waiting[bundle] = (arrived, size)
        self.seats.put(root, seat)

    def _seat(self, name: Id) -> Seat:
        seat = self.seats.get(name)
        assert seat is not None
        return seat

    # -- rows --------------------------------------------------------------------------------------------------------

    def forget(self) -> None:
        """Lets go of what the caches and the deduplication window no longer hold, where no rows are wanted."""
        for _, rows in self._kinds():
            rows.evict()
        self.dedup.sweep()

    def collect(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Rows that changed since the last call: kind and key, row or None."""
        for kind, rows in self._kinds():
            for key, row in rows.collect():
                yield kind + key, row
        for key, row in self.dedup.collect():
            yield b"D" + key, row
        for name in self._moved_orphans:
            root = self.orphans.get(name)
            yield b"O" + self.registry.key(name), None if root is None else f"{root}\n{name}".encode()
        self._moved_orphans.clear()

    def regroup_all(self) -> None:
        """Every cluster is to be solved and viewed anew: the policy has changed."""
        for root, members in self.clusters.items():
            for name in members:
                self._mark(root, name, "", True)

    def load(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Takes the rows of the state topic (or of `collect`) into an empty shard."""
        kinds = dict(self._kinds())
        watched: set[Id] = set()
        for key, row in rows:
            kind, key = key[:1], key[1:]
            if kind == b"D":
                self.dedup.load(key, row)
                continue
            if kind == b"S":
                wake, carts, root, name = seats_of.peek(row)
                self.clusters.setdefault(root, []).append(name)
                if wake and name == root:
                    self.timers.arm(root, wake)
                if carts:
                    watched.add(root)
            elif kind == b"O":
                root, name = map(Id, row.decode().split("\n"))
                self.orphans[name] = root
                continue
            kinds[kind].load(key, row)
        for root in watched:
            self.watched.update(self.clusters[root])

    def _kinds(self) -> tuple[tuple[bytes, Rows[Any]], ...]:
        return ((b"N", self.index.nodes), (b"F", self.fragments), (b"R", self.replicas), (b"S", self.seats))
