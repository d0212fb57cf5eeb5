"""Clusters on the move: a root that is none any more hands its seats to where its parent leads.

To a root of the same shard at once; elsewhere as a bundle of messages, one for each seat, each with the fragment if its
home is a third shard. Who is no root either passes them on. A root with bundles on their way is not solved.
"""

from __future__ import annotations

from collections.abc import Callable

from pipeline.core import seat as seats_of
from pipeline.core.alarms import may_fire
from pipeline.core.fragment import Fragment
from pipeline.core.identifiers import Registry
from pipeline.core.mail import Adopt, Arrived, Mail, Report
from pipeline.core.roots import Roots
from pipeline.core.rows import Rows
from pipeline.core.timers import earlier
from pipeline.core.touchpoint import Id
from pipeline.core.triggers.soonest import earliest
from pipeline.core.unionfind import Index


class Moves:
    """`fragments`: those at home here."""

    def __init__(
        self, registry: Registry, index: Index, fragments: Rows[Fragment], roots: Roots, post: Callable[[Mail], None]
    ) -> None:
        self._home, self._index, self._fragments = registry.home, index, fragments
        self._roots, self._post = roots, post
        self._triggers = registry.policy.triggers
        self._lost: list[Id] = []

    def lost(self, name: Id) -> None:
        """A root of this shard is none any more."""
        self._lost.append(name)

    def mask(self, name: Id, mask: Id) -> None:
        self._lost = [mask if lost == name else lost for lost in self._lost]

    def cut(self) -> None:
        """Hands the clusters of the roots lost since the last call to where their parents lead."""
        if not self._lost:
            return
        roots = self._roots
        lost, self._lost = self._lost, []
        for old in lost:
            members = roots.clusters.pop(old)
            cause = roots.dirty.pop(old, None)
            roots.timers.arm(old, 0)
            roots.holds.arm(old, 0)
            root, parent = self._index.climb(old)
            if parent is None:
                self._absorb(root, old, members)
            else:
                self._hand_over(parent, old, members)
            if parent is None and cause is not None:
                roots.dirty[root].add(cause)

    def _absorb(self, root: Id, old: Id, members: list[Id]) -> None:
        roots = self._roots
        for name in members:
            seat = roots.seat(name)
            seat.root = root
            roots.seats.put(name, seat)
            roots.mark(root, name, "", True)
        roots.clusters[root].extend(members)
        roots.join(old, root, members)
        for name in roots.orphans.at(old):
            roots.orphans.note(name, root)
        before, after = roots.seat(old), roots.seat(root)
        for bundle, (arrived, size) in before.waiting.items():
            self._expect(root, bundle, arrived, size)
        before.waiting = {}
        roots.seats.put(root, after)
        roots.take_claims(root, before)

    def _hand_over(self, parent: Id, old: Id, members: list[Id]) -> None:
        """What was to be looked at here is forgotten: who takes them in looks at all of them."""
        roots = self._roots
        roots.claimed.discard(old)
        for bundle, (arrived, size) in roots.seat(old).waiting.items():
            self._post(Arrived(parent, bundle, arrived, size))
        for name in members:
            seat = roots.seat(name)
            if name == old:
                seat.waiting = {}
            row = self._row_for(parent, name, roots.replicas.encoded)
            self._post(Adopt(parent, old, len(members), seats_of.encode(seat), row))
            roots.seats.drop(name)
            roots.replicas.drop(name)
        for name in roots.orphans.at(old):
            here = self._index.is_here(name)
            row = (self._fragments if here else roots.replicas).encoded(name)
            if row is not None:
                self._post(Report(parent, name, row, 1, True, True, 0))
            if not here:
                roots.replicas.drop(name)
            roots.orphans.note(name, None)

    def _row_for(self, parent: Id, name: Id, replica: Callable[[Id], bytes | None]) -> bytes | None:
        """The fragment that travels with a seat to the home of `parent`."""
        if self._home(name) == self._home(parent):
            return None
        return self._fragments.encoded(name) if self._index.is_here(name) else replica(name)

    def adopt(self, message: Adopt) -> None:
        root, parent = self._index.climb(message.to)
        seat = seats_of.decode(message.seat)
        name = seat.id
        if parent is not None:
            row = self._row_for(parent, name, lambda _: message.fragment)
            self._post(Adopt(parent, message.bundle, message.size, message.seat, row))
            return
        roots = self._roots
        assert roots.seats.get(name) is None, "one seat per identifier"
        seat.root = root
        seat.wake = seat.hold = 0
        roots.seats.put(name, seat)
        roots.clusters[root].append(name)
        roots.orphans.note(name, None)
        if message.fragment is not None:
            roots.replicate(root, name, message.fragment)
        fragment = (self._fragments if self._index.is_here(name) else roots.replicas).get(name)
        seat.carts |= fragment is not None and may_fire(fragment)
        first = earliest(() if fragment is None else (fragment,), self._triggers)
        ripe = first is not None and first <= roots.clock
        if first is not None and not ripe:
            seat.alarm = earlier(seat.alarm, first)
        roots.joined(root, name, ripe=ripe, told=bool(seat.told))
        roots.take_claims(root, seat)
        self._expect(root, message.bundle, 1, message.size)
        roots.mark(root, name, "", True)

    def arrived(self, message: Arrived) -> None:
        root, parent = self._index.climb(message.to)
        if parent is None:
            self._expect(root, message.bundle, message.count, message.size)
        else:
            self._post(Arrived(parent, message.bundle, message.count, message.size))

    def _expect(self, root: Id, bundle: Id, arrived: int, size: int) -> None:
        """Counts the seats of a bundle at its root: complete when as many arrived as its size, which 0 leaves open."""
        seat = self._roots.seat(root)
        before, known = seat.waiting.get(bundle, (0, 0))
        arrived, size = before + arrived, size or known
        if arrived == size:
            seat.waiting.pop(bundle, None)
            self._roots.mark(root, root, "", True)
        else:
            seat.waiting[bundle] = (arrived, size)
        self._roots.seats.put(root, seat)
