"""What must hold once a world has come to rest: what was published is what the oracle says, and what one process with
one shard says that reads the same touchpoints in the order of their received times; so does one with many shards that
publishes documents once, at the end."""

from __future__ import annotations

from pipeline.core.identifiers import Registry
from pipeline.core.replay import Replay, replay
from pipeline.core.touchpoint import Touchpoint
from tests.histories import policy
from tests.oracle import Answer, answer
from tests.published import Published
from tests.simulation.world import UNTIL, World


def check(world: World) -> None:
    published = world.run()
    known = answer(world.touchpoints, world.registry)
    agrees_with_the_oracle(published, known)
    registry = Registry(policy(world.config.policy))
    in_order = sorted(world.touchpoints, key=lambda tp: tp.received)
    alone = Published(replay(in_order, registry, UNTIL))
    agrees_with_the_oracle(alone, known)
    assert published.documents() == alone.documents(), "profiles depend on shards or faults"
    assert published.latest_triggers() == alone.latest_triggers(), "triggers depend on shards or faults"
    once = at_the_end(in_order, world.registry)
    assert once.documents() == alone.documents(), "profiles depend on when documents are published"
    assert once.latest_triggers() == alone.latest_triggers(), "triggers depend on when documents are published"


def at_the_end(touchpoints: list[Touchpoint], registry: Registry) -> Published:
    published = Published()
    run = Replay(registry, published.take, final=True)
    for tp in touchpoints:
        run.touch(tp)
    run.finish(UNTIL)
    return published


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
