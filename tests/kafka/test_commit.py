"""What is committed when: an epoch whole or not at all, reports once they are true, blocks of a present lease only."""

from __future__ import annotations

import asyncio
from unittest.mock import patch

import pytest
from faust.types import TP

from pipeline.core.effects import Effects, Output
from pipeline.core.group import Group
from pipeline.core.identifiers import Registry
from pipeline.core.policy import Policy
from pipeline.dialects import Reader
from pipeline.kafka import committer as committers
from pipeline.kafka import owner as owners
from pipeline.kafka.assembly import assemble
from pipeline.kafka.blocks import Block
from pipeline.kafka.clock import Report
from pipeline.kafka.committer import Committer
from pipeline.kafka.dead_letters import DeadLetter
from pipeline.kafka.epoch import Epoch, Work
from pipeline.kafka.failstop import Stop
from pipeline.kafka.intake import Lease
from pipeline.kafka.owner import Owner
from pipeline.kafka.recovery import SOURCES
from pipeline.kafka.state import Position
from pipeline.kafka.stats import Stats
from pipeline.settings import Settings
from tests.simulation import calm
from tests.simulation.calm import Calm

SETTINGS = Settings(shards=2, clock="record")
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


def worker() -> tuple[Owner, Committer]:
    """The parts of a worker, as in production, on the broker in memory."""
    registry = Registry(Policy(), shards=SETTINGS.shards)
    outside = Calm(calm.broker(SETTINGS)).outside
    return assemble(SETTINGS, registry, lambda: Group(registry, "record"), Reader(registry), Stats(), outside, "worker")


def fails(reason: str | BaseException) -> None:
    """In place of the end of the process."""
    raise Stop(reason) if isinstance(reason, str) else reason


@patch.object(committers, "fail_stop", fails)
def test_a_report_is_heard_of_once_what_it_says_is_committed() -> None:
    """Mail of an epoch under way is not in the log yet: who looked at the logs would think it handled."""
    _, committer = worker()
    perform, heard = committer._epochs.perform, []

    def performed(work: Work) -> float:
        assert work.progress
        heard.append(dict(committer.clock.reports))
        return perform(work)

    committer._epochs.perform = performed
    committer.own({0: Lease(0, 1, Position(5, 0, received=9))})
    asyncio.run(committer.epoch())
    assert heard == [{}] and committer.clock.reports[0].received == 9


def test_a_block_of_an_earlier_lease_is_passed_over() -> None:
    """It was fetched before the shard was given up; what was between may never have been read."""
    owner, committer = worker()
    committer.own({0: Lease(0, 2, Position(5, 0))})
    topic = SETTINGS.topic("touchpoints")
    asyncio.run(owner.read(Block(topic, 0, 1, 9, 12, [])))
    assert committer.leases[0].position.touchpoints == 5
    asyncio.run(owner.read(Block(topic, 0, 2, 5, 9, [])))
    assert committer.leases[0].position.touchpoints == 9


@patch.object(owners, "fail_stop", fails)
def test_an_assignment_while_shards_are_owned_is_the_same_one_or_an_error() -> None:
    """A takeover of what is owned would leave effects in memory that the log has already."""
    owner, committer = worker()
    committer.own({0: Lease(0, 1, Position(5, 0))})
    owner.grant(assigned(0))
    assert owner._takeover is None
    with pytest.raises(Stop, match=r"shards \[0, 1\] are assigned, but \[0\] have not been withdrawn"):
        owner.grant(assigned(0, 1))


def assigned(*shards: int) -> list[TP]:
    return [TP(SETTINGS.topic(name), shard) for name in SOURCES for shard in shards]
