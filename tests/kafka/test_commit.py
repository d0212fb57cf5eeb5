"""What is committed when: an epoch whole or not at all, reports once they are true, blocks of a present lease only."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from pipeline.core.effects import Effects, Output
from pipeline.kafka.blocks import Block
from pipeline.kafka.clock import RecordClock, Report, Sight
from pipeline.kafka.committer import Committer
from pipeline.kafka.dead_letters import DeadLetter
from pipeline.kafka.epoch import Epoch, Work
from pipeline.kafka.intake import Lease
from pipeline.kafka.owner import Owner
from pipeline.kafka.state import Position
from pipeline.kafka.stats import Stats
from pipeline.settings import Settings
from tests.simulation import calm
from tests.simulation.calm import Calm

SETTINGS = Settings(shards=2)
WORK = Work(
    Effects(
        outputs=[Output("profiles", "p1", b"{}", "e1", 0)],
        mail=[(1, b"letter")],
        rows={0: {b"row": b"value"}, 1: {b"row": b"value"}},
    ),
    dead_letters=[DeadLetter(b"k", b"\xff", [])],
    positions={0: Position(10, 20), 1: Position(1, 2)},
    progress={0: Report(0, 4)},
    claims=[(1, b"\xffclaim:x")],
)


def test_at_every_effect_of_an_epoch_all_of_it_is_visible_or_nothing() -> None:
    host = Calm(calm.broker(SETTINGS))
    epochs = Epoch(SETTINGS, "worker", host.outside)
    epochs.start()
    seen = []
    host.before_effect = lambda: seen.append(visible(host))
    epochs.perform(WORK)
    assert set(seen) == {0, visible(host)} == {0, 9}


def visible(host: Calm) -> int:
    """Committed records of all topics."""
    return sum(len(one.read(0, 100)[0]) for topic in host.broker.topics.values() for one in topic)


def test_a_report_is_heard_of_once_what_it_says_is_committed() -> None:
    """Mail of an epoch under way is not in the log yet: who looked at the logs would think it handled."""
    heard = []

    class Epochs:
        def perform(self, work: Work) -> float:
            heard.append(dict(clock.reports))
            assert work.progress
            return 0.0

    clock = RecordClock(1)
    core: Any = SimpleNamespace(next_due=None, drain=lambda now, caught_up_to: Effects())
    intake: Any = SimpleNamespace(pending=0, take=lambda rejected: [])
    committer = Committer(core, intake, Epochs(), None, clock, Stats(), None, lambda: 0)
    committer.own({0: Lease(0, 1, Position(5, 0, received=9))})
    clock.saw({0: Sight(1, 9, 5, 5, 0, 0)}, [8, *[0] * 6])
    asyncio.run(committer.epoch())
    assert heard == [{}] and clock.reports[0].received == 9


def test_a_block_of_an_earlier_lease_is_passed_over() -> None:
    """It was fetched before the shard was given up; what was between may never have been read."""
    folded: list[str] = []
    intake: Any = SimpleNamespace(
        touchpoints=lambda lease, records, start, end: folded.append("touchpoints"), mail=None, pending=0
    )
    committer: Any = SimpleNamespace(leases={0: Lease(0, 2, Position(5, 0))})
    owner = Owner(SETTINGS, None, intake, committer, None, Stats())
    topic = SETTINGS.topic("touchpoints")
    asyncio.run(owner.read(Block(topic, 0, 1, 9, 12, [])))
    assert not folded
    asyncio.run(owner.read(Block(topic, 0, 2, 5, 9, [])))
    assert folded == ["touchpoints"]
