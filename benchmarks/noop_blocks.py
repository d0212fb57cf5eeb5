"""The contestant: the block transport and an agent that does nothing, which is as fast as this shell could be.

Run: `python -m benchmarks.noop_blocks BROKERS PREFIX FIGURES`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import faust
from faust.app.base import BootStrategy
from faust.types import TP

from benchmarks.figures import Figures


class _Boot(BootStrategy):
    enable_kafka_producer = False
    enable_web = False


class App(faust.App):
    BootStrategy = _Boot

    def __init__(self, brokers: str, prefix: str, figures: Figures) -> None:
        self.assignments = self
        self.connection = {"bootstrap_servers": brokers}
        self._tasks: set[asyncio.Task[None]] = set()
        super().__init__(
            f"{prefix}.blocks",
            broker=f"blocks://{brokers}",
            topic_allow_declare=False,
            topic_disable_leader=True,
            web_enabled=False,
            stream_wait_empty=False,
            store="memory://",
        )
        topic = self.topic(f"{prefix}.touchpoints", key_serializer="raw", value_serializer="raw", maxsize=8)
        self.agent(topic, name="touchpoints")(_counter(figures))

    async def withdraw(self) -> None:
        """Nothing is owned."""

    def grant(self, partitions: frozenset[TP]) -> None:
        task = asyncio.get_running_loop().create_task(self._lease(dict.fromkeys(partitions, 0)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _lease(self, offsets: Mapping[TP, int]) -> None:
        consumer: Any = self.consumer
        await consumer.lease(offsets, 1)

    async def on_first_start(self) -> None:
        """Faust would make directories here."""


def _counter(figures: Figures) -> Any:
    async def count(stream: Any) -> None:
        async for block in stream:
            figures.touchpoints += len(block.records)

    return count


if __name__ == "__main__":
    app = App(sys.argv[1], sys.argv[2], Figures(Path(sys.argv[3])))
    faust.Worker(app, loglevel="error").execute_from_commandline()
