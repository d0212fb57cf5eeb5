"""The thread in which aiokafka runs, and the blocks it delivers: all records of one fetch of one partition.

Rules. A block says where the fetch position stood before and after it, so that commit markers, aborted batches and
compacted records leave no gap. Reading of a partition begins with a lease (a number and an offset to seek to) and every
block carries the number of its lease: whoever reads knows which blocks are stale. Private names of Faust 0.15 and
aiokafka 0.14 are hooked; both are pinned.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import aiokafka
from aiokafka.consumer.fetcher import FetchError
from aiokafka.errors import ConsumerStoppedError, KafkaError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from pipeline.kafka import records

BLOCK_RECORDS_MAX = 5_000
PARTITION_BYTES_MAX = 4 << 20
FETCH_WAIT_MS = 200


class Block(NamedTuple):
    """Records of one partition in offset order, as aiokafka's record batches give them (offset, timestamp in ms, key,
    value, headers). start, end: fetch position before and after; between may be holes. lease: 0 for none."""

    topic: str
    partition: int
    lease: int
    start: int
    end: int
    records: list[Any]


class BlockThread(driver.AIOKafkaConsumerThread):
    """The thread in which aiokafka runs: heartbeats go on whatever the main loop does."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.heard = 0.0
        self._leases: dict[TP, int] = {}

    def _create_worker_consumer(self, transport: Any) -> Any:
        conf = self.app.conf
        self._assignor = self.app.assignor
        return aiokafka.AIOKafkaConsumer(
            **transport.app.connection,
            client_id=conf.broker_client_id,
            group_id=conf.id,
            partition_assignment_strategy=[self._assignor],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_records=BLOCK_RECORDS_MAX,
            max_partition_fetch_bytes=PARTITION_BYTES_MAX,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            request_timeout_ms=int(conf.broker_request_timeout * 1000),
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
            max_poll_interval_ms=int(conf.broker_max_poll_interval * 1000),
            check_crcs=conf.broker_check_crcs,
            isolation_level="read_committed",
        )

    async def on_start(self) -> None:
        records.install()
        await super().on_start()
        coordinator: Any = self._ensure_consumer()._coordinator
        beat = coordinator._do_heartbeat

        async def heartbeat() -> Any:
            alive = await beat()
            if alive:
                self.heard = time.monotonic()
            return alive

        coordinator._do_heartbeat = heartbeat

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        self.heard = time.monotonic()
        await super().on_partitions_assigned(assigned, generation_id)

    async def lease(self, offsets: Mapping[TP, int], number: int) -> None:
        """Reads these partitions from these offsets on, under a new lease."""
        await self.call_thread(self._lease, offsets, number)

    async def _lease(self, offsets: Mapping[TP, int], number: int) -> None:
        consumer: Any = self._ensure_consumer()
        fetcher = consumer._fetcher
        for tp, offset in offsets.items():
            wanted = driver.ensure_aiokafka_TP(tp)
            consumer.seek(wanted, offset)
            fetcher._records.pop(wanted, None)
            self._leases[tp] = number
        fetcher._notify(fetcher._wait_consume_future)

    def leased(self, tp: TP) -> int:
        return self._leases.get(tp, 0)

    @property
    def coordinated(self) -> bool:
        """Whether the group's coordinator is known."""
        consumer: Any = self._consumer
        return consumer is not None and getattr(consumer._coordinator, "coordinator_id", None) is not None

    async def check(self) -> None:
        """Raises what aiokafka keeps for a caller of its own `getmany`, which Faust goes past."""
        await self.call_thread(self._check)

    async def _check(self) -> None:
        consumer: Any = self._ensure_consumer()
        consumer._coordinator.check_errors()
        fetching = consumer._fetcher._fetch_task
        if fetching.done() and not fetching.cancelled() and fetching.exception():
            raise fetching.exception()

    async def note_offsets(self, offsets: Mapping[TP, int]) -> None:
        """Commits group offsets, for those who watch the lag. Nothing depends on them."""
        await self.call_thread(self._note_offsets, offsets)

    async def _note_offsets(self, offsets: Mapping[TP, int]) -> None:
        consumer: Any = self._ensure_consumer()
        wanted = {driver.ensure_aiokafka_TP(tp): offset for tp, offset in offsets.items() if tp in self.assignment()}
        if wanted:
            try:
                await consumer.commit(wanted)
            except (KafkaError, AssertionError) as error:
                self.log.debug("group offsets not committed: %s", type(error).__name__)

    async def _fetch_records(
        self, consumer: Any, active_partitions: Any, timeout: float | None = None, max_records: int | None = None
    ) -> Any:
        fetcher = consumer._fetcher
        if consumer._closed or fetcher._closed:
            raise ConsumerStoppedError()
        if not self.consumer.flow_active or fetcher._subscriptions.reassignment_in_progress:
            await asyncio.sleep(0.02)
            return {}
        with fetcher._subscriptions.fetch_context():
            blocks = self._take(fetcher, active_partitions)
            if blocks or not timeout:
                return blocks
            waiter = fetcher._create_fetch_waiter()
            await asyncio.wait([waiter], timeout=timeout)
            if not waiter.done():
                waiter.cancel()
                return {}
            waiter.result()
            return self._take(fetcher, active_partitions)

    def _take(self, fetcher: Any, active: set[Any]) -> dict[TP, Block]:
        """What has been fetched of the active partitions, with the positions moved past it."""
        blocks: dict[TP, Block] = {}
        for partition in list(fetcher._records):
            if partition not in active:
                if not fetcher._subscriptions.is_assigned(partition):
                    del fetcher._records[partition]
                continue
            fetched = fetcher._records[partition]
            error = isinstance(fetched, FetchError)
            if error and blocks:
                break
            block = None if error else self._block(partition, fetched)
            if error or not fetched.has_more():
                del fetcher._records[partition]
                fetcher._notify(fetcher._wait_consume_future)
            if error:
                fetched.check_raise()
            if block is not None:
                blocks[TP(partition.topic, partition.partition)] = block
        return blocks

    def _block(self, partition: Any, fetched: Any) -> Block | None:
        batches = fetched._partition_records
        if batches is None or not fetched.check_assignment(partition):
            return None
        start = batches.next_fetch_offset
        batches._consumer_record = _as_it_is
        records = fetched.getall(BLOCK_RECORDS_MAX)
        if batches.next_fetch_offset == start:
            return None
        topic, number = partition
        return Block(topic, number, self.leased(TP(topic, number)), start, batches.next_fetch_offset, records)


def _as_it_is(_: object, record: Any) -> Any:
    """Takes the place of the making of a ConsumerRecord, which costs more than all else of reading."""
    return record
