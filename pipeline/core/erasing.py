"""A shard's part in privacy requests: they climb to the root of their subject, and come back as what to forget.

Suppressions reach every shard in the transaction that withdraws what was published, so that none of them folds again
what another has just forgotten. Fragments of other persons forget the suppressed identifiers that they saw or were
told of. The index keeps its structure.
"""

from __future__ import annotations

from collections.abc import Callable

from pipeline.core.catalogue.catalogue import Catalogue
from pipeline.core.facts.struck import emptied, strike
from pipeline.core.folding import Folding
from pipeline.core.mail import Empty, Lift, Link, Mail, Request, Strike, Suppress
from pipeline.core.roots import Roots
from pipeline.core.seat import Claim
from pipeline.core.suppression import Suppressions
from pipeline.core.touchpoint import Id
from pipeline.core.unionfind import Index


class Erasing:
    """`post` sends a message."""

    def __init__(
        self,
        index: Index,
        folding: Folding,
        roots: Roots,
        suppressions: Suppressions,
        catalogue: Catalogue,
        post: Callable[[Mail], None],
    ) -> None:
        self._index, self._folding, self._roots = index, folding, roots
        self._catalogue = catalogue
        self._suppressions, self._hints, self._post = suppressions, folding.hints, post

    def request(self, message: Request) -> None:
        name = message.to
        if name == message.subject and not self._first(message):
            return
        root, parent = self._index.climb(name)
        if parent is not None:
            self._post(message.sent_to(parent))
            return
        seat = self._roots.seat(root)
        seat.claims[message.subject] = Claim(message.kind, message.event, message.time)
        self._roots.seats.put(root, seat)
        self._roots.mark(root, root, "", True)

    def _first(self, message: Request) -> bool:
        return self._folding.is_first(message.event, message.source, message.subject, message.received)

    def empty(self, message: Empty) -> None:
        """Forgets all that was folded at an anchor; those who were seen with a suppressed one forget it, too."""
        name = message.to
        self._catalogue.forget(name)
        fragment = self._folding.fragments.get(name)
        if fragment is not None:
            self._hints.forget(name, fragment.hints)
            self._folding.asking.forget(fragment)
            self._folding.put_identity(emptied(fragment))
        if name in self._suppressions:
            for anchor in self._index.node(name).anchors:
                self._post(Strike(anchor, name))

    def suppress(self, message: Suppress) -> None:
        self._suppressions.add(message.since)
        for key in message.since:
            for anchor in self._hints.take(key):
                self._forget_hints(anchor)

    def _forget_hints(self, anchor: Id) -> None:
        """Of a fragment: those at suppressed identifiers."""
        fragment, hinted = self._folding.fragments.get(anchor), self._suppressions.hinted
        if fragment is not None:
            gone = [hint for hint in fragment.hints if hinted(*hint.split(":", 1))]
            for hint in gone:
                del fragment.hints[hint]
            if gone:
                self._folding.put_identity(fragment)

    def lift(self, message: Lift) -> None:
        self._suppressions.lift(message.keys)

    def strike(self, message: Strike) -> None:
        fragment = self._folding.fragments.get(message.to)
        if fragment is not None and strike(fragment, message.name):
            self._folding.put_identity(fragment)

    def linked(self, message: Link) -> None:
        """A link to a suppressed identifier leads nowhere; its anchor is to forget it."""
        if message.to in self._suppressions:
            self._post(Strike(message.anchor, message.to))
        else:
            self._folding.linked(message)
