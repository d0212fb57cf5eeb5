"""A fresh state that goes on from what was published.

Who somebody is and what is known of them is made anew from all touchpoints; what was published is taken over from the
seats of the old state, so that what differs is published and nothing else: revisions go on, what no longer exists is
taken back, what was told of carts stays told, who was erased stays away. No trigger is fired; they wait for a worker.

All steps are effects to be made durable in their order. Until the last one the state says that it is being rebuilt; a
rebuild that was ended half way is begun again: what was published is then in legacy rows, and in seats made since.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from pipeline.core import seat as seats_of
from pipeline.core import state
from pipeline.core.blocks.identifiers import key_of_row
from pipeline.core.catalogue.products import heir
from pipeline.core.cause import Cause
from pipeline.core.effects import Effects, Output
from pipeline.core.events import ACCESS
from pipeline.core.group import Group
from pipeline.core.identifiers import Registry
from pipeline.core.ledger import Told
from pipeline.core.roots import Roots
from pipeline.core.seat import Seat
from pipeline.core.touchpoint import Id, Rejected, Touchpoint

LEGACY, SEAT, SUPPRESSION, PRODUCT = b"L", b"S", b"X", b"P"
ROWS_MAX = 20_000
"""Rows of one step."""
MEMBERS_MAX = 2_000
"""Identifiers whose persons are published in one step, about."""

Rows = Mapping[bytes, bytes]
Row = tuple[int, bytes, bytes | None]
"""Shard, key, row (None: deleted)."""
Ref = tuple[str, str]
"""Event id and source of a touchpoint."""


class Rebuild:
    """`clock`: wall or record. `rows`: the old state by shard. archived: touchpoints come of an archive, too. Raises
    StateError where the rows cannot be read."""

    def __init__(self, registry: Registry, clock: str, rows: Mapping[int, Rows], *, archived: bool = False) -> None:
        self._registry, self._rows, self._archived = registry, rows, archived
        self._profiles = registry.policy.publish.profile_topics
        self._published = _published(rows, registry)
        self._told = _told(self._published.values())
        self._wanted = {_ref(told) for told in self._told}
        self._homes: dict[Ref, Id] = {}
        self._group = Group(registry, clock)

    def begin(self) -> Iterator[Effects]:
        """Keeps what was published, then empties the state."""
        key, home = self._registry.key, self._registry.home
        yield self._made(rebuilding=True)
        yield from _steps((home(name), LEGACY + key(name), row) for name, row in self._published.items())
        kept = {LEGACY + key(name) for name in self._published} | {state.KEY}
        begun = {shard: dict(_heirs(rows)) for shard, rows in self._rows.items()}
        old = ((shard, key) for shard, rows in self._rows.items() for key in rows if key not in kept)
        yield from _steps((shard, key, begun[shard].get(key)) for shard, key in old)
        made = state.encode(state.made_with(self._registry))
        for number in range(self._registry.shards):
            self._group.add(number, [(state.KEY, made), *begun.get(number, {}).items()])
        for name, row in self._published.items():
            self._group.home(name).roots.heirs[name] = row

    def touch(self, touchpoint: Touchpoint) -> Rejected | None:
        """Folds a touchpoint; why not, if it may not come in. Privacy requests are for `serve`."""
        ids, ref = touchpoint.ids, (touchpoint.id, touchpoint.source)
        if ref in self._wanted and ids:
            self._homes[ref] = min(ids[0], self._homes.get(ref, ids[0]))
        return self._group.touch(self._registry.home(ids[0]) if ids else 0, touchpoint)

    def serve(self, touchpoint: Touchpoint, *, again: bool) -> Iterator[Effects]:
        """A privacy request, in its place among the touchpoints. again: it was served before: an erasure is repeated,
        as history has come in again, but nobody is told."""
        if again and touchpoint.type == ACCESS:
            return
        yield self.gather()
        self._group.touch(self._registry.home(touchpoint.ids[0]), touchpoint)
        effects = self._group.drain(touchpoint.received, 0)
        if again:
            effects.outputs = [
                output for output in effects.outputs if output.topic in (*self._profiles, "identities", "products")
            ]
        yield effects

    def gather(self) -> Effects:
        """The rows that changed since the last call."""
        effects = self._group.gather()
        for roots in self._roots():
            for cause in roots.dirty.values():
                roots.sound(cause)
            roots.dirty = {}
        return effects

    def finish(self, now: int) -> Iterator[Effects]:
        """Publishes what differs from what was published, all viewed at the clock `now`, which is not before that of
        the old state. On the record clock no trigger is evaluated for any time up to then."""
        yield self.gather()
        self._note_told()
        for number in range(self._registry.shards):
            self._group.shard(number).catalogue.products.review(now)
        for roots in self._roots():
            for part in _parts(roots.clusters):
                for root in part:
                    members = roots.clusters[root]
                    _evaluated(roots, members, now)
                    roots.dirty[root] = _cause(members)
                yield self._group.drain(now, 0)
        yield from self._withdraw(now)
        key, home = self._registry.key, self._registry.home
        yield from _steps((home(name), LEGACY + key(name), None) for name in self._published)

    def end(self) -> Effects:
        """The last step: the state is whole."""
        return self._made(rebuilding=False)

    def _made(self, *, rebuilding: bool) -> Effects:
        made = state.encode(state.made_with(self._registry, rebuilding=rebuilding, archived=self._archived))
        return Effects(rows={number: {state.KEY: made} for number in range(self._registry.shards)})

    def _roots(self) -> list[Roots]:
        return [self._group.shard(number).roots for number in range(self._registry.shards)]

    def _note_told(self) -> None:
        """Puts what was told of a cart to where the change is now that it was told of."""
        for told in self._told:
            home = self._homes.get(_ref(told))
            if home is None:
                continue
            if not self._exists(told.origin):
                told = msgspec.structs.replace(told, origin=home)
            for name in {home, told.origin}:
                roots = self._where(name)
                seat = roots.seat(name)
                seat.told = {**seat.told, told.trigger_id: told}
                seat.carts = True
                roots.seats.put(name, seat)

    def _exists(self, name: Id) -> bool:
        return self._group.home(name).index.nodes.get(name) is not None

    def _where(self, name: Id) -> Roots:
        """Of the shard at which the seat is."""
        root, beyond = self._group.home(name).index.climb(name)
        while beyond is not None:
            root, beyond = self._group.home(beyond).index.climb(beyond)
        return self._group.home(root).roots

    def _withdraw(self, now: int) -> Iterator[Effects]:
        """Takes back what was published of identifiers that were not seen again. Their seats stay, so that revisions
        go on should they be."""
        outputs: list[Output] = []
        for number in range(self._registry.shards):
            shard = self._group.shard(number)
            for name in list(shard.roots.heirs):
                shard.index.node(name)
                seat = shard.roots.seat(name)
                outputs += self._withdrawn(seat, now)
                shard.roots.seats.put(name, _emptied(seat))
                if len(outputs) >= ROWS_MAX:
                    yield self._with(outputs)
                    outputs = []
        yield self._with(outputs)

    def _with(self, outputs: list[Output]) -> Effects:
        effects = self.gather()
        effects.outputs += outputs
        return effects

    def _withdrawn(self, seat: Seat, now: int) -> Iterator[Output]:
        key = key_of_row(seat.id, seat.shown, self._registry)
        if seat.profile_id and key is not None:
            yield Output("identities", key, None, f"{key}@", now)
        if seat.target:
            profile_id = self._registry.profile_id(seat.id)
            for topic in self._profiles:
                yield Output(topic, profile_id, None, f"{profile_id}:{seat.revision + 1}", now)


def _published(rows: Mapping[int, Rows], registry: Registry) -> dict[Id, bytes]:
    """Encoded seats that know of anything published, by identifier; where there are a legacy row and a seat, the seat
    is newer."""
    found: dict[Id, bytes] = {}
    for kind in (LEGACY, SEAT):
        for shard in rows.values():
            if state.KEY in shard:
                state.readable(shard[state.KEY], registry)
            for row in (row for key, row in shard.items() if key.startswith(kind)):
                seat = seats_of.decode(row)
                if seat.profile_id or seat.revision or seat.told:
                    found[seat.id] = row
    return found


def _heirs(rows: Rows) -> Iterator[tuple[bytes, bytes]]:
    """The rows with which a fresh shard begins: who must stay away, and what was published of products."""
    for key, row in rows.items():
        if key.startswith(SUPPRESSION):
            yield key, row
        elif key.startswith(PRODUCT) and (product := heir(row)) is not None:
            yield key, product


def _told(rows: Iterable[bytes]) -> list[Told]:
    """The newest entry of each trigger."""
    newest: dict[str, Told] = {}
    for row in rows:
        for told in seats_of.decode(row).told.values():
            known = newest.get(told.trigger_id)
            if known is None or told.revision > known.revision:
                newest[told.trigger_id] = told
    return list(newest.values())


def _ref(told: Told) -> Ref:
    """The touchpoint that made the change that the trigger tells of."""
    cover = told.covers[0]
    return cover.event, cover.source.partition("\n")[0]


def _emptied(seat: Seat) -> Seat:
    revision = seat.revision + 1 if seat.revision else 0
    return Seat(seat.id, seat.root, wake=seat.wake, revision=revision, evaluated=seat.evaluated)


def _evaluated(roots: Roots, members: Iterable[Id], now: int) -> None:
    for name in members:
        seat = roots.seat(name)
        seat.evaluated = now
        roots.seats.put(name, seat)


def _cause(members: Iterable[Id]) -> Cause:
    cause = Cause()
    cause.events = dict.fromkeys(members, "policy")
    cause.regroup = cause.judge = True
    return cause


def _parts(clusters: Mapping[Id, list[Id]]) -> Iterator[list[Id]]:
    """The roots, some at a time."""
    part: list[Id] = []
    size = 0
    for root, members in clusters.items():
        part.append(root)
        size += len(members)
        if size >= MEMBERS_MAX:
            yield part
            part, size = [], 0
    yield part


def _steps(rows: Iterable[Row]) -> Iterator[Effects]:
    """Rows, so many at a time."""
    step, size = Effects(), 0
    for shard, key, row in rows:
        step.rows.setdefault(shard, {})[key] = row
        size += 1
        if size >= ROWS_MAX:
            yield step
            step, size = Effects(), 0
    if size:
        yield step
