"""One shard: fragments and index nodes of the identifiers at home here, clusters of the roots at home here.

The order inside an epoch: touch and receive fold and unite; `report` sends each changed fragment to its root once;
`cut` hands the clusters of roots that were lost to their new root; what is left dirty is settled.
A root reads a fragment at home here directly; fragments from elsewhere are kept as replicas.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from pipeline.core.catalogue.asking import views_of
from pipeline.core.catalogue.catalogue import Catalogue
from pipeline.core.cause import Watched
from pipeline.core.erasing import Erasing
from pipeline.core.folding import Folding
from pipeline.core.fragment import Fragment
from pipeline.core.identifiers import Registry
from pipeline.core.mail import (
    Adopt,
    Arrived,
    Empty,
    Expired,
    Gone,
    Lift,
    Link,
    Mail,
    Masked,
    Offer,
    Point,
    Recount,
    Report,
    Request,
    Shared,
    Strike,
    Suppress,
    Touch,
    Unite,
    Unseen,
)
from pipeline.core.moves import Moves
from pipeline.core.roots import Roots
from pipeline.core.rows import Rows
from pipeline.core.suppression import Suppressions
from pipeline.core.touchpoint import Id, Rejected, Touchpoint
from pipeline.core.unionfind import Index

KINDS: Final = ("nodes", "fragments", "replicas", "seats", "products", "watchers", "orders", "buyers", "totals")


class Shard:
    """`post` sends a message to the home of its addressee. `count` counts what metrics show. `watched`: of all shards
    of the process. `reject` takes what may not come in."""

    def __init__(
        self,
        number: int,
        registry: Registry,
        post: Callable[[Mail], None],
        count: Callable[[str], None],
        watched: Watched,
        reject: Callable[[Rejected], None],
        *,
        durable: bool = True,
    ) -> None:
        self.registry, self.count, self.post = registry, count, post
        self._reject = reject
        self._number, self._home = number, registry.home
        self.expired = 0
        """The day on which was last forgotten what is not to be kept."""
        self.index = Index(registry, number, post, durable=durable)
        self.catalogue = Catalogue(registry, post, count, self._views_of, durable=durable)
        self.folding = Folding(registry, self.index, watched, self.catalogue, post, count, durable=durable)
        self.suppressions = Suppressions(registry, durable=durable)
        self.roots = Roots(registry, self.index, watched, self.suppressions.revision, post, durable=durable)
        self.moves = Moves(registry, self.index, self.folding.fragments, self.roots, post)
        self.hints = self.folding.hints
        self._erasing = Erasing(
            registry, self.index, self.folding, self.roots, self.moves, self.suppressions, self.catalogue, post
        )
        self.index.tell(born=self.roots.born, hub=self.folding.became_hub, lost=self.moves.lost)
        self._fragments, self._replicas = self.folding.fragments, self.roots.replicas
        self._kinds: tuple[tuple[bytes, Rows[Any]], ...] = (
            (b"N", self.index.nodes),
            (b"F", self._fragments),
            (b"R", self._replicas),
            (b"S", self.roots.seats),
            *self.catalogue.kinds(),
        )
        self.fragment = self._known if registry.shards > 1 else self._fragments.get
        """The newest version known here of a fragment of a cluster of this shard."""
        self.touch = self.folding.touch
        self.cut = self.moves.cut
        self.vanish = self._erasing.vanish
        self._handlers: dict[type, Callable[..., None]] = {
            Touch: self._touched,
            Link: self.folding.linked,
            Unite: self.index.unite,
            Point: self.index.point,
            Shared: self.folding.shared,
            Recount: self.folding.recount,
            Report: self.roots.report,
            Adopt: self.moves.adopt,
            Arrived: self.moves.arrived,
            Request: self._erasing.request,
            Empty: self._erasing.empty,
            Suppress: self._erasing.suppress,
            Masked: self._erasing.masked,
            Expired: self._erasing.expired,
            Unseen: self._erasing.unseen,
            Gone: self._erasing.gone,
            Lift: self._erasing.lift,
            Strike: self._erasing.strike,
            Offer: self.folding.offered,
            **self.catalogue.handlers,
        }

    def _touched(self, message: Touch) -> None:
        self.take(message.touchpoint)

    def take(self, touchpoint: Touchpoint) -> None:
        """A touchpoint from the shard where it was read; what was suppressed meanwhile does not come in."""
        rejected = self.suppressions.refused(touchpoint) if self.suppressions.since else None
        if rejected is None:
            self.touch(touchpoint)
        else:
            self._reject(rejected)

    def receive(self, message: Mail) -> None:
        if self.suppressions.since:
            admitted = self._erasing.admitted(message)
            if admitted is None:
                return
            message = admitted
        self._handlers[type(message)](message)

    def report(self) -> None:
        """Sends each fragment that changed since the last call to its root, prices and stocks to who watches them, and
        what orders contribute to their SKUs."""
        self.folding.report(self.roots.changed)
        self.catalogue.report()

    def _known(self, name: Id) -> Fragment | None:
        return (self._fragments if self._home(name) == self._number else self._replicas).get(name)

    def fragments(self) -> Iterator[Fragment]:
        """All fragments at home here."""
        return self._fragments.all()

    def _views_of(self, name: Id) -> Iterator[tuple[str, int]]:
        return views_of(self._fragments.get(name))

    # -- rows --------------------------------------------------------------------------------------------------------

    def forget(self) -> None:
        """Lets go of what the caches and the deduplication window no longer hold, where no rows are wanted."""
        for _, rows in self._kinds:
            rows.evict()
        self.folding.dedup.sweep()

    def collect(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Rows that changed since the last call: kind and key, row or None."""
        for kind, rows in self._kinds:
            for key, row in rows.collect():
                yield kind + key, row
        for key, row in self.folding.dedup.collect():
            yield b"D" + key, row
        for key, row in self.roots.orphans.collect():
            yield b"O" + key, row
        for key, row in self.suppressions.collect():
            yield b"X" + key, row
        for key, row in self.hints.collect():
            yield b"H" + key, row

    def load(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Takes the rows of the state topic (or of `collect`) into an empty shard."""
        takers: dict[bytes, Callable[[bytes, bytes], None]] = {kind: rows.load for kind, rows in self._kinds}
        takers[b"S"] = self.roots.load_seat
        takers[b"P"] = self.catalogue.products.load
        takers[b"D"] = self.folding.dedup.load
        takers[b"X"] = self.suppressions.load
        takers[b"H"] = self.hints.load
        takers[b"O"] = self.roots.orphans.load
        for key, row in rows:
            takers[key[:1]](key[1:], row)
        self.roots.loaded()
        self.index.loaded()

    def held(self) -> Iterator[tuple[str, int, int]]:
        """Kind, number and bytes of the rows held."""
        for name, (_, rows) in zip(KINDS, self._kinds, strict=True):
            yield name, len(rows), rows.bytes
