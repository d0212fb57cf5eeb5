"""The identifiers at home at one shard: touchpoints folded into their fragments, what that tells the index and roots.

A touchpoint is folded once. What its fragment saw for the first time is linked; each fragment that changed is reported
to its root once per epoch, with what changed in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pipeline.core.alarms import waits
from pipeline.core.catalogue.asking import Act, Asking
from pipeline.core.catalogue.catalogue import Catalogue
from pipeline.core.cause import Watched
from pipeline.core.dedup import Dedup
from pipeline.core.events import ADDRESS, BASKET, CART, MESSAGE, ORDER, UNLINKED, WISHLIST
from pipeline.core.facts.offers import take
from pipeline.core.facts.sightings import weaker_since
from pipeline.core.fold import fold
from pipeline.core.fragment import Fragment, Sighting, ids_of, set_key
from pipeline.core.fragment_rows import received_before, rows_of
from pipeline.core.hints import Hints
from pipeline.core.identifiers import Registry
from pipeline.core.mail import EVERYBODY, Link, Mail, Offer, Recount, Report, Shared
from pipeline.core.timers import earlier
from pipeline.core.times import SECOND
from pipeline.core.touchpoint import Id, Touchpoint
from pipeline.core.unionfind import ANCHORS_KEPT, Index

JUDGED = CART | BASKET | WISHLIST | ORDER | MESSAGE | ADDRESS | {"consent.changed", "stock.subscribed"}


def matters(touchpoint: Touchpoint, grace: int) -> bool:
    """Whether a trigger can depend on it other than by its deadline. Being there in time, at most `grace` late, only
    moves deadlines to come, and these are met by their alarms."""
    data = touchpoint.data
    late = touchpoint.received - touchpoint.time > grace
    return late or touchpoint.type in JUDGED or bool(data.traits) or bool(touchpoint.hints)


class Folding:
    """`post` sends a message, `count` counts what metrics show. The index tells it through `became_hub`."""

    def __init__(
        self,
        registry: Registry,
        index: Index,
        watched: Watched,
        catalogue: Catalogue,
        post: Callable[[Mail], None],
        count: Callable[[str], None],
        *,
        durable: bool,
    ) -> None:
        self._registry, self._index, self._post, self._count = registry, index, post, count
        self._ripe, self._told, self._contested = watched.ripe, watched.told, watched.contested
        self._all_watched = watched
        self.asking = Asking(registry, post, catalogue)
        self._acts = self.asking.acts
        self.fragments = rows_of(registry, durable=durable)
        self.hints = Hints(registry, durable=durable)
        self.dedup = Dedup(registry.policy.identity.dedup_window, durable=durable)
        self.next_alarm = 0
        self.urgent = False
        """Whether a touchpoint since the last report could change a trigger at once."""
        self._grace = registry.policy.triggers.grace
        self._waits = waits(registry.policy.triggers)
        self._changed: dict[Id, str] = {}
        self._regroup: set[Id] = set()
        self._judged: set[Id] = set()
        self._alarms: dict[Id, int] = {}
        """Carts that changed since the last report: anchor -> first clock time at which they could be abandoned."""

    def touch(self, touchpoint: Touchpoint) -> None:
        """Folds a touchpoint whose anchor is at home here, unless it was folded before."""
        ids = touchpoint.ids
        anchor = ids[0]
        if not self.is_first(touchpoint.id, touchpoint.source, anchor, touchpoint.received):
            return
        fragment = self.fragments.get(anchor)
        if fragment is None:
            self._index.node(anchor)
            fragment = Fragment(anchor)
        plain = touchpoint.plain
        learned = plain is not None and not plain.keys() <= fragment.plain.keys()
        born = fragment.born
        overtaken = self._overtaken(fragment, touchpoint) if touchpoint.received < fragment.received else ()
        dropped = dict(fragment.dropped) if fragment.dropped else None
        new = fold(fragment, touchpoint, self._registry)
        if fragment.dropped:
            self._count_dropped(dropped or {}, fragment.dropped)
        self.fragments.put(anchor, fragment)
        if touchpoint.hints:
            self.hints.note(anchor, touchpoint)
        self._changed[anchor] = touchpoint.id
        sighting = fragment.sets.get(set_key(ids))
        vetoed = touchpoint.type == UNLINKED
        first = sighting is None or sighting.first == touchpoint.time
        if first or vetoed or learned or fragment.born != born:
            self._regroup.add(anchor)
            self._note_judged(anchor, ids, self._ripe)
        elif not self._contested.isdisjoint(ids):
            self._note_judged(anchor, ids, self._ripe)
        elif self._may_matter(touchpoint, sighting):
            self._note_judged(anchor, ids, self._told)
        self._set_alarm(anchor, touchpoint)
        act = self._acts.get(touchpoint.type)
        if act is not None:
            self._act(act, fragment, touchpoint)
        told = ids[1:] if fragment.hub and first else overtaken
        if (new or told) and not vetoed:
            self._link(fragment, new, told, touchpoint)

    def erase(self, anchor: Id) -> None:
        """Forgets an anchor as if it had never been."""
        self.fragments.drop(anchor)
        for noted in (self._changed, self._alarms):
            noted.pop(anchor, None)
        for named in (self._regroup, self._judged):
            named.discard(anchor)

    def is_first(self, event: str, source: str, anchor: Id, received: int) -> bool:
        """Whether this was not handled before; a repeat is counted."""
        first = self.dedup.first(event, source, anchor, received)
        if not first:
            self._count("repeated")
        return first

    def _may_matter(self, touchpoint: Touchpoint, sighting: Sighting | None) -> bool:
        """Whether what was told can depend on identifiers seen again: also where the app is new."""
        on_app = sighting is not None and sighting.app == touchpoint.received
        return on_app or matters(touchpoint, self._grace)

    def _note_judged(self, anchor: Id, ids: tuple[Id, ...], concerned: set[Id]) -> None:
        """concerned: whose triggers such a fact may change at once."""
        self._judged.add(anchor)
        if not concerned.isdisjoint(ids):
            self.urgent = True

    def _set_alarm(self, anchor: Id, touchpoint: Touchpoint) -> None:
        """When something can be due by it: what is late may show at once that something was."""
        time, received = touchpoint.time, touchpoint.received
        wait = self._waits.get(touchpoint.type)
        if received - time > self._grace and not self._ripe.isdisjoint(touchpoint.ids):
            self._arm(anchor, _next_second(received))
        elif wait is not None:
            self._arm(anchor, max(time + wait, _next_second(received)))

    def _arm(self, anchor: Id, alarm: int) -> None:
        known = self._alarms.get(anchor)
        if known is None or alarm < known:
            self._alarms[anchor] = alarm
            self.next_alarm = earlier(self.next_alarm, alarm)

    def report(self, mark: Callable[[Id, Id, str, bool, bool, int], None]) -> None:
        """Sends each fragment that changed since the last call to its root; `mark` notes it at a root of this shard."""
        self.next_alarm, self.urgent = 0, False
        if not self._changed:
            return
        changed, self._changed = self._changed, {}
        regroup, self._regroup = self._regroup, set()
        judged, self._judged = self._judged, set()
        alarms, self._alarms = self._alarms, {}
        for anchor, event in changed.items():
            root, parent = self._index.climb(anchor)
            alarm = alarms.get(anchor, 0)
            if parent is None:
                mark(root, anchor, event, anchor in regroup, anchor in judged, alarm)
            else:
                row = self.fragments.encoded(anchor)
                assert row is not None
                self._post(Report(parent, anchor, row, 0, anchor in regroup, anchor in judged, alarm))

    def outlived(self, now: int) -> list[Id]:
        """Anchors without touchpoint for as long as the policy keeps them."""
        retention, names_somebody = self._registry.policy.retention, self._registry.names_somebody
        least = min(filter(None, (retention.anonymous, retention.known)), default=now)
        return [
            fragment.id
            for fragment in received_before(self.fragments, now - least)
            if fragment.received
            < now - ((retention.known if names_somebody(fragment.id) else retention.anonymous) or now)
        ]

    # -- prices and stocks -------------------------------------------------------------------------------------------

    def _act(self, act: Act, fragment: Fragment, touchpoint: Touchpoint) -> None:
        """A price that is known already may be later than the touchpoint that makes it matter."""
        asked = self.asking.asked
        act(fragment, touchpoint)
        if self.asking.asked > asked and touchpoint.time <= self._all_watched.announced:
            self.urgent = True

    def offered(self, message: Offer) -> None:
        """Prices and stocks of an SKU: deadlines are at the times of these facts."""
        fragment = self.fragments.get(message.to)
        if fragment is None:
            return
        new = take(fragment, message.sku, message.prices, message.stocks)
        if new:
            fragment.version += 1
            self.fragments.put(fragment.id, fragment)
            self._changed.setdefault(fragment.id, "")
            self._judged.add(fragment.id)
        for fact in new:
            self._arm(fragment.id, max(fact.time + self._grace, _next_second(fact.received)))

    # -- who was seen with whom --------------------------------------------------------------------------------------

    def _count_dropped(self, before: Mapping[str, int], after: Mapping[str, int]) -> None:
        for bound, count in after.items():
            for _ in range(count - before.get(bound, 0)):
                self._count(f"dropped.{bound}")

    def _overtaken(self, fragment: Fragment, touchpoint: Touchpoint) -> Sequence[Id]:
        """Identifiers known with the anchor from touchpoints that were received later than this one."""
        since = weaker_since(fragment)
        return [name for name in touchpoint.ids[1:] if touchpoint.received < since.get(name, 0)]

    def _link(self, fragment: Fragment, new: Sequence[Id], told: Sequence[Id], touchpoint: Touchpoint) -> None:
        """new: identifiers that the fragment saw for the first time. told: those that are to be told anew."""
        received = touchpoint.received
        if self._index.widen(fragment.id, len(new)) and (not fragment.hub or received < fragment.hub):
            self._index.share(fragment.id, self._wide_since(fragment))
        for name in dict.fromkeys((*new, *told)):
            if not fragment.hub or received < fragment.hub:
                self._post(Link(name, fragment.id, received, touchpoint.time, False))
            if fragment.hub:
                self._post(Link(name, fragment.id, received, touchpoint.time, True))

    def _wide_since(self, fragment: Fragment) -> int:
        """When the first weaker identifier too many was received."""
        times = sorted(weaker_since(fragment).values())
        return times[min(self._registry.policy.identity.hub_fanout, len(times) - 1)]

    def linked(self, message: Link) -> None:
        self._index.link(message)
        if message.count_only:
            fragment = self.fragments.get(message.to) or Fragment(message.to)
            if fragment.met is None or message.first < fragment.met:
                fragment.met = message.first
                self.put_identity(fragment)

    def became_hub(self, name: Id, since: int) -> None:
        fragment = self.fragments.get(name) or Fragment(name)
        if not fragment.hub:
            self._count("hubs")
        fragment.hub = since
        self.put_identity(fragment)
        self._tell(fragment, count_only=True)

    def _tell(self, fragment: Fragment, *, count_only: bool) -> None:
        """Tells those whom the anchor was seen with of it."""
        name, known = fragment.id, weaker_since(fragment)
        for key, sighting in fragment.sets.items():
            for met in ids_of(key)[1:]:
                self._post(Link(met, name, known[met], sighting.first, count_only))
        for met, seen in fragment.rest.items():
            if met != name:
                self._post(Link(met, name, known[met], seen.first, count_only))

    def shared(self, message: Shared) -> None:
        fragment, hub, turn = self.fragments.get(message.to), message.hub, message.turn
        if fragment is None or turn < fragment.turns.get(hub, 0):
            return
        before = fragment.shared.get(hub)
        if turn > fragment.turns.get(hub, 0):
            fragment.turns[hub] = turn
            fragment.shared.pop(hub, None)
        known = fragment.shared.get(hub)
        if message.since and (known is None or message.since < known):
            fragment.shared[hub] = message.since
        if fragment.shared.get(hub) != before or turn:
            self.put_identity(fragment)

    def review(self) -> None:
        """Judges by a new policy who is shared. Where more weaker identifiers were seen than are kept, a hub stays one;
        where more anchors were, it is none until they are counted again."""
        doubtful: list[Id] = []
        for name in self._index.suspects():
            node, fragment = self._index.node(name), self.fragments.get(name)
            since = earlier(self._index.crowded_since(node), self._wide(node.fan, fragment))
            all_weaker = fragment is None or "rest" not in fragment.dropped
            if since == node.hub or not (since or all_weaker):
                continue
            if not since and len(node.anchors) > ANCHORS_KEPT:
                doubtful.append(name)
            self._index.judge(node, since)
            if not since and fragment is not None:
                fragment.hub = 0
                self.put_identity(fragment)
                self._tell(fragment, count_only=False)
        if doubtful:
            self._post(Recount(EVERYBODY, doubtful))

    def recount(self, message: Recount) -> None:
        for fragment in self.fragments.all():
            seen = [hub for hub in message.hubs if hub in fragment.shared]
            if seen:
                since = weaker_since(fragment)
                for hub in seen:
                    self._post(Link(hub, fragment.id, since[hub], _first_seen(fragment, hub), bool(fragment.hub)))

    def _wide(self, fan: int, fragment: Fragment | None) -> int:
        """When an anchor was seen with too many weaker identifiers; 0: never."""
        if fragment is None or fan <= self._registry.policy.identity.hub_fanout or not weaker_since(fragment):
            return 0
        return self._wide_since(fragment)

    def put_identity(self, fragment: Fragment) -> None:
        """Stores a fragment of which something changed that its touchpoints do not say."""
        fragment.version += 1
        self.fragments.put(fragment.id, fragment)
        self._changed.setdefault(fragment.id, "")
        self._regroup.add(fragment.id)
        self._judged.add(fragment.id)


def _next_second(time: int) -> int:
    """The full second that is not before it."""
    return -(-time // SECOND) * SECOND


def _first_seen(fragment: Fragment, name: Id) -> int:
    """When an identifier was first seen with the anchor."""
    times = [sighting.first for key, sighting in fragment.sets.items() if name in ids_of(key)]
    return min([*times, *(seen.first for met, seen in fragment.rest.items() if met == name)])
