"""The end of an epoch for the clusters of a shard: solve, publish, judge triggers, in this order.

A cluster is looked at when a fragment of it changed or a time in its seats has come. Only the persons concerned are
viewed. On the record clock triggers are judged once per instant: every second in which a fact was received and every
deadline, by what was known then; so they do not depend on how the input was cut into epochs.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator
from enum import Enum
from functools import reduce
from itertools import chain

from pipeline.core.alarms import waits
from pipeline.core.cause import Cause
from pipeline.core.cluster import Cluster
from pipeline.core.effects import Output
from pipeline.core.facts.struck import is_blank
from pipeline.core.fragment import Fragment
from pipeline.core.grouping import Grouping, PersonIds, grouping
from pipeline.core.identifiers import is_mask
from pipeline.core.judge import Judge, instants
from pipeline.core.privacy import Privacy
from pipeline.core.publish import Kind, Move, Publisher
from pipeline.core.seat import Seat
from pipeline.core.shard import Shard
from pipeline.core.timers import earlier
from pipeline.core.times import DAY, SECOND
from pipeline.core.touchpoint import Id

GROUPINGS_MAX = 100_000
LARGE = 64
"""From so many identifiers on a cluster's edges are kept at hand; below that it is quicker to look at all of it."""
AT_HAND_MAX = 1_000_000
"""Identifiers of the clusters at hand."""


class Clock(Enum):
    """wall: `now` is when something happens. record: `now` is the received time up to which all facts are there, and
    facts beyond it may be, too. replay: as record, but no fact is beyond it."""

    WALL = "wall"
    RECORD = "record"
    REPLAY = "replay"


class Settler:
    """`documents` off: only triggers are published; `finish` does the rest, once."""

    def __init__(self, shard: Shard, clock: Clock, out: Callable[[Output], None], *, documents: bool = True) -> None:
        self._roots, self._clock, self._documents = shard.roots, clock, documents
        self._registry, self._fragment, self._seat = shard.registry, shard.fragment, shard.roots.seat
        self._count = shard.count
        triggers = self._registry.policy.triggers
        self._calm = min(waits(triggers).values(), default=DAY) - triggers.grace - SECOND
        """What comes in time is due no sooner than that after it was received."""
        self._due_from = 0
        """While a cluster is judged by instants: before this, nothing can be due of what was passed over; 0: nothing
        was."""
        self._groupings: dict[Id, Grouping] = {}
        self._at_hand: dict[Id, Cluster] = {}
        self._publisher = Publisher(
            self._registry,
            out,
            shard.fragment,
            self._seat,
            shard.roots.seats.put,
            shard.count,
            swept=clock is not Clock.RECORD,
        )
        self._judge = Judge(self._registry, out, self._seat, shard.roots.seats.put, shard.count)
        self._privacy = Privacy(self._registry, shard.roots, shard.fragment, shard.post, out, shard.count)
        self._suppressions = shard.suppressions
        self._vanish = shard.vanish
        self._vanished: dict[Id, list[Id]] = {}
        """Root -> identifiers of its cluster of which nothing is known any more."""

    def settle(self, now: int, caught_up_to: int) -> None:
        roots = self._roots
        self._publisher.pace(now - caught_up_to)
        self._judge.began = self._judge.began or now
        dirty, roots.dirty = roots.dirty, {}
        for root in chain(roots.timers.due(now), roots.holds.due(caught_up_to)):
            dirty.setdefault(root, Cause()).due = True
        for root, cause in dirty.items():
            if cause.alarms:
                roots.sound(cause)
            alarmed = self._is_alarmed(root, cause, now)
            if (alarmed or cause.due) and root not in roots.ripe:
                roots.ripe.update(roots.clusters[root])
            seat = self._seat(root)
            if seat.waiting:
                roots.dirty[root] = cause
            elif seat.claims:
                self._serve(root, now)
            elif self._documents or cause.due or alarmed or self._may_change_triggers(root, cause):
                self._cluster(root, cause, now, caught_up_to)
            else:
                self._put_off(root, cause, now)
        for root, names in self._vanished.items():
            self._groupings.pop(root, None)
            self._at_hand.pop(root, None)
            self._vanish(root, names, now)
        self._vanished.clear()
        roots.clock = now
        if len(self._groupings) > GROUPINGS_MAX:
            self._groupings.clear()
        if self._at_hand:
            self._let_go()

    def _let_go(self) -> None:
        for root in [root for root in self._at_hand if root not in self._roots.clusters]:
            del self._at_hand[root]
        if sum(map(len, self._at_hand.values())) > AT_HAND_MAX:
            self._at_hand.clear()

    def _serve(self, root: Id, now: int) -> None:
        """Answers privacy requests; what they change is settled once the shards have forgotten what they must."""
        grouped = grouping(self._members(root), self._fragment, self._registry)
        for name in self._roots.clusters[root]:
            self._publisher.forget(name)
        self._groupings.pop(root, None)
        self._at_hand.pop(root, None)
        self._privacy.serve(root, grouped, now)
        self._roots.mark(root, root, "", True)

    def _members(self, root: Id) -> list[Id]:
        """The identifiers of a cluster that may be known."""
        members, suppressions = self._roots.clusters[root], self._suppressions
        return [name for name in members if name not in suppressions] if suppressions.since else members

    def _may_change_triggers(self, root: Id, cause: Cause) -> bool:
        """Whether facts of the cluster that came may change its triggers before their time."""
        roots = self._roots
        regroup = cause.regroup or not roots.contested.isdisjoint(cause.events)
        return cause.judge and (root in roots.told or (regroup and root in roots.ripe))

    def persons(self) -> Iterator[PersonIds]:
        """All persons as they are now."""
        for root in self._roots.clusters:
            grouped = self._groupings.get(root) or grouping(self._members(root), self._fragment, self._registry)
            yield from grouped.groups

    def _is_alarmed(self, root: Id, cause: Cause, now: int) -> bool:
        """Whether the time of a changed cart has come, or that of somebody who joined the cluster."""
        for alarm in cause.alarms.values():
            if alarm <= now:
                return True
        if not cause.regroup:
            return False
        members = self._roots.clusters[root]
        return 0 < self._judge.alarm(members if len(members) < LARGE else cause.events) <= now

    def finish(self, now: int) -> None:
        """Views every profile once more and publishes what changed."""
        for root in self._roots.clusters:
            grouped = self._groupings.get(root) or grouping(self._members(root), self._fragment, self._registry)
            self._publish(grouped.groups, grouped, Cause(), now, last=True)

    def _put_off(self, root: Id, cause: Cause, now: int) -> None:
        """Nothing of the cluster can be due before its alarm: it waits until then, or until the end."""
        alarms: Iterable[int] = cause.alarms.values()
        self._let_go_of_forgotten(root, cause)
        roots, known, cluster = self._roots, self._groupings.get(root), self._at_hand.get(root)
        if cluster is not None:
            cluster.unread.update(cause.events)
            self._note_times(cluster, cause.events, now)
            alarms = [cluster.times.next()]
        elif cause.regroup or (known is not None and not known.settled):
            self._groupings.pop(root, None)
            members = roots.clusters[root]
            alarms = [self._judge.alarm(members if len(members) < LARGE else cause.events)]
        seat = self._seat(root)
        roots.arm(root, reduce(earlier, alarms, seat.wake), seat.hold)

    def _cluster(self, root: Id, cause: Cause, now: int, caught_up_to: int) -> None:
        if len(self._roots.clusters[root]) >= LARGE:
            self._large(root, cause, now, caught_up_to)
            return
        before = self._groupings.get(root)
        if before is not None and before.settled and not cause.regroup:
            self._refresh(root, before, cause, now, caught_up_to)
            return
        grouped, touched, moved = self._regroup(root, cause, before)
        self._withdraw_vanished(root, grouped, now)
        if cause.due:
            due = [group for group in grouped.groups if self._is_due(group, now, caught_up_to)]
            touched += [group for group in due if group not in touched]
        if self._documents:
            self._publish(touched, grouped, cause, now)
        self._triggers(root, touched, moved, True, now, caught_up_to)
        self._arm(root, grouped.groups, now)

    def _let_go_of_forgotten(self, root: Id, cause: Cause) -> None:
        """What is at hand of a cluster holds no longer once a fragment of it was emptied."""
        cluster = self._at_hand.get(root)
        if cluster is not None and any(cluster.heard(name) and self._is_emptied(name) for name in cause.events):
            del self._at_hand[root]

    def _is_emptied(self, name: Id) -> bool:
        fragment = self._fragment(name)
        return fragment is not None and not fragment.received and not fragment.sets

    def _withdraw_vanished(self, root: Id, grouped: Grouping | Cluster, now: int) -> None:
        """Takes back what was published for identifiers that nothing is known of any more."""
        members = self._roots.clusters[root]
        if len(grouped.group_of) < len(members):
            unknown = [name for name in members if name not in grouped.group_of and not is_mask(name)]
            gone = [name for name in unknown if self._was_published(name)]
            for name in gone:
                self._publisher.forget(name)
            if gone:
                self._privacy.withdraw(gone, now)
            emptied = [name for name in unknown if (one := self._fragment(name)) is not None and is_blank(one)]
            if gone or emptied or not grouped.group_of:
                self._vanished[root] = list(dict.fromkeys((*gone, *emptied)))

    def _was_published(self, name: Id) -> bool:
        seat = self._seat(name)
        return bool(seat.profile_id or seat.target or seat.told)

    def _refresh(self, root: Id, grouped: Grouping, cause: Cause, now: int, caught_up_to: int) -> None:
        """Nobody joined or left: the persons whose facts changed or whose time has come are viewed."""
        heard = {
            grouped.group_of[name].owner: event for name, event in cause.events.items() if name in grouped.group_of
        }
        due = [group for group in grouped.groups if cause.due and self._is_due(group, now, caught_up_to)]
        groups = [grouped.group_of[owner] for owner in dict.fromkeys([*(group.owner for group in due), *heard])]
        if self._documents:
            for group in groups:
                if group.owner in heard or self._is_shown_anew(group, now):
                    self._publisher.document(group, Kind("updated", heard.get(group.owner) or "sweep"), now)
        if cause.due or self._is_alarmed(root, cause, now) or self._may_change_triggers(root, cause):
            self._triggers(root, groups, (), cause.judge, now, caught_up_to)
        if cause.due:
            self._arm(root, grouped.groups, now)
        else:
            seat = self._seat(root)
            self._arm(root, groups, now, seat.wake, seat.hold)

    def _large(self, root: Id, cause: Cause, now: int, caught_up_to: int) -> None:
        """The same where only what is touched may be looked at."""
        self._let_go_of_forgotten(root, cause)
        fresh = root not in self._at_hand
        cluster, moved = self._take_up(root, cause)
        if fresh:
            self._withdraw_vanished(root, cluster, now)
        names = [*cause.events]
        if cause.due:
            names += [*cluster.times.due(now), *cluster.holds.due(caught_up_to)]
        groups = {group.owner: group for group in moved}
        groups |= {group.owner: group for name in names if (group := cluster.group_of.get(name)) is not None}
        touched = cluster.in_order(groups.values())
        changed = bool(moved) or cause.regroup
        if self._documents and changed:
            self._publish(touched, cluster, cause, now)
        elif self._documents:
            for group in touched:
                if not cause.events.keys().isdisjoint(group.ids) or self._is_shown_anew(group, now):
                    event = next(filter(None, map(cause.events.get, group.ids)), "sweep")
                    self._publisher.document(group, Kind("updated", event), now)
        if self._clock is not Clock.RECORD:
            self._triggers(root, touched, moved, changed or cause.judge, now, caught_up_to)
        elif root in self._roots.ripe:
            self._components(cluster, touched, changed or cause.judge, now)
        self._note_times(cluster, [name for group in touched for name in group.ids], now)
        self._roots.arm(root, cluster.times.next(), cluster.holds.next())

    def _take_up(self, root: Id, cause: Cause) -> tuple[Cluster, list[PersonIds]]:
        """The cluster at hand with what changed in it, and the persons that are other ones now."""
        roots = self._roots
        cluster = self._at_hand.get(root)
        if cluster is None:
            cluster = self._at_hand[root] = Cluster(self._fragment, self._registry)
            cluster.unread.update(self._members(root))
            self._groupings.pop(root, None)
            for name in roots.clusters[root]:
                seat = self._seat(name)
                cluster.times.arm(name, reduce(earlier, _times(seat)))
                cluster.holds.arm(name, seat.held)
        moved, turned = cluster.change(name for name in cause.events if name not in self._suppressions)
        for name in turned:
            if cluster.settled(name):
                roots.contested.discard(name)
            else:
                roots.contested.add(name)
        return cluster, moved

    def _note_times(self, cluster: Cluster, names: Iterable[Id], now: int) -> None:
        for name in names:
            seat = self._seat(name)
            cluster.times.arm(name, min((time for time in _times(seat) if time > now), default=0))
            cluster.holds.arm(name, seat.held)

    def _regroup(
        self, root: Id, cause: Cause, before: Grouping | None
    ) -> tuple[Grouping, list[PersonIds], Collection[PersonIds]]:
        """The persons of the cluster, those that this epoch concerns, and those that are other ones than before."""
        roots = self._roots
        members = self._members(root)
        grouped = grouping(members, self._fragment, self._registry)
        self._groupings[root] = grouped
        self._count_conflicts(grouped, before)
        if grouped.settled:
            roots.contested.difference_update(members)
        else:
            roots.contested.update(members)
        if before is None:
            return grouped, list(grouped.groups), grouped.groups
        known = set(before.groups)
        since, after = before.since, grouped.since
        touched = [
            group
            for group in grouped.groups
            if group not in known
            or any(name in cause.events or since.get(name) != after.get(name) for name in group.ids)
        ]
        return grouped, touched, {group for group in touched if group not in known}

    def _count_conflicts(self, grouped: Grouping, before: Grouping | None) -> None:
        """Edges that keep persons apart and did not before; each is known at both of its ends. What this process has
        not grouped yet is new only if nothing has been published for it."""
        if not any(group.conflicts for group in grouped.groups):
            return
        if before is None and any(self._seat(group.owner).revision for group in grouped.groups):
            return
        known = sum(group.conflicts for group in before.groups) if before else 0
        for _ in range((sum(group.conflicts for group in grouped.groups) - known) // 2):
            self._count("conflicts")

    # -- documents ---------------------------------------------------------------------------------------------------

    def _publish(
        self, groups: list[PersonIds], grouped: Grouping | Cluster, cause: Cause, now: int, *, last: bool = False
    ) -> None:
        publisher = self._publisher
        moves = [(group, publisher.identities(group, grouped.since, now)) for group in groups]
        split = self._split(moves, grouped)
        known = {group.owner for group in groups}
        moves += [(grouped.group_of[owner], Move()) for owner in split if owner not in known]
        for group, move in moves:
            kind = self._kind(group, move, split.get(group.owner, ()), cause, self._is_due(group, now))
            publisher.document(group, kind, now, last=last)

    def _split(self, moves: list[tuple[PersonIds, Move]], grouped: Grouping | Cluster) -> dict[Id, list[str]]:
        """Owners of persons that lost identifiers in this epoch -> the profile ids these went to."""
        split: dict[Id, list[str]] = {}
        for group, move in moves:
            for old in move.left:
                owner = grouped.owner(old, self._registry)
                if owner is not None:
                    split.setdefault(owner, []).append(self._registry.profile_id(group.owner))
        return split

    def _kind(self, group: PersonIds, move: Move, split_into: Iterable[str], cause: Cause, swept: bool) -> Kind:
        """swept: its time has come. Who is updated without either was changed by what others of its cluster did."""
        seat = self._seat(group.owner)
        active = seat.revision > 0 and seat.target == self._registry.profile_id(group.owner)
        event = next(filter(None, map(cause.events.get, group.ids)), "")
        into, here = tuple(split_into), (*move.merged, *move.led)
        if group.shared and move.shared:
            return Kind("shared", event or "merge", here, into)
        if group.oversize and (move.oversize or not active):
            return Kind("oversize", event or "merge", here, into)
        if len(move.merged) > 1 or (move.merged and active):
            return Kind("merged", "merge", here, into)
        if move.merged:
            return Kind("renamed", event or "merge", here, into)
        if into:
            return Kind("split", "split", here, into)
        if not seat.target:
            return Kind("created", event or "split", here)
        if not active:
            return Kind("split", "split", here)
        return Kind("updated", event or ("sweep" if swept else "merge"), here)

    # -- triggers ----------------------------------------------------------------------------------------------------

    def _triggers(
        self,
        root: Id,
        touched: list[PersonIds],
        moved: Collection[PersonIds],
        changed: bool,
        now: int,
        caught_up_to: int,
    ) -> None:
        """Judges the persons whose alarm has come, and of those who can have triggers the ones `moved`: what
        seemed closed may be due. If a fact that triggers depend on came, also who was told something: it may be wrong
        now, or what was blocked may be due."""
        judge = self._judge
        if self._clock is Clock.RECORD:
            if self._by_instants(root, self._members(root), changed, now):
                self._follow(touched, now)
            return
        for group in touched:
            if judge.is_asked(group.ids, now, caught_up_to, changed=changed, moved=group in moved):
                if judge.judge(self._publisher.person(group), group, now, caught_up_to, None):
                    self._follow([group], now)
                if root not in self._roots.told and judge.has_told(group.ids):
                    self._roots.told.update(self._roots.clusters[root])

    def _follow(self, told: Iterable[PersonIds], now: int) -> None:
        for group in told if self._documents else ():
            self._publisher.follow(group, now)

    def _components(self, cluster: Cluster, touched: list[PersonIds], changed: bool, now: int) -> None:
        """Judges on the record clock those whom the touched persons may have been one with since they were judged."""
        done: set[Id] = set()
        for group in touched:
            if group.owner not in done:
                component = cluster.companions(group.owner)
                members = cluster.around(group.owner, min(self._seat(name).evaluated for name in component))
                if self._by_instants(group.owner, members, changed, now):
                    self._follow([group], now)
                for name in members if len(members) > len(component) else ():
                    self._judge.evaluated(name, now)
                done.update(members)
                self._note_times(cluster, members, now)

    def _by_instants(self, holder: Id, members: list[Id], changed: bool, now: int) -> bool:
        """Judges these identifiers at each instant since the last evaluation, by what was known then; whether anything
        was told. holder: who is due again when a fact that is there already is received."""
        judge = self._judge
        if not 0 < judge.alarm(members) <= now and not (changed and judge.has_carts(members)):
            return False
        told = False
        fragments = [fragment for name in members if (fragment := self._fragment(name)) is not None]
        since = min(self._seat(name).evaluated for name in members)
        contested = not self._roots.contested.isdisjoint(members) or any(map(_is_contested, fragments))
        seen = instants(fragments, since, now, self._registry.policy.triggers.grace, contested=contested)
        grouped, joined, self._due_from = None, 0, 0
        for at in self._moments(members, seen.known, since, now):
            alarm = earlier(judge.alarm(members), self._due_from)
            if at not in seen.open and not 0 < alarm <= at and not judge.has_told(members):
                self._due_from = earlier(self._due_from, at + self._calm)
                continue
            self._due_from = 0 if self._due_from <= at else self._due_from
            reached = bisect_right(seen.joined, at)
            if grouped is None or joined != reached:
                grouped, joined = grouping(members, self._fragment, self._registry, at), reached
            for group in grouped.groups:
                if any(self._seat(name).evaluated < at for name in group.ids):
                    told |= judge.judge(self._publisher.person(group), group, at, at, at)
            judge.silence(members, at)
        if holder not in self._roots.told and judge.has_told(members):
            self._roots.told.update(self._roots.clusters[self._seat(holder).root])
        for name in members:
            judge.evaluated(name, now)
            judge.catch_up(name, now)
        judge.set_alarm(holder, reduce(earlier, (seen.later, self._due_from), self._seat(holder).alarm))
        return told

    def _moments(self, members: list[Id], known: list[int], since: int, now: int) -> Iterator[int]:
        """The instants known and the alarms after `since` up to `now`, also those set on the way."""
        places = iter([*known, now + 1])
        place, at = next(places), since
        while True:
            alarm = earlier(self._judge.alarm(members), self._due_from)
            at = min(place, max(alarm, at + 1)) if alarm else place
            if at > now:
                return
            yield at
            if at == place:
                place = next(places)

    # -- times -------------------------------------------------------------------------------------------------------

    def _is_due(self, group: PersonIds, now: int, caught_up_to: int = 0) -> bool:
        """Whether a time of it has come, or facts were read up to a deadline that waited for them."""
        for name in group.ids:
            seat = self._seat(name)
            if 0 < seat.due <= now or 0 < seat.changes <= now or 0 < seat.alarm <= now or 0 < seat.held <= caught_up_to:
                return True
        return False

    def _is_shown_anew(self, group: PersonIds, now: int) -> bool:
        """Whether the time of its document has come, not only that of its triggers."""
        for name in group.ids:
            seat = self._seat(name)
            if 0 < seat.due <= now or 0 < seat.changes <= now:
                return True
        return False

    def _arm(self, root: Id, groups: Iterable[PersonIds], now: int, wake: int = 0, hold: int = 0) -> None:
        """Notes when the cluster is due next: when one of these groups is, at `wake` if that is to come, or once facts
        were read up to `hold`."""
        for group in groups:
            for name in group.ids:
                seat = self._seat(name)
                held = seat.held
                if held and (not hold or held < hold):
                    hold = held
                for time in (seat.due, seat.changes, seat.alarm):
                    if time > now and (wake <= now or time < wake):
                        wake = time
        self._roots.arm(root, wake if wake > now else 0, hold)


def _is_contested(fragment: Fragment) -> bool:
    """Whether who is one person may have been another question before."""
    return bool(fragment.hub or fragment.shared or fragment.vetoes)


def _times(seat: Seat) -> tuple[int, int, int]:
    return seat.due, seat.changes, seat.alarm
