"""The topics: one table of what they must be, and the difference to what the brokers have.

Rules. The number of partitions of touchpoints, mail and state is the number of shards, for the life of a deployment: it
is never changed here, and a worker refuses to start when they differ. What keeps data right (clean-up, sizes, in-sync
replicas, time stamps) is held; how long data are kept is only set when a topic is made and then the operator's.
Larger records and longer retention of touchpoints may be chosen; what is derived from them follows.
All time stamps are LogAppendTime: retention and compaction count from arrival, whatever clock or backlog a producer
has, and the default of a touchpoint's received time is the broker's word. Times of events are inside the records.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
    TopicMetadata,
)

from pipeline.core.policy import PolicyError, load
from pipeline.kafka.advice import RIGHTS
from pipeline.settings import Settings

DAY_MS = 86_400_000
TOUCHPOINT_BYTES_MAX = 1_048_588
"""The broker's own default for a batch."""
ENVELOPE_BYTES_MAX = 65_536
"""What a record derived from a touchpoint may add to it: a dead letter's headers, a message's envelope."""
REQUEST_S = 30.0
DONE_S = 30.0

AT_LEAST = ("max.message.bytes", "min.insync.replicas", "retention.ms", "min.compaction.lag.ms")
"""Held settings that an operator may raise."""
AT_MOST = ("max.compaction.lag.ms",)
"""Held settings that an operator may lower."""
DELETE = {"cleanup.policy": "delete"}
COMPACT = {"cleanup.policy": "compact"}
COMPACT_WITHIN = COMPACT | {"max.compaction.lag.ms": str(7 * DAY_MS)}
"""What was erased is gone from the disks within a week."""
FOLLOWED = COMPACT_WITHIN | {"min.compaction.lag.ms": "60000"}
"""And there is a minute for those who follow every version."""


@dataclass(frozen=True)
class Topic:
    """What a topic must be. `held` settings are always restored, `first` ones only set when the topic is made.
    `fixed`: exactly one partition per shard, else at first as many (`single`: one)."""

    name: str
    held: Mapping[str, str]
    first: Mapping[str, str] = field(default_factory=dict)
    fixed: bool = False
    single: bool = False

    def partitions(self, shards: int) -> int:
        return 1 if self.single else shards


def _kept(days: int) -> dict[str, str]:
    return {"retention.ms": str(days * DAY_MS)}


TABLE: tuple[Topic, ...] = (
    Topic("touchpoints", DELETE, _kept(30), fixed=True),
    Topic("profiles", FOLLOWED),
    Topic("identities", FOLLOWED),
    Topic("profile-changes", DELETE, _kept(30)),
    Topic("triggers", DELETE, _kept(30)),
    Topic("products", FOLLOWED),
    Topic("dead-letters", DELETE, _kept(30)),
    Topic("access-reports", DELETE, _kept(7)),
    Topic("mail", DELETE, _kept(30), fixed=True),
    Topic("state", COMPACT_WITHIN, {"segment.bytes": "134217728"}, fixed=True),
    Topic("progress", COMPACT, {"segment.bytes": "16777216"}, single=True),
)
REDUCED = Topic("profiles.NAME", FOLLOWED)
"""What each reduced topic of a policy must be."""


def table(settings: Settings) -> tuple[Topic, ...]:
    """The topics of a deployment: TABLE, and the reduced topics of its policy. Raises TopicsWrong."""
    if settings.policy_path is None:
        return TABLE
    try:
        policy = load(settings.policy_path.read_text("utf-8"))
    except (OSError, PolicyError) as error:
        raise TopicsWrong(str(error)) from None
    return (*TABLE, *(replace(REDUCED, name=name) for name in policy.publish.reduced_topics))


FIXED = tuple(topic.name for topic in TABLE if topic.fixed)
APPLY = "selvedge topics apply"
ACLS = "selvedge acls plan"


class TopicsWrong(Exception):
    """The topics are not what a worker needs, or cannot be made so. The message says which, and what to do."""


@dataclass(frozen=True)
class Difference:
    """One thing that is not as wanted. `topic` is the full name, `what` "topic", "partitions", "replication" or the
    name of a setting; `real` None: there is none. `remedy`: what the operator must do, since `apply` does not."""

    topic: str
    what: str
    real: str | None
    wanted: str
    remedy: str | None = None

    def __str__(self) -> str:
        if self.what == "topic":
            return f"{self.topic}: is missing; wanted: {self.wanted}"
        text = f"{self.topic}: {self.what} is {self.real}, wanted {self.wanted}"
        return f"{text}; {self.remedy}" if self.remedy else text


def plan(settings: Settings, admin: AdminClient | None = None) -> list[Difference]:
    """Everything that `apply` would do or refuse to do, in the order of the table."""
    admin = admin or AdminClient(settings.librdkafka())
    metadata = _metadata(admin)
    there = [topic for topic in table(settings) if settings.topic(topic.name) in metadata.topics]
    try:
        real = _real_settings(admin, [settings.topic(topic.name) for topic in there])
    except KafkaException as error:
        raise TopicsWrong(f"the settings of topics cannot be seen: {_reason(error)}") from None
    touchpoints = real.get(settings.topic("touchpoints"), {})
    differences: list[Difference] = []
    for topic in table(settings):
        name = settings.topic(topic.name)
        if topic in there:
            differences += _of_layout(topic, settings, metadata.topics[name])
            replicas = _replicas(metadata.topics[name])
            differences += _of_settings(name, _held(topic, settings, touchpoints), real[name], replicas)
        else:
            differences.append(Difference(name, "topic", None, _described(topic, settings)))
    return differences


def chosen(settings: Settings, admin: AdminClient) -> list[str]:
    """What an operator has set otherwise than topics are made with, and may have: how long data are kept."""
    metadata = _metadata(admin).topics
    there = [topic for topic in table(settings) if settings.topic(topic.name) in metadata]
    real = _real_settings(admin, [settings.topic(topic.name) for topic in there])
    return [
        f"{settings.topic(topic.name)}: {setting} is {found}, topics are made with {first}; left as it is"
        for topic in there
        for setting, first in topic.first.items()
        if setting not in _held(topic, settings, real.get(settings.topic("touchpoints"), {}))
        and (found := real[settings.topic(topic.name)].get(setting)) != first
    ]


def apply(settings: Settings, admin: AdminClient | None = None) -> list[Difference]:
    """Makes what is missing, restores what is held, waits until the brokers show it and every partition has a leader.
    Returns what differed; those with a remedy still do. Raises TopicsWrong, having done nothing, if the number of
    shards would change."""
    admin = admin or AdminClient(settings.librdkafka())
    differences = plan(settings, admin)
    refused = [difference for difference in differences if difference.what == "partitions"]
    if refused:
        raise TopicsWrong("; ".join(str(difference) for difference in refused))
    missing = {difference.topic for difference in differences if difference.what == "topic"}
    _create(admin, settings, [topic for topic in table(settings) if settings.topic(topic.name) in missing])
    _restore(admin, [one for one in differences if one.what != "topic" and one.remedy is None])
    _wait_until_done(admin, settings)
    return differences


def check(settings: Settings, admin: AdminClient | None = None) -> int:
    """The number of shards, if all topics are there and fit together; asked by a worker at its start. Needs no more
    than metadata, so it serves the embedded broker too. Raises TopicsWrong."""
    admin = admin or AdminClient(settings.librdkafka())
    topics = _metadata(admin).topics
    missing = [settings.topic(topic.name) for topic in table(settings) if settings.topic(topic.name) not in topics]
    if missing:
        raise TopicsWrong(_absent(admin, missing))
    counts = {settings.topic(name): len(topics[settings.topic(name)].partitions) for name in FIXED}
    shards = counts[settings.topic("state")]
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name} has {count}" for name, count in counts.items())
        raise TopicsWrong(
            f"these topics must have the same number of partitions, the number of shards: {told}; delete the wrong "
            f"one if nothing is in it, or choose another SELVEDGE_PREFIX, then: {APPLY}"
        )
    return shards


def _absent(admin: AdminClient, names: list[str]) -> str:
    """Why topics are not shown. Brokers answer the same for what is not there and for what may not be seen, unless
    asked for it by name."""
    hidden = [name for name in names if _is_hidden(admin, name)]
    if hidden:
        return (
            f"this principal may not see these topics, or they are not there: {', '.join(hidden)}; compare its rights "
            f"with: {ACLS}; and make topics with: {APPLY}"
        )
    return f"missing topics: {', '.join(names)}; make them with: {APPLY}"


def _is_hidden(admin: AdminClient, name: str) -> bool:
    error = admin.list_topics(name, timeout=REQUEST_S).topics[name].error
    return error is not None and error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED


def inspect(settings: Settings, admin: AdminClient) -> list[str]:
    """What an operator should know of the settings of topics that are there; asked by a worker at its start. Raises
    TopicsWrong if records would be lost, or none could be written."""
    if settings.embedded:
        return []
    topics = _metadata(admin).topics
    replicas = {topic.name: _replicas(topics[settings.topic(topic.name)]) for topic in table(settings)}
    try:
        real = _real_settings(admin, [settings.topic(topic.name) for topic in table(settings)])
    except KafkaException as error:
        return [f"the settings of topics were not checked: {_reason(error)}"]
    touchpoints = real[settings.topic("touchpoints")]
    differences = []
    for topic in table(settings):
        name, own = settings.topic(topic.name), replace(settings, replication=replicas[topic.name])
        found = list(_of_settings(name, _held(topic, own, touchpoints), real[name], replicas[topic.name]))
        ruinous = [str(one) for one in found if _is_ruinous(topic, one, replicas[topic.name])]
        if ruinous:
            raise TopicsWrong(f"{'; '.join(ruinous)}: records would be lost or refused; put it right with: {APPLY}")
        differences += found
    return [f"{one}; put it right with: {APPLY}" for one in differences]


def _is_ruinous(topic: Topic, difference: Difference, replicas: int) -> bool:
    """Whether what is not read yet, or the state, would be deleted; or no record can be written."""
    if difference.what == "min.insync.replicas":
        return int(difference.real or 0) > replicas
    return difference.what == "cleanup.policy" and topic.fixed


def partitions(settings: Settings, admin: AdminClient, name: str) -> int:
    """The number of partitions of one topic, for those who need no other. Raises TopicsWrong."""
    topic = _metadata(admin).topics.get(settings.topic(name))
    if topic is None:
        raise TopicsWrong(_absent(admin, [settings.topic(name)]))
    return len(topic.partitions)


def _described(topic: Topic, settings: Settings) -> str:
    cleanup = topic.held["cleanup.policy"]
    return f"{topic.partitions(settings.shards)} partitions, {settings.replication} replicas, {cleanup}"


def _of_layout(topic: Topic, settings: Settings, metadata: TopicMetadata) -> Iterable[Difference]:
    name = settings.topic(topic.name)
    count = len(metadata.partitions)
    if topic.fixed and count != settings.shards:
        remedy = f"never changed: set SELVEDGE_SHARDS={count}, or choose another SELVEDGE_PREFIX and rebuild"
        yield Difference(name, "partitions", str(count), str(settings.shards), remedy)
    replicas = _replicas(metadata)
    if replicas != settings.replication:
        remedy = "move its partitions with kafka-reassign-partitions, or set SELVEDGE_REPLICATION"
        yield Difference(name, "replication", str(replicas), str(settings.replication), remedy)


def _replicas(metadata: TopicMetadata) -> int:
    return min(len(partition.replicas) for partition in metadata.partitions.values())


def _held(topic: Topic, settings: Settings, touchpoints: Mapping[str, str]) -> dict[str, str]:
    """The settings a topic must have, beside the real ones of touchpoints (none: they are still to be made)."""
    bytes_max = max(TOUCHPOINT_BYTES_MAX, int(touchpoints.get("max.message.bytes", "0")))
    held = {
        **topic.held,
        "compression.type": "producer",
        "max.message.bytes": str(bytes_max if topic.name == "touchpoints" else bytes_max + ENVELOPE_BYTES_MAX),
        "message.timestamp.type": "LogAppendTime",
        "min.insync.replicas": str(max(1, min(2, settings.replication - 1))),
    }
    if topic.name == "mail" and "retention.ms" in touchpoints:
        # What a touchpoint caused must not be gone before the touchpoint.
        held["retention.ms"] = touchpoints["retention.ms"]
    return held


def configuration(topic: Topic, settings: Settings, touchpoints: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a topic is made with, beside the real settings of touchpoints, if they are there."""
    return dict(topic.first) | _held(topic, settings, touchpoints or {})


def _of_settings(name: str, held: Mapping[str, str], real: Mapping[str, str], replicas: int) -> Iterable[Difference]:
    for setting, value in held.items():
        found = real.get(setting)
        too_many = setting == "min.insync.replicas" and found is not None and int(found) > max(replicas, int(value))
        if too_many or not _satisfied(setting, found, value):
            yield Difference(name, setting, found, value)


def _satisfied(setting: str, real: str | None, wanted: str) -> bool:
    if real is None or setting not in AT_LEAST + AT_MOST:
        return real == wanted
    return _size(real) <= _size(wanted) if setting in AT_MOST else _size(real) >= _size(wanted)


def _size(text: str) -> float:
    """A negative size means without limit."""
    return int(text) if int(text) >= 0 else float("inf")


def _metadata(admin: AdminClient) -> Any:
    return admin.list_topics(timeout=REQUEST_S)


def _real_settings(admin: AdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    if not resources:
        return {}
    answers = admin.describe_configs(resources, request_timeout=REQUEST_S)
    return {
        resource.name: {name: entry.value for name, entry in answer.result().items()}
        for resource, answer in answers.items()
    }


def _create(admin: AdminClient, settings: Settings, topics: list[Topic]) -> None:
    metadata = _metadata(admin)
    if topics and len(metadata.brokers) < settings.replication:
        raise TopicsWrong(
            f"{settings.replication} replicas need as many brokers, the cluster has {len(metadata.brokers)}: "
            f"set SELVEDGE_REPLICATION={len(metadata.brokers)}"
        )
    source = settings.topic("touchpoints")
    touchpoints = _real_settings(admin, [source])[source] if source in metadata.topics else {}
    news = [
        NewTopic(
            settings.topic(topic.name),
            num_partitions=topic.partitions(settings.shards),
            replication_factor=settings.replication,
            config=configuration(topic, settings, touchpoints),
        )
        for topic in topics
    ]
    if news:
        _finish(admin.create_topics(news, request_timeout=REQUEST_S), lambda name: f"{name} could not be made")


def _restore(admin: AdminClient, differences: list[Difference]) -> None:
    resources = [
        ConfigResource(ResourceType.TOPIC, topic, incremental_configs=_entries(differences, topic))
        for topic in dict.fromkeys(difference.topic for difference in differences)
    ]
    if resources:
        answers = admin.incremental_alter_configs(resources, request_timeout=REQUEST_S)
        _finish(answers, lambda resource: f"{resource.name} could not be changed")


def _entries(differences: list[Difference], topic: str) -> list[ConfigEntry]:
    operation = AlterConfigOpType.SET
    return [
        ConfigEntry(one.what, one.wanted, incremental_operation=operation) for one in differences if one.topic == topic
    ]


def _finish(answers: Mapping[Any, Any], failed: Callable[[Any], str]) -> None:
    for subject, answer in answers.items():
        try:
            answer.result()
        except KafkaException as error:
            raise TopicsWrong(f"{failed(subject)}: {_reason(error)}") from None


def _reason(error: KafkaException) -> str:
    denied = error.args[0].code() in (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED)
    return f"{error.args[0].str()}; {RIGHTS}" if denied else str(error.args[0].str())


def _wait_until_done(admin: AdminClient, settings: Settings) -> None:
    """Brokers acknowledge a change before all of them show it, and a topic before it has leaders."""
    deadline = time.monotonic() + DONE_S
    while left := [str(one) for one in plan(settings, admin) if one.remedy is None] or _leaderless(admin, settings):
        if time.monotonic() > deadline:
            raise TopicsWrong(f"not done after {DONE_S:.0f} s: {'; '.join(left)}")
        time.sleep(0.1)


def _leaderless(admin: AdminClient, settings: Settings) -> list[str]:
    topics = _metadata(admin).topics
    return [
        f"{name} has partitions without a leader"
        for name in (settings.topic(topic.name) for topic in table(settings))
        if name not in topics or any(partition.leader < 0 for partition in topics[name].partitions.values())
    ]
