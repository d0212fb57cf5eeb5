"""What an operator must know of the brokers and of what leads to them, looked at every now and then.

Looking costs a metadata request and a handshake, fails silently, and decides nothing: what matters to the pipeline it
meets by itself.
"""

from __future__ import annotations

from typing import Any

from confluent_kafka import KafkaException

from pipeline.kafka import clients
from pipeline.kafka.certificates import expiries
from pipeline.kafka.stats import Replicas, Stats
from pipeline.kafka.topics import table
from pipeline.settings import Settings


class Surroundings:
    def __init__(self, settings: Settings, stats: Stats) -> None:
        self._settings, self._stats = settings, stats
        self._admin = clients.admin(settings)
        self._topics = [settings.topic(topic.name) for topic in table(settings)]

    def look(self) -> None:
        """Notes the brokers, the replicas of our topics and the certificates. Blocks."""
        self._stats.certificates = expiries(self._settings)
        try:
            metadata: Any = self._admin.list_topics(timeout=clients.ANSWER_S)
        except KafkaException:
            return
        ours = [metadata.topics[name] for name in self._topics if name in metadata.topics]
        partitions = [partition for topic in ours for partition in topic.partitions.values()]
        self._stats.replicas = Replicas(
            brokers=len(metadata.brokers),
            behind=sum(len(partition.isrs) < len(partition.replicas) for partition in partitions),
            leaderless=sum(partition.leader < 0 for partition in partitions),
        )
