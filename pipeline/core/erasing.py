"""A shard's part in privacy requests: they climb to the root of their subject, and come back as what to forget.

Suppressions reach every shard in the transaction that withdraws what was published, so that none of them folds again
what another has just forgotten. The index keeps its structure: a mask, which is made from the keyed hash, stands where
an erased identifier stood, and mail that still names the identifier is read as if it named the mask. Fragments of other
persons forget the identifiers that they saw or were told of.
What the policy keeps no longer goes in the same way, but may come again: masks of it stand for GRACE, until nothing on
its way can mean them, and for as long as others are in their cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

import msgspec

from pipeline.core.catalogue.catalogue import Catalogue
from pipeline.core.facts.struck import emptied, is_blank, names_in, strike
from pipeline.core.folding import Folding
from pipeline.core.fragment import Fragment
from pipeline.core.identifiers import Registry, is_mask, is_of_expired
from pipeline.core.mail import (
    Adopt,
    Arrived,
    Bought,
    Empty,
    Expired,
    Gone,
    Lift,
    Link,
    Mail,
    Masked,
    Offer,
    Point,
    Report,
    Request,
    Shared,
    Strike,
    Suppress,
    Unite,
    Unseen,
    Watch,
)
from pipeline.core.moves import Moves
from pipeline.core.roots import Roots
from pipeline.core.seat import Claim
from pipeline.core.suppression import Suppressions
from pipeline.core.times import HOUR
from pipeline.core.touchpoint import Id
from pipeline.core.unionfind import Index

GRACE: Final = HOUR
NAMES_MAX: Final = 1_000
"""In one message."""
_NAMED: Final[dict[type, tuple[str, ...]]] = {
    Unite: ("to", "smaller"),
    Point: ("to", "root"),
    Adopt: ("to", "bundle"),
    Arrived: ("to", "bundle"),
    Report: ("to",),
}
"""Members of messages about the index that name nodes."""
_ABOUT: Final[dict[type, str]] = {
    Link: "anchor",
    Report: "anchor",
    Request: "subject",
    Shared: "to",
    Strike: "to",
    Watch: "anchor",
    Offer: "to",
    Bought: "to",
}
"""Whose facts a message tells or changes: nobody's, if it is an erased person's."""


class Erasing:
    """`post` sends a message."""

    def __init__(
        self,
        registry: Registry,
        index: Index,
        folding: Folding,
        roots: Roots,
        moves: Moves,
        suppressions: Suppressions,
        catalogue: Catalogue,
        post: Callable[[Mail], None],
    ) -> None:
        self._registry, self._index, self._folding, self._roots, self._moves = registry, index, folding, roots, moves
        self._catalogue = catalogue
        self._suppressions, self._hints, self._post = suppressions, folding.hints, post

    def request(self, message: Request) -> None:
        name = message.to
        if name == message.subject and not self._first(message):
            return
        if name == message.subject:
            self._index.node(name)
        root, parent = self._index.climb(name)
        if parent is not None:
            self._post(message.sent_to(parent))
            return
        seat = self._roots.seat(root)
        seat.claims[message.subject] = Claim(message.kind, message.event, message.time, message.trace)
        self._roots.seats.put(root, seat)
        self._roots.claimed.add(root)
        self._roots.mark(root, root, "", True)

    def _first(self, message: Request) -> bool:
        return self._folding.is_first(message.event, message.source, message.subject, message.received)

    def admitted(self, message: Mail) -> Mail | None:
        """A message as it is to be read; None: it is about somebody who was erased meanwhile."""
        held = self._suppressions
        about = _ABOUT.get(type(message))
        if about is not None and getattr(message, about) in held:
            return None
        if isinstance(message, Link) and message.to in held:
            self._post(Strike(message.anchor, self._registry.key(message.to)))
            return None
        named = _NAMED.get(type(message), ())
        masks = {member: self._registry.masked(name) for member in named if (name := getattr(message, member)) in held}
        return msgspec.structs.replace(message, **masks) if masks else message

    # -- forgetting --------------------------------------------------------------------------------------------------

    def empty(self, message: Empty) -> None:
        """Forgets all that was folded at an anchor."""
        fragment = self._let_go(message.to, message.to)
        if fragment is not None:
            for seen in names_in(fragment):
                self._post(Unseen(seen, message.to))
            self._folding.put_identity(emptied(fragment))

    def vanish(self, root: Id, names: Collection[Id], now: int) -> None:
        """Of these identifiers of a cluster nothing is known any more. Their rows are dropped if that is true of all of
        it and no other shard may know of it, else masked."""
        members = self._roots.clusters.get(root, [])
        if all(map(is_of_expired, members)):
            self._go(root, now)
        elif self._is_alone(root, members):
            for name in members:
                self._remember(name, self._roots.seat(name).revision)
                self._index.nodes.drop(name)
                self._folding.erase(name)
            self._roots.drop(root)
        elif names:
            self._expire(root, names, now)

    def _remember(self, name: Id, revision: int) -> None:
        """The profile had a revision, which none that comes after falls below: that stays, by keyed hash."""
        if revision:
            self._suppressions.remember(name, revision)

    def _is_alone(self, root: Id, members: list[Id]) -> bool:
        if root in self._roots.dirty or self._roots.orphans.at(root):
            return False
        return all(self._is_blank(name, members) for name in members)

    def _go(self, root: Id, now: int) -> None:
        """Nobody can be meant by any of a cluster: it goes once no mail to it can be on its way."""
        roots, seat = self._roots, self._roots.seat(root)
        if seat.waiting or seat.claims:
            return
        if not seat.changes:
            seat.changes = now + GRACE
            roots.seats.put(root, seat)
        if seat.changes > now:
            roots.arm(root, seat.changes, 0)
            return
        for mask in roots.clusters[root]:
            self._post(Gone(mask))
        roots.drop(root)

    def _expire(self, root: Id, names: Collection[Id], now: int) -> None:
        roots = self._roots
        masks = {name: (self._mask_of(name, now), roots.seat(name).revision) for name in names}
        for name, (mask, _) in masks.items():
            roots.mask(name, mask)
        left = masks[root][0] if root in masks else root
        for member in roots.clusters[left]:
            if member != left:
                self._post(Point(member, left))
        elsewhere: dict[int, list[Id]] = {}
        for name in names:
            elsewhere.setdefault(self._registry.home(name), []).append(name)
        for at_home in elsewhere.values():
            for first in range(0, len(at_home), NAMES_MAX):
                part = {name: masks[name] for name in at_home[first : first + NAMES_MAX]}
                message = Expired(at_home[first], part, left)
                if self._index.is_here(message.to):
                    self.expired(message)
                else:
                    self._post(message)
        if all(map(is_of_expired, roots.clusters[left])):
            self._go(left, now)

    def _mask_of(self, name: Id, now: int) -> Id:
        """One that does not stand already."""
        mask = self._registry.masked(name, now)
        return self._mask_of(name, now + 1) if self._roots.seats.has(mask) else mask

    def expired(self, message: Expired) -> None:
        """Who was heard of meanwhile begins anew where the mask stands, and is united with it."""
        for name, (mask, revision) in message.names.items():
            node, fragment = self._index.nodes.get(name), self._folding.fragments.get(name)
            if node is None:
                continue
            self._remember(name, revision)
            left = (one for one in node.anchors.items() if not is_mask(one[0]) and one[0] not in message.names)
            anchors = dict(left)
            hub, fan, turn = node.hub, node.fan, node.turn
            self._index.depart(name, mask, message.root)
            self._moves.mask(name, mask)
            known = fragment is not None and not is_blank(fragment)
            if not known:
                self._let_go(name, name)
                self._folding.erase(name)
            if hub or anchors or known:
                again = self._index.node(name)
                again.anchors, again.hub, again.fan, again.turn = anchors, hub, fan, turn
                self._index.nodes.put(name, again)
                if fragment is not None and known:
                    self._folding.put_identity(fragment)
            else:
                self._roots.orphans.note(name, None)

    def unseen(self, message: Unseen) -> None:
        self._index.unsee(message.to, message.anchor)

    def gone(self, message: Gone) -> None:
        self._index.go(message.to)

    def _is_blank(self, name: Id, members: list[Id]) -> bool:
        """Whether nothing is known of an identifier, nothing published, and nobody knows it but these."""
        node = self._index.nodes.get(name) if self._index.is_here(name) and not is_mask(name) else None
        if node is None or node.hub or not {*node.anchors, node.parent or name}.issubset(members):
            return False
        fragment, seat = self._folding.fragments.get(name), self._roots.seat(name)
        known = fragment is not None and fragment != emptied(fragment)
        return not (known or seat.profile_id or seat.target or seat.told or seat.claims or seat.waiting)

    def _let_go(self, anchor: Id, called: Id) -> Fragment | None:
        """Others forget what they hold for a fragment, which is about to go. called: what they are told of it."""
        self._catalogue.orders.forget(anchor)
        fragment = self._folding.fragments.get(anchor)
        if fragment is not None:
            self._hints.forget(anchor, fragment.hints)
            self._folding.asking.forget(fragment, called)
        return fragment

    def suppress(self, message: Suppress) -> None:
        self._suppressions.add(message.since)
        for key in message.since:
            for anchor in self._hints.take(key):
                self._forget_hints(anchor)
            rows = (self._index.nodes, self._roots.seats, self._roots.replicas)
            name = next((name for kind in rows if (name := kind.named(key)) is not None), None)
            if name is not None:
                self._mask(name)
        self._registry.forget()

    def _mask(self, name: Id) -> None:
        mask = self._registry.masked(name)
        node = self._index.nodes.get(name)
        if node is not None:
            for anchor in node.anchors:
                if anchor not in self._suppressions:
                    self._post(Strike(anchor, self._registry.key(name)))
            fragment = self._let_go(name, mask)
            if fragment is not None:
                for seen in names_in(fragment):
                    if seen not in self._suppressions:
                        self._post(Masked(seen, [mask]))
            self._folding.erase(name)
            self._index.mask(name, mask)
            named = (name for name in (*node.anchors, node.parent) if name is not None and name in self._suppressions)
            self._index.mask_named(mask, map(self._registry.masked, list(named)))
            self._moves.mask(name, mask)
        self._roots.mask(name, mask)

    def masked(self, message: Masked) -> None:
        self._index.mask_named(message.to, message.masks)

    def _forget_hints(self, anchor: Id) -> None:
        """Of a fragment: those at suppressed identifiers."""
        fragment, hinted = self._folding.fragments.get(anchor), self._suppressions.hinted
        if fragment is not None:
            gone = [hint for hint in fragment.hints if hinted(*hint.split(":", 1))]
            for hint in gone:
                del fragment.hints[hint]
            if gone:
                self._folding.put_identity(fragment)

    def strike(self, message: Strike) -> None:
        fragment = self._folding.fragments.get(message.to)
        if fragment is not None:
            gone = [name for name in names_in(fragment) if self._registry.key(name) == message.key]
            for name in gone:
                strike(fragment, name)
            if gone:
                self._folding.put_identity(fragment)

    def lift(self, message: Lift) -> None:
        self._suppressions.lift(message.keys)
