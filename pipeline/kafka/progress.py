"""What this process hears of all shards (the `progress` topic) and sees of the logs it reads. Blocking calls.

Both are hints about when to evaluate; nothing is lost when a look fails, it is taken again.
"""

from __future__ import annotations

from collections.abc import Collection

from confluent_kafka import KafkaException, TopicPartition

from pipeline.kafka.clock import Report, decode_report
from pipeline.kafka.outside import Outside
from pipeline.settings import Settings

BATCH = 1_000
SOURCES = ("touchpoints", "mail")


class Progress:
    def __init__(self, settings: Settings, outside: Outside) -> None:
        self._settings, self._outside = settings, outside
        self._reader = outside.reader()
        self._assigned = False

    def close(self) -> None:
        self._reader.close()

    def reports(self) -> dict[int, Report]:
        """The newest report of each shard that has made one since the last call."""
        if not self._assigned and not self._assign():
            return {}
        found: dict[int, Report] = {}
        while messages := self._reader.consume(BATCH, 0):
            for message in messages:
                value = message.value()
                if message.error() is None and value is not None:
                    report = decode_report(value)
                    found[report.shard] = report
        return found

    def ends(self, shards: Collection[int]) -> dict[int, tuple[int, int]] | None:
        """High watermarks of the sources of these shards, (touchpoints, mail); None: not to be had now."""
        topics = [self._settings.topic(name) for name in SOURCES]
        try:
            ends = self._outside.ends([(topic, shard) for topic in topics for shard in shards], patience_s=0)
        except KafkaException:
            return None
        return {shard: (ends[topics[0], shard], ends[topics[1], shard]) for shard in shards}

    def _assign(self) -> bool:
        topic = self._settings.topic("progress")
        try:
            partitions = self._outside.partitions(topic)
        except KafkaException:
            return False
        self._reader.assign([TopicPartition(topic, partition, 0) for partition in partitions])
        self._assigned = True
        return True
