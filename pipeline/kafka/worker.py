"""One worker process: checks at the start, runs the app, and ends it when told to.

SIGTERM and SIGINT finish the epoch, release the shards and end with status 0; every other end has another status.
What an operator must know is one line on standard error; nothing in it is of a record.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
import uuid
from collections.abc import Callable
from typing import NoReturn

from pipeline.core.group import Group
from pipeline.core.identifiers import PUBLIC_KEY, Registry
from pipeline.core.policy import PolicyError, load
from pipeline.dialects import Reader
from pipeline.kafka import logs, metrics, topics
from pipeline.kafka.app import App
from pipeline.kafka.assembly import assemble
from pipeline.kafka.connect import BrokerAbsent, connect
from pipeline.kafka.failstop import CONFIGURATION, Stop, fail_stop
from pipeline.kafka.health import PortTaken, Window
from pipeline.kafka.intake import Core
from pipeline.kafka.logs import complain, say
from pipeline.kafka.outside import Kafka
from pipeline.kafka.rebuild import rebuild
from pipeline.kafka.spans import ExtraMissing, Spans
from pipeline.kafka.spans import spans as spans_of
from pipeline.kafka.stats import Stats
from pipeline.settings import Settings, SettingsError

STOP_S = 120.0

MakeCore = Callable[[Registry, str], Core]


def run(settings: Settings, make_core: MakeCore = Group) -> int:
    """Runs a worker until it is told to stop; the exit status. `make_core` is there for tests."""
    name = f"{settings.group}-{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:12]}"
    logs.configure(settings, name)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        policy = load(settings.policy_path.read_text(encoding="utf-8") if settings.policy_path else "")
        admin = connect(settings, say)
        shards = topics.check(settings, admin)
        for line in topics.inspect(settings, admin):
            say(line)
        _check_skipped(settings, shards)
        stats, spans = Stats(), spans_of(settings, name)
        window = Window(settings, stats, metrics.registry(stats)) if settings.http else None
    except (PolicyError, BrokerAbsent, topics.TopicsWrong, PortTaken, ExtraMissing, SettingsError) as error:
        complain(str(error), status=CONFIGURATION)
        return CONFIGURATION
    if window is not None:
        say(f"metrics and health on http://{window.address}", address=window.address)
    secret = settings.hash_key()
    if secret is None:
        say("no SELVEDGE_HASH_KEY_FILE: identifiers are hashed with the public default key")
    registry = Registry(policy, secret or PUBLIC_KEY, shards)
    try:
        outdated = asyncio.run(
            _serve(settings, registry, lambda: make_core(registry, settings.clock), stats, name, spans)
        )
        if outdated:
            _read_again(settings, registry)
    except Exception as error:
        fail_stop(error)
    spans.close()
    if settings.stats_file is not None:
        stats.write(settings.stats_file)
    return 0


def _check_skipped(settings: Settings, shards: int) -> None:
    for topic, partition, offset in sorted(settings.skip):
        if partition >= shards:
            raise SettingsError(
                f"SELVEDGE_SKIP: {topic}:{partition}:{offset} is of no shard: there are {shards}, from 0 on"
            )


async def _serve(
    settings: Settings, registry: Registry, make_core: Callable[[], Core], stats: Stats, name: str, spans: Spans
) -> bool:
    """Whether it ended because the state needs a rebuild that this process may run."""
    stop = asyncio.Event()
    owner, committer = assemble(settings, registry, make_core, Reader(registry), stats, Kafka(settings), name, spans)
    app = App(settings, owner, committer, stats)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    _settle_memory()
    starting = asyncio.create_task(app.start())
    ends = [asyncio.create_task(stop.wait()), asyncio.create_task(owner.outdated.wait())]
    await asyncio.wait([starting, *ends], return_when=asyncio.FIRST_COMPLETED)
    if starting.done():
        starting.result()
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    try:
        await asyncio.wait_for(app.stop(), STOP_S)
    except TimeoutError:
        raise Stop(f"told to stop, but the last epoch was not committed in {STOP_S:.0f} s") from None
    starting.cancel()
    return owner.outdated.is_set() and not stop.is_set()


def _read_again(settings: Settings, registry: Registry) -> NoReturn:
    """Rebuilds the state from the topic, and begins anew as the same process."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    say("the state does not fit what the policy blocks: reading all touchpoints again")
    done = rebuild(settings, registry, connect(settings, say), say, None, partial=False)
    say(str(done))
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _settle_memory() -> None:
    """The core's structures make no cycles: the collector need not look at what is there, and seldom at what comes."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
