"""The clusters of the roots at home at one shard: members, seats, replicas of fragments from elsewhere, what is due.

Each identifier has one seat, at its root. A fragment whose seat is not here yet (an orphan) waits: nobody solves with
it or publishes for it, and it goes on with the cluster.
"""

from __future__ import annotations

from collections.abc import Callable

from pipeline.core import seat as seats_of
from pipeline.core.cause import Cause, Watched
from pipeline.core.fragment import Fragment
from pipeline.core.fragment_rows import rows_of, version_of
from pipeline.core.identifiers import Registry
from pipeline.core.mail import Mail, Point, Report
from pipeline.core.orphans import Orphans
from pipeline.core.rows import Rows
from pipeline.core.seat import Seat
from pipeline.core.timers import Timers, earlier
from pipeline.core.touchpoint import Id
from pipeline.core.unionfind import Index


class Roots:
    """`post` sends a message. `watched`: of all shards of the process. `revision_of` gives what the profile of an
    identifier starts from."""

    def __init__(
        self,
        registry: Registry,
        index: Index,
        watched: Watched,
        revision_of: Callable[[Id], int],
        post: Callable[[Mail], None],
        *,
        durable: bool,
    ) -> None:
        self._registry, self._index, self._post = registry, index, post
        self._revision_of = revision_of
        self.ripe, self.told, self.contested = watched.ripe, watched.told, watched.contested
        self.seats: Rows[Seat] = Rows(seats_of.encode, seats_of.decode, registry.key, durable=durable)
        self.seat = self.seats.at
        self.replicas = rows_of(registry, durable=durable)
        self.clusters: dict[Id, list[Id]] = {}
        """Root -> all identifiers of the cluster whose seats are here."""
        self.timers = Timers()
        self.holds = Timers()
        """Clusters in which a deadline waits for facts to be read, by that deadline: they cost nothing until then."""
        self.dirty: dict[Id, Cause] = {}
        self.heirs: dict[Id, bytes] = {}
        """In a rebuild: seats, encoded, of identifiers of which something was published and that were not seen yet."""
        self.orphans = Orphans(registry.key)
        self.clock = 0
        """When the last epoch ended. What becomes known of identifiers that are new after that was received later."""
        self.claimed: set[Id] = set()
        """Where privacy requests came to wait, until their cluster is whole."""
        self._with_carts: set[Id] = set()

    def arm(self, root: Id, wake: int, hold: int) -> None:
        """The cluster is due at `wake`, and once facts up to `hold` were read; 0: never."""
        seat = self.seat(root)
        if (seat.wake, seat.hold) != (wake, hold):
            seat.wake, seat.hold = wake, hold
            self.seats.put(root, seat)
        self.timers.arm(root, wake)
        self.holds.arm(root, hold)

    def born(self, name: Id) -> None:
        """A new identifier is a cluster of its own."""
        heir = self.heirs.pop(name, None)
        seat = Seat(name, name, evaluated=self.clock, revision=self._revision_of(name))
        self.seats.put(name, seats_of.heir(heir) if heir else seat)
        self.clusters[name] = [name]

    def report(self, message: Report) -> None:
        """A fragment's new version: kept by its root, passed on by anyone else."""
        root, parent = self._index.climb(message.to)
        hops = message.hops + (root != message.to)
        anchor = message.anchor
        if parent is not None:
            self._post(
                Report(parent, anchor, message.fragment, hops + 1, message.regroup, message.judge, message.alarm)
            )
            return
        if hops:
            self._post(Point(anchor, root))
        self.replicate(root, anchor, message.fragment)
        if anchor not in self.orphans:
            seat = self.seats.get(anchor)
            at = root if seat is None else seat.root
            self.mark(at, anchor, "", message.regroup, message.judge, message.alarm)

    def replicate(self, root: Id, name: Id, row: bytes) -> None:
        """Keeps a fragment of another shard if it is newer than what is here."""
        if self._index.is_here(name):
            self.note_orphan(root, name)
        elif version_of(row) > version_of(self.replicas.encoded(name)):
            self.replicas.put_row(name, row)
            self.note_orphan(root, name)

    def note_orphan(self, root: Id, name: Id) -> None:
        """A fragment is here; its seat may still be on its way, unless its time was over meanwhile."""
        if not self.seats.has(name) and (self._index.nodes.has(name) or not self._index.is_here(name)):
            self.orphans.note(name, root)

    def changed(self, root: Id, anchor: Id, event: str, regroup: bool, judge: bool, alarm: int) -> None:
        """A fragment at home here has changed, whose root is here, too."""
        if root != anchor:
            self.note_orphan(root, anchor)
        self.mark(root, anchor, event, regroup, judge, alarm)

    def mark(self, root: Id, anchor: Id, event: str, regroup: bool, judge: bool = True, alarm: int = 0) -> None:
        """The cluster has to be looked at."""
        cause = self.dirty.get(root)
        if cause is None:
            cause = self.dirty[root] = Cause()
        cause.note(anchor, event, regroup, judge, alarm)

    def sound(self, cause: Cause) -> None:
        """Notes changed carts and their alarms in the seats of their anchors, as far as these are here."""
        for name, alarm in cause.alarms.items():
            seat = self.seats.get(name)
            if seat is not None:
                seat.alarm = earlier(seat.alarm, alarm)
                seat.carts = True
                self.seats.put(name, seat)

    def empty_replica(self, name: Id) -> None:
        """Nothing is known any more from a fragment of another shard, until its next version comes."""
        row = self.replicas.get(name)
        if row is not None:
            self.replicas.put(name, Fragment(name, version=row.version))

    def mask(self, name: Id, mask: Id) -> None:
        """Puts a mask in the place of an identifier, wherever it is named here."""
        self.replicas.drop(name)
        self.orphans.note(name, None)
        for watched in (self.ripe, self.told, self.contested, self.claimed):
            watched.discard(name)
        seat = self.seats.rename(name, mask)
        if seat is not None:
            if seat.root == name:
                self._mask_root(name, mask)
            members = self.clusters[seat.root]
            members[members.index(name)] = mask
            self.seats.put(mask, _blank(seat, mask))
        for orphan in self.orphans.at(name):
            self.orphans.note(orphan, mask)

    def _mask_root(self, name: Id, mask: Id) -> None:
        members = self.clusters[mask] = self.clusters.pop(name)
        for member in members:
            seat = self.seat(member if member != name else mask)
            seat.root = mask
            self.seats.put(member if member != name else mask, seat)
        for timers in (self.timers, self.holds):
            timers.arm(mask, timers.forget(name))
        cause = self.dirty.pop(name, None)
        if cause is not None:
            self.dirty[mask] = cause

    def drop(self, root: Id) -> None:
        """Drops a cluster of which nothing is known any more."""
        for name in self.clusters.pop(root):
            self.seats.drop(name)
            for watched in (self.ripe, self.told, self.contested):
                watched.discard(name)
        for timers in (self.timers, self.holds):
            timers.forget(root)

    def join(self, old: Id, root: Id, members: list[Id]) -> None:
        """Members of the cluster of `old` came into the one of `root`: what holds of one holds of both."""
        for marked in (self.ripe, self.told):
            if root in marked:
                marked.update(members)
            elif old in marked:
                marked.update(self.clusters[root])

    def joined(self, root: Id, name: Id, *, ripe: bool, told: bool) -> None:
        """The same of one identifier that came into the cluster of `root`."""
        for marked, holds in ((self.ripe, ripe), (self.told, told)):
            if root in marked:
                marked.add(name)
            elif holds or name in marked:
                marked.update(self.clusters[root])

    def take_claims(self, root: Id, seat: Seat) -> None:
        """Privacy requests that waited at a former root."""
        if seat.claims:
            own = self.seat(root)
            own.claims |= seat.claims
            self.claimed.add(root)
            seat.claims = {}
            self.seats.put(root, own)
            self.seats.put(seat.id, seat)

    def oldest_request(self, kind: str) -> int:
        """When the oldest of the waiting privacy requests of that kind was made; 0: none waits."""
        waiting = {root: seat.claims for root in self.claimed if (seat := self.seats.get(root)) and seat.claims}
        self.claimed = set(waiting)
        times = [claim.time for claims in waiting.values() for claim in claims.values() if claim.kind == kind]
        return min(times, default=0)

    def regroup_all(self) -> None:
        """Every cluster is to be solved and viewed anew: the policy has changed."""
        for root, members in self.clusters.items():
            for name in members:
                self.mark(root, name, "policy", True)

    # -- rows --------------------------------------------------------------------------------------------------------

    def load_seat(self, key: bytes, row: bytes) -> None:
        self.seats.load(key, row)
        wake, flags, root, name = seats_of.peek(row)
        self.clusters.setdefault(root, []).append(name)
        if wake and name == root:
            self.timers.arm(root, wake)
        if flags & seats_of.CARTS:
            self._with_carts.add(root)
        if flags & seats_of.CLAIMS:
            self.claimed.add(name)

    def loaded(self) -> None:
        """After all seats: what was due or told of a cluster that can have triggers is not known any more."""
        for root in self._with_carts:
            self.ripe.update(self.clusters[root])
            self.told.update(self.clusters[root])
        self._with_carts.clear()


def _blank(seat: Seat, name: Id) -> Seat:
    """A seat of which nothing was published, in the place of another one."""
    return Seat(name, seat.root, seat.wake, evaluated=seat.evaluated, waiting=seat.waiting, hold=seat.hold)
