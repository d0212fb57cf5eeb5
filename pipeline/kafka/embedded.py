"""An embedded broker for the demo and for tests: librdkafka's mock cluster, in this process, on 127.0.0.1.

Other processes may connect to it; it lives until the context is left. What it cannot do, and what therefore holds:
no CreateTopics from clients (the topics of the table are made here), no settings of topics, no compaction; it takes
calls that fence but bars nobody, and rows of aborted transactions stay visible (under crashes it is at least once);
control batches have no valid CRC (aiokafka needs `check_crcs=False`); about 5 MB or 100,000 messages a partition, then
it forgets the oldest: `overflow` tells.
The mock's API is C only, so it is called through ctypes, in the library that confluent-kafka itself has loaded.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from types import TracebackType

from confluent_kafka import Consumer, TopicPartition, cimpl

from pipeline.kafka.topics import FIXED, TABLE, Topic
from pipeline.settings import Settings

_RD_KAFKA_PRODUCER = 0
_ERROR_BYTES = 512


class EmbeddedBroker:
    """`with EmbeddedBroker(shards) as bootstrap:` runs a broker with every topic made, those of a policy if
    `topics` names them; `bootstrap` is host:port.

    Its clients' settings: `Settings(brokers=bootstrap, prefix=prefix, embedded=True, …)`.
    """

    def __init__(self, shards: int, prefix: str = "selvedge", topics: Sequence[Topic] = TABLE) -> None:
        self.bootstrap = ""
        self._topics = topics
        self._shards = shards
        self._prefix = prefix
        self._library = _librdkafka()
        self._client: int | None = None
        self._cluster: int | None = None

    def __enter__(self) -> str:
        self._client = _client(self._library)
        self._cluster = self._library.rd_kafka_mock_cluster_new(self._client, 1)
        if not self._cluster:
            raise RuntimeError("librdkafka could not start its mock cluster")
        self.bootstrap = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()
        names = Settings(prefix=self._prefix)
        for topic in self._topics:
            self.create(names.topic(topic.name), topic.partitions(self._shards))
        return self.bootstrap

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._client)

    def create(self, topic: str, partitions: int) -> None:
        """Makes a topic; one that is used without that appears with 4 partitions."""
        code = self._library.rd_kafka_mock_topic_create(self._cluster, topic.encode(), partitions, 1)
        if code:
            raise RuntimeError(f"the embedded broker could not make {topic}: librdkafka error {code}")

    def overflow(self) -> list[str]:
        """Partitions of touchpoints, mail and state (`topic[partition]`) that have forgotten their beginning."""
        names = Settings(prefix=self._prefix)
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": "overflow"})
        try:
            partitions = [TopicPartition(names.topic(name), index) for name in FIXED for index in range(self._shards)]
            return [
                f"{one.topic}[{one.partition}]"
                for one in partitions
                if consumer.get_watermark_offsets(one, timeout=10)[0] > 0
            ]
        finally:
            consumer.close()


def _librdkafka() -> ctypes.CDLL:
    """Symbols are looked up in confluent-kafka's extension module and what it was linked with: whichever librdkafka
    that is, and wherever."""
    library = ctypes.CDLL(cimpl.__file__)
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    for name, result, arguments in (
        ("rd_kafka_conf_new", pointer, []),
        ("rd_kafka_conf_set", number, [pointer, text, text, text, ctypes.c_size_t]),
        ("rd_kafka_new", pointer, [number, pointer, text, ctypes.c_size_t]),
        ("rd_kafka_destroy", None, [pointer]),
        ("rd_kafka_mock_cluster_new", pointer, [pointer, number]),
        ("rd_kafka_mock_cluster_bootstraps", text, [pointer]),
        ("rd_kafka_mock_cluster_destroy", None, [pointer]),
        ("rd_kafka_mock_topic_create", number, [pointer, text, number, number]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def _client(library: ctypes.CDLL) -> int:
    """The librdkafka instance a mock cluster hangs on; it never connects anywhere."""
    error = ctypes.create_string_buffer(_ERROR_BYTES)
    configuration = library.rd_kafka_conf_new()
    library.rd_kafka_conf_set(configuration, b"log_level", b"0", error, _ERROR_BYTES)
    client = library.rd_kafka_new(_RD_KAFKA_PRODUCER, configuration, error, _ERROR_BYTES)
    if not client:
        raise RuntimeError(f"librdkafka: {error.value.decode()}")
    return int(client)
