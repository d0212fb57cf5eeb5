"""The union-find index of one shard, by messages.

A node lives at the home of its identifier. Its parent is always smaller (x ≺ y: rank first, then keyed hash); a node
without parent is a root. The index only grows: it says which fragments may belong together, never who is a person.
A node seen with more distinct anchors than its type's hub degree becomes a hub and is united with nothing it is seen
with from then on; what was received before joins whenever it arrives, as who was one person then must be known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from pipeline.core.identifiers import KEY_BYTES, Registry, is_mask
from pipeline.core.mail import Link, Mail, Point, Shared, Unite
from pipeline.core.rows import Rows
from pipeline.core.touchpoint import Id

ANCHORS_KEPT = 100
"""So many anchors are known of any identifier, so that another policy's degree up to that can be applied."""


class Node(msgspec.Struct, array_like=True, gc=False):
    """anchors: distinct anchors seen with this identifier, with the received time; one more than the degree is kept, or
    than ANCHORS_KEPT. hub: received time at which it became a hub; 0: none. fan: distinct weaker identifiers seen with
    it as anchor. turn: how often a new policy judged it another way."""

    id: Id
    parent: Id | None = None
    anchors: dict[Id, int] = {}
    hub: int = 0
    fan: int = 0
    turn: int = 0


class Index:
    """The nodes at home at shard `number`. `post` sends a message."""

    def __init__(self, registry: Registry, number: int, post: Callable[[Mail], None], *, durable: bool) -> None:
        self._registry, self._order, self._home = registry, registry.order, registry.home
        self._number, self._post = number, post
        self.nodes: Rows[Node] = Rows(
            msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(Node).decode, registry.key, durable=durable
        )
        self._departed: dict[bytes, Id] = {}
        """Identifiers that were forgotten and may come again, by key -> the newest of their masks."""

    def tell(self, *, born: Callable[[Id], None], hub: Callable[[Id, int], None], lost: Callable[[Id], None]) -> None:
        """Whom to tell that a node was made, that it became a hub (id, since), that a root is none any more."""
        self._born, self._hub, self._lost = born, hub, lost

    def mask(self, name: Id, mask: Id) -> None:
        """Puts a mask in the place of an identifier at home here."""
        node = self.nodes.rename(name, mask)
        if node is not None:
            node.id = mask

    def mask_named(self, name: Id, masks: Iterable[Id]) -> None:
        """Puts masks in the places where the node of an identifier names those they stand for."""
        node, key = self.nodes.get(name), self._registry.key
        if node is None:
            return
        mask_of = {key(mask)[:KEY_BYTES]: mask for mask in masks}
        node.anchors = {mask_of.get(key(anchor), anchor): since for anchor, since in node.anchors.items()}
        if node.parent is not None:
            node.parent = mask_of.get(key(node.parent), node.parent)
        self.nodes.put(name, node)

    def depart(self, name: Id, mask: Id, root: Id) -> None:
        """Puts a mask in the place of an identifier that may come again; it stands right below the root."""
        self.mask(name, mask)
        node = self.node(mask)
        node.anchors, node.hub, node.fan, node.turn = {}, 0, 0, 0
        self.nodes.put(mask, node)
        self.point(Point(mask, root))
        self._departed[self._registry.key(name)] = mask

    def go(self, mask: Id) -> None:
        """Drops the node of a mask that is needed no more."""
        self.nodes.drop(mask)
        key = self._registry.key(mask)[:KEY_BYTES]
        if self._departed.get(key) == mask:
            del self._departed[key]

    def loaded(self) -> None:
        """After all rows: masks of those who may come again are known by their longer keys."""
        for key in sorted(key for key in self.nodes.list_keys() if len(key) > KEY_BYTES + 1):
            name = self.nodes.named(key)
            if name is not None:
                self._departed[key[:KEY_BYTES]] = name

    def unsee(self, name: Id, anchor: Id) -> None:
        """An anchor has forgotten that it saw an identifier. At a hub a mask goes on counting for it."""
        node = self.nodes.get(name)
        since = None if node is None else node.anchors.pop(anchor, None)
        if node is not None and since is not None:
            if node.hub:
                node.anchors[self._registry.masked(anchor)] = since
            self.nodes.put(name, node)

    def is_here(self, name: Id) -> bool:
        """Whether the identifier is at home at this shard."""
        return self._home(name) == self._number

    def node(self, name: Id) -> Node:
        """The node of an identifier at home here; made if there is none. Who comes again is united with the mask of
        before: mail on its way may still mean that one."""
        node = self.nodes.get(name)
        if node is None:
            node = Node(name)
            self.nodes.put(name, node)
            self._born(name)
            before = self._departed.get(self._registry.key(name)) if self._departed else None
            if before is not None and not is_mask(name):
                self._post(Unite(before, name))
        return node

    def _standing(self, name: Id) -> Id:
        """What stands in the place of an identifier: itself, or the mask of one that has not come again."""
        if self._departed and not self.nodes.has(name):
            return self._departed.get(self._registry.key(name), name)
        return name

    def climb(self, name: Id) -> tuple[Id, Id | None]:
        """Follows parents as long as they are at home here: (the last node, None if it is a root, else its parent
        at another shard). The way is shortened."""
        name = self._standing(name)
        parent = self.node(name).parent
        if parent is None or not self.is_here(parent):
            return name, parent
        root, beyond = self._climb_from(self._standing(parent))
        if root != parent:
            self.point(Point(name, root))
        return root, beyond

    def _climb_from(self, name: Id) -> tuple[Id, Id | None]:
        parent = self.node(name).parent
        while parent is not None and self.is_here(parent):
            name = self._standing(parent)
            parent = self.node(name).parent
        return name, parent

    def widen(self, anchor: Id, more: int) -> bool:
        """Counts weaker identifiers seen with an anchor; whether these are too many."""
        node = self.node(anchor)
        node.fan += more
        self.nodes.put(anchor, node)
        return node.fan > self._registry.policy.identity.hub_fanout

    def share(self, anchor: Id, since: int) -> None:
        """An anchor seen with too many weaker identifiers is a hub since the first one too many was received."""
        node = self.node(anchor)
        if not node.hub or since < node.hub:
            self._mark(node, since)

    def link(self, message: Link) -> None:
        name, anchor = message.to, message.anchor
        node = self.node(name)
        anchors = node.anchors
        known = anchors.get(anchor)
        if known is None or message.received < known:
            anchors[anchor] = message.received
            self.nodes.put(name, node)
        if len(anchors) > self._degree(name):
            self._crowd(node, anchor)
        elif node.hub or node.turn:
            self._post(Shared(anchor, name, node.hub, node.turn))
        if not message.count_only and (not node.hub or message.received < node.hub):
            self._join(name, anchor)

    def _crowd(self, node: Node, anchor: Id) -> None:
        """More anchors than the degree: a hub since the time that the first one too many was received. Of the anchors
        those received first are kept, so that this time does not depend on who came first."""
        anchors = node.anchors
        told = [anchor]
        if len(anchors) > max(self._degree(node.id), ANCHORS_KEPT) + 1:
            last = max(anchors, key=lambda name: (anchors[name], name))
            del anchors[last]
            told.append(last)
        since = self.crowded_since(node)
        if not node.hub or since < node.hub:
            self._mark(node, since)
        for name in told:
            self._post(Shared(name, node.id, node.hub, node.turn))

    def crowded_since(self, node: Node) -> int:
        """When the first anchor too many was received; 0: there are not that many."""
        degree = self._degree(node.id)
        return sorted(node.anchors.values())[degree] if len(node.anchors) > degree else 0

    def _join(self, name: Id, anchor: Id) -> None:
        """Anchors of the same rank are chosen by text, parents by key: either may be the smaller one."""
        if self._order(anchor) < self._order(name):
            self.unite(Unite(name, anchor))
        else:
            self._post(Unite(anchor, name))

    def unite(self, message: Unite) -> None:
        name, smaller = self._standing(message.to), message.smaller
        if self._departed and self.is_here(smaller):
            smaller = self._standing(smaller)
        if name == smaller:
            return
        if self._order(name) < self._order(smaller):  # masks of one identifier
            name, smaller = smaller, name
        node = self.node(name)
        parent = node.parent
        if parent is None:
            assert self._order(smaller) < self._order(name), "a parent is smaller than its child"
            node.parent = smaller
            self.nodes.put(name, node)
            self._lost(name)
        elif parent != smaller:
            larger = parent if self._order(smaller) < self._order(parent) else smaller
            self._post(Unite(larger, smaller if larger == parent else parent))

    def point(self, message: Point) -> None:
        node = self.nodes.get(self._standing(message.to))
        if node is None or node.parent is None or node.parent == message.root:
            return
        masked = is_mask(message.root) and self._order(message.root).startswith(self._order(node.parent))
        if masked or self._order(message.root) < self._order(node.parent):
            node.parent = message.root
            self.nodes.put(node.id, node)

    def _degree(self, name: Id) -> int:
        return self._registry.policy.identity.degree_of(self._registry.type(name))

    def _mark(self, node: Node, since: int) -> None:
        node.hub = since
        self.nodes.put(node.id, node)
        self._hub(node.id, since)
        for anchor in node.anchors:
            self._post(Shared(anchor, node.id, since, node.turn))

    # -- another policy ----------------------------------------------------------------------------------------------

    def suspects(self) -> list[Id]:
        """Identifiers that are hubs, or have enough anchors or weaker identifiers to be some by this policy."""
        fanout = self._registry.policy.identity.hub_fanout
        return [
            node.id
            for node in self.nodes.all()
            if node.hub or node.fan > fanout or len(node.anchors) > self._degree(node.id)
        ]

    def judge(self, node: Node, since: int) -> None:
        """Makes a node a hub since then, or none (0), whatever it was."""
        node.turn += 1
        node.hub = since
        if since:
            self._mark(node, since)
            return
        self.nodes.put(node.id, node)
        for anchor in node.anchors:
            self._post(Shared(anchor, node.id, 0, node.turn))
            self._join(node.id, anchor)
