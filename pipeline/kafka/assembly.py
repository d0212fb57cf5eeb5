"""The parts of a worker that carry the protocol, put together: the same on Kafka and in the simulation of the tests."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.core.identifiers import Registry
from pipeline.kafka.clock import clock
from pipeline.kafka.committer import Committer
from pipeline.kafka.dead_letters import Share
from pipeline.kafka.epoch import Epoch
from pipeline.kafka.intake import Core, Intake, Reader
from pipeline.kafka.outside import Outside
from pipeline.kafka.owner import Owner
from pipeline.kafka.postmortem import Postmortem
from pipeline.kafka.progress import Progress
from pipeline.kafka.recovery import Recovery
from pipeline.kafka.spans import Spans
from pipeline.kafka.stats import Stats
from pipeline.settings import Settings


def assemble(
    settings: Settings,
    registry: Registry,
    make_core: Callable[[], Core],
    reader: Reader,
    stats: Stats,
    outside: Outside,
    worker: str,
    spans: Spans | None = None,
) -> tuple[Owner, Committer]:
    """worker: the transactional id, one of its own for every process. Blocks until Kafka knows it."""
    core = make_core()
    intake = Intake(settings, core, reader, Share(registry.policy.dead_letters.max_share), stats, worker)
    epochs = Epoch(settings, worker, outside)
    epochs.start()
    culprit = Postmortem(settings, make_core, reader, outside).culprit
    progress = Progress(settings, outside)
    moment = clock(settings.clock, registry.shards)
    spans = spans or Spans()
    committer = Committer(core, intake, epochs, progress, moment, stats, culprit, outside.time_of_day, spans)
    recovery = Recovery(settings, worker, outside, stats)
    owner = Owner(settings, core, intake, committer, recovery, stats, outside.time_of_day, spans)
    return owner, committer
