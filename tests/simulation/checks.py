"""What must hold once a world has come to rest.

What was published is what the oracle says of the policy it came to and, on the record clock, what one process with one
shard says that reads the same touchpoints in the order of their received times. No record is there twice. The rows in
the state topic agree with each other, and with the records that were published.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from pipeline.core import seat as seats_of
from pipeline.core.fragment import ids_of
from pipeline.core.fragment_rows import decode_fragment, version_of
from pipeline.core.replay import Replay, replay
from pipeline.core.seat import Seat
from pipeline.core.times import parse
from pipeline.core.touchpoint import Id
from pipeline.core.unionfind import Node
from pipeline.kafka.state import CLAIM, POSITION, SHELL, claimant
from tests.oracle import Answer, answer
from tests.published import Published
from tests.simulation.world import World, registry

_node = msgspec.msgpack.Decoder(Node).decode


def check(world: World) -> None:
    world.run()
    compare(world)


def compare(world: World) -> None:
    """What came of a world with what should."""
    published = Published(world.outputs())
    known = answer(world.touchpoints, world.registry)
    agrees_with_the_oracle(published, known)
    state = State(world)
    agrees_with_the_state(published, state)
    knows_its_hubs(state, known.hubs)
    parents_fall(world)
    belongs_to_the_last(world)
    refused_once(world)
    in_order = sorted(world.touchpoints, key=lambda tp: tp.received)
    alone = Published(replay(in_order, registry(world.config.last_policy, 1), world.until))
    agrees_with_the_oracle(alone, known)
    changes_by_time_alone(world, published)
    assert published.documents() == alone.documents(), "profiles depend on shards or faults"
    assert published.products == alone.products, "products depend on shards or faults"
    if world.config.clock == "record" and not world.config.new_policy:
        assert published.latest_triggers() == alone.latest_triggers(), "triggers depend on shards or faults"
    if world.config.seed % 10 == 0:
        agrees_with_its_end(world, alone)


def changes_by_time_alone(world: World, published: Published) -> None:
    """The sweep may find blocks that fade with time. Who a person is and what was folded must be published already,
    unless the last document is so new that the next one still waits."""
    interval, known = world.registry.policy.publish.min_interval, len(published.changes)
    waiting = {
        key
        for key, document in published.profiles.items()
        if document["status"] == "active" and world.until - parse(document["as_of"]) < interval
    }
    for output in world.sweep:
        published.take(output)
    for change in (one for one in published.changes[known:] if one["profile_id"] not in waiting):
        assert not {"identity", "lineage"}.intersection(change["changed"]), "a publication was forgotten"


def agrees_with_its_end(world: World, alone: Published) -> None:
    """Documents may as well be published once, at the end."""
    once = Published()
    run = Replay(world.registry, once.take, final=True)
    for tp in sorted(world.touchpoints, key=lambda tp: tp.received):
        run.touch(tp)
    run.finish(world.until)
    assert once.documents() == alone.documents(), "profiles depend on when documents are published"
    assert once.latest_triggers() == alone.latest_triggers(), "triggers depend on when documents are published"


def agrees_with_the_oracle(published: Published, known: Answer) -> None:
    assert published.persons() == known.groups()
    assert published.profile_ids() == known.profile_ids()
    assert published.shared() == known.hubs
    assert published.since() == known.since
    assert not published.broken_redirects()
    documents = published.documents()
    assert documents.keys() == {person.profile_id for person in known.persons}
    for person in known.persons:
        document = documents[person.profile_id]
        assert document["identity"]["size"] == len(person.ids)
        assert document["identity"]["conflicts"] == known.conflicts(person)
        assert document["lineage"]["touchpoints"] == person.touchpoints


class State:
    """The rows that are committed, by kind."""

    def __init__(self, world: World) -> None:
        self.registry, self.until = world.registry, world.until
        self.nodes: dict[Id, Node] = {}
        self.seats: list[tuple[int, Seat]] = []
        self.fragments: dict[bytes, bytes] = {}
        self.replicas: dict[int, dict[bytes, bytes]] = {}
        for shard in range(world.config.shards):
            self._read(shard, world.rows(shard))

    def _read(self, shard: int, rows: dict[bytes, bytes]) -> None:
        self.replicas[shard] = {}
        for key, row in rows.items():
            if key.startswith(SHELL):
                continue
            if key[:1] == b"N":
                node = _node(row)
                self.nodes[node.id] = node
                assert self.registry.home(node.id) == shard
            elif key[:1] == b"S":
                self.seats.append((shard, seats_of.decode(row)))
            elif key[:1] == b"F":
                self.fragments[key[1:]] = row
            elif key[:1] == b"R":
                self.replicas[shard][key[1:]] = row
            else:
                assert key[:1] != b"O", "a replica waits for its seat"
        assert POSITION in rows

    def root(self, name: Id) -> Id:
        while (parent := self.nodes[name].parent) is not None:
            assert self.registry.order(parent) < self.registry.order(name)
            name = parent
        return name


def agrees_with_the_state(published: Published, state: State) -> None:
    home, key = state.registry.home, state.registry.key
    assert sorted(seat.id for _, seat in state.seats) == sorted(state.nodes), "one seat for each identifier"
    told: dict[str, Any] = {}
    for shard, seat in state.seats:
        root = state.root(seat.id)
        assert (seat.root, shard) == (root, home(root)), "a seat is at its root"
        assert not seat.waiting, "a cluster waits for seats"
        assert not 0 < seat.due <= state.until, "a publication is overdue"
        assert home(seat.id) == shard or version_of(state.replicas[shard].get(key(seat.id))) == version_of(
            state.fragments.get(key(seat.id))
        ), "the root has the newest version"
        agrees_with_the_seat(published, state, seat)
        for trigger, one in seat.told.items():
            told[trigger] = max(one, told.get(trigger, one), key=lambda one: one.revision)
    held = {shard: {key(seat.id) for at, seat in state.seats if at == shard} for shard in state.replicas}
    assert all(rows.keys() <= held[shard] for shard, rows in state.replicas.items()), "a replica is left behind"
    newest = {record["trigger_id"]: record for record in published.triggers}
    assert {trigger: (one.revision, one.status) for trigger, one in told.items()} == {
        trigger: (record["revision"], record["status"]) for trigger, record in newest.items()
    }, "seats know what was told"


def agrees_with_the_seat(published: Published, state: State, seat: Seat) -> None:
    row = published.identities.get(seat.id)
    assert (row is None) == (not seat.profile_id)
    if row is not None:
        since = published.since().get(seat.id, 0)
        assert (row["profile_id"], since, row["shared"]) == (seat.profile_id, seat.since, seat.shared)
    own = state.registry.profile_id(seat.id)
    document = published.profiles.get(own, {"revision": 0})
    assert document["revision"] == seat.revision, "a seat knows its profile's revision"
    if seat.revision:
        assert document.get("merged_into", own) == seat.target, "a seat knows where its profile leads"


def knows_its_hubs(state: State, hubs: set[Id]) -> None:
    """Whoever solves or explains a cluster knows of each identifier in its fragments whether it is a hub."""
    for row in state.fragments.values():
        fragment = decode_fragment(row)
        seen = {name for names in fragment.sets for name in ids_of(names)[1:]}
        assert seen & hubs <= fragment.shared.keys(), "a fragment does not know that it saw a hub"


def belongs_to_the_last(world: World) -> None:
    """A shard at rest has one owner, whose claim is the last one. One that died before it owned the shard may have left
    its claim behind."""
    owners = {shard: process.name for process in world.processes for shard in process.committer.leases}
    for shard in range(world.config.shards):
        rows = world.rows(shard)
        claims = [key for key in rows if key.startswith(CLAIM)]
        assert claims and claimant(claims[-1]) == owners[shard], "the shard is somebody else's"


def parents_fall(world: World) -> None:
    """In the order of the log: so whoever climbs gets to a root."""
    order = world.registry.order
    for shard in range(world.config.shards):
        parents: dict[Id, Id] = {}
        for record in world.broker[world.settings.topic("state"), shard].read(0, 1_000_000)[0]:
            if record.key.startswith(b"N"):
                node = _node(record.value)
                before = parents.get(node.id)
                assert before is None or (node.parent is not None and order(node.parent) <= order(before))
                if node.parent is not None:
                    parents[node.id] = node.parent


def refused_once(world: World) -> None:
    names = [f"__connect.errors.{name}" for name in ("topic", "partition", "offset")]
    letters = Counter(tuple(dict(record.headers)[name] for name in names) for record in world.committed("dead-letters"))
    assert all(times == 1 for times in letters.values()), "a dead letter is there twice"
    assert len(letters) == world.refused, "dead letters are missing"
