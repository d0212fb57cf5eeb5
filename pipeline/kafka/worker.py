"""One worker process: checks at the start, runs the app, and ends it when told to.

SIGTERM and SIGINT finish the epoch, release the shards and end with status 0; every other end has another status.
What an operator must know is one line on standard error; nothing in it is of a record.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import time
import uuid
from collections.abc import Callable

from pipeline.core.group import Group
from pipeline.core.identifiers import PUBLIC_KEY, Registry
from pipeline.core.policy import PolicyError, load
from pipeline.dialects import Reader
from pipeline.kafka import topics
from pipeline.kafka.app import App
from pipeline.kafka.clock import clock
from pipeline.kafka.committer import Committer
from pipeline.kafka.connect import BrokerAbsent, connect
from pipeline.kafka.dead_letters import Share
from pipeline.kafka.epoch import Epoch
from pipeline.kafka.failstop import Stop, fail_stop
from pipeline.kafka.intake import Core, Intake
from pipeline.kafka.outside import Kafka
from pipeline.kafka.owner import Owner
from pipeline.kafka.postmortem import Postmortem
from pipeline.kafka.progress import Progress
from pipeline.kafka.recovery import Recovery
from pipeline.kafka.stats import Stats
from pipeline.settings import Settings

CONFIGURATION = 78
"""Exit status for what only an operator can put right."""
STOP_S = 120.0
REPEAT_S = 30.0
"""A library's warning is not shown again for so long."""

MakeCore = Callable[[Registry, str], Core]


def run(settings: Settings, make_core: MakeCore = Group) -> int:
    """Runs a worker until it is told to stop; the exit status. `make_core` is there for tests."""
    _quieten()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        policy = load(settings.policy_path.read_text(encoding="utf-8") if settings.policy_path else "")
        shards = topics.check(settings, connect(settings, _tell))
    except (PolicyError, BrokerAbsent, topics.TopicsWrong) as error:
        _tell(str(error))
        return CONFIGURATION
    secret = settings.hash_key()
    if secret is None:
        _tell("no SELVEDGE_HASH_KEY_FILE: identifiers are hashed with the public default key")
    registry = Registry(policy, secret or PUBLIC_KEY, shards)
    stats = Stats()
    try:
        asyncio.run(_serve(settings, registry, lambda: make_core(registry, settings.clock), stats))
    except Exception as error:
        fail_stop(error)
    if settings.stats_file is not None:
        stats.write(settings.stats_file)
    return 0


async def _serve(settings: Settings, registry: Registry, make_core: Callable[[], Core], stats: Stats) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    app = _app(settings, registry, make_core, stats)
    _settle_memory()
    starting = asyncio.create_task(app.start())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
    if starting.done():
        starting.result()
        await stopping
    try:
        await asyncio.wait_for(app.stop(), STOP_S)
    except TimeoutError:
        raise Stop(f"told to stop, but the last epoch was not committed in {STOP_S:.0f} s") from None
    starting.cancel()


def _app(settings: Settings, registry: Registry, make_core: Callable[[], Core], stats: Stats) -> App:
    core, reader = make_core(), Reader(registry)
    worker = f"{settings.group}-{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:12]}"
    share = Share(registry.policy.dead_letters.max_share)
    intake = Intake(settings, core, reader, share, stats, worker)
    outside = Kafka(settings)
    epochs = Epoch(settings, worker, outside)
    epochs.start()
    culprit = Postmortem(settings, make_core, reader, outside).culprit
    moment = clock(settings.clock, registry.shards)
    progress = Progress(settings, outside)
    committer = Committer(core, intake, epochs, progress, moment, stats, culprit, outside.time_of_day)
    owner = Owner(settings, core, intake, committer, Recovery(settings, worker, outside))
    return App(settings, owner, committer, stats)


def _settle_memory() -> None:
    """The core's structures make no cycles: the collector need not look at what is there, and seldom at what comes."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


def _tell(line: str) -> None:
    print(f"selvedge: {line}", file=sys.stderr, flush=True)


def _quieten() -> None:
    """Libraries say warnings and errors only, each kind at most once in a while."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("selvedge: %(name)s: %(message)s"))
    handler.addFilter(_Seldom())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


class _Seldom(logging.Filter):
    def __init__(self) -> None:
        super().__init__()
        self._shown: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        kind = record.name, str(record.msg)
        shown = time.monotonic() - self._shown.get(kind, -REPEAT_S) < REPEAT_S
        if not shown:
            self._shown[kind] = time.monotonic()
        return not shown
