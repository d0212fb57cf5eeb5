"""Rights on the brokers: one principal per role, and for each role no more than it needs.

    producer            writes touchpoints
    worker              reads and writes what a worker does, in its own group, under its own transactional ids
    consumer-TOPIC      reads one output topic, in groups whose names begin with that topic's
    operator            makes topics, sees and sets their settings, reads them and the workers' group; deletes nothing

Changing rights takes a super user: no role can grant itself more. What is surplus is shown, and taken away only when
told, because a principal may have other duties.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ConfigResource,
    ResourcePatternType,
    ResourceType,
)

from pipeline.kafka.topics import table
from pipeline.settings import Settings

REQUEST_S = 30.0
INTERNAL = ("mail", "state", "progress")
SOURCES = ("touchpoints", *INTERNAL)
CLUSTER = "kafka-cluster"
ANY_HOST = "*"
OPEN = (
    "the brokers have no authorizer, so everybody may do everything; set authorizer.class.name to "
    "org.apache.kafka.metadata.authorizer.StandardAuthorizer and allow.everyone.if.no.acl.found=false"
)
FORBIDDEN = "this principal may not see or change rights; use one of the brokers' super.users"


class AclsWrong(Exception):
    """The rights cannot be seen or changed. The message is one line that says why, and what to do."""


class Right(NamedTuple):
    """kind: topic, group, transactional_id or cluster. prefixed: of all whose names begin so. operation: Kafka's."""

    principal: str
    kind: str
    name: str
    prefixed: bool
    operation: str

    def __str__(self) -> str:
        what = f"{self.kind} {self.name}{'*' if self.prefixed else ''}"
        return f"{self.principal} may {self.operation} {what}"


class Plan(NamedTuple):
    """Rights that are missing, and those of our principals on our names that no role needs."""

    missing: list[Right]
    surplus: list[Right]


def consumed(settings: Settings) -> list[str]:
    """The output topics, without prefix."""
    return [topic.name for topic in table(settings) if topic.name not in SOURCES]


def roles(settings: Settings) -> list[str]:
    return ["producer", "worker", *(f"consumer-{topic}" for topic in consumed(settings)), "operator"]


def principals(settings: Settings, given: Mapping[str, str] | None = None) -> dict[str, str]:
    """Who has which role: `User:PREFIX-ROLE`, or as given. Raises AclsWrong."""
    given, known = given or {}, roles(settings)
    for role, principal in given.items():
        if role not in known:
            raise AclsWrong(f"{role!r} is no role; roles: {', '.join(known)}")
        if not principal.startswith("User:"):
            raise AclsWrong(f"{role}: {principal!r} is not User:name")
    return {role: given.get(role, f"User:{settings.prefix}-{role}") for role in known}


def wanted(settings: Settings, who: Mapping[str, str]) -> list[Right]:
    """What the roles need, in the order of roles."""
    rights = [*_producer(settings, who["producer"]), *_worker(settings, who["worker"])]
    for topic in consumed(settings):
        rights += _consumer(settings.topic(topic), who[f"consumer-{topic}"])
    rights += _operator(settings, who["operator"])
    return list(dict.fromkeys(rights))


def _producer(settings: Settings, who: str) -> Iterator[Right]:
    yield from _topic(who, settings.topic("touchpoints"), "WRITE", "DESCRIBE")


def _worker(settings: Settings, who: str) -> Iterator[Right]:
    for topic in table(settings):
        operations = ["DESCRIBE", "DESCRIBE_CONFIGS"]
        operations += ["READ"] if topic.name in SOURCES else []
        operations += ["WRITE"] if topic.name != "touchpoints" else []
        yield from _topic(who, settings.topic(topic.name), *operations)
    for operation in ("READ", "DESCRIBE"):
        yield Right(who, "group", settings.group, False, operation)
    for operation in ("WRITE", "DESCRIBE"):
        yield Right(who, "transactional_id", f"{settings.group}-", True, operation)


def _consumer(topic: str, who: str) -> Iterator[Right]:
    yield from _topic(who, topic, "READ", "DESCRIBE")
    for operation in ("READ", "DESCRIBE"):
        yield Right(who, "group", f"{topic}.", True, operation)


def _operator(settings: Settings, who: str) -> Iterator[Right]:
    for operation in ("CREATE", "DESCRIBE", "DESCRIBE_CONFIGS", "ALTER_CONFIGS", "READ"):
        yield Right(who, "topic", f"{settings.prefix}.", True, operation)
    yield Right(who, "group", settings.group, False, "DESCRIBE")
    yield Right(who, "group", f"{settings.prefix}.", True, "DESCRIBE")
    yield Right(who, "cluster", CLUSTER, False, "DESCRIBE")


def _topic(who: str, name: str, *operations: str) -> Iterator[Right]:
    for operation in operations:
        yield Right(who, "topic", name, False, operation)


def plan(settings: Settings, who: Mapping[str, str], admin: AdminClient) -> Plan:
    """The difference between the wanted and the real rights. Raises AclsWrong."""
    needed = wanted(settings, who)
    _check(admin)
    real = [right for principal in sorted(set(who.values())) for right in _real(admin, principal)]
    ours = [right for right in real if _is_ours(settings, right)]
    return Plan([right for right in needed if right not in real], [right for right in ours if right not in needed])


def apply(settings: Settings, who: Mapping[str, str], admin: AdminClient, *, prune: bool) -> Plan:
    """Grants what is missing and, with `prune`, takes away what is surplus; gives what differed. Raises AclsWrong."""
    found = plan(settings, who, admin)
    if found.missing:
        _finish(admin.create_acls([_binding(right) for right in found.missing], request_timeout=REQUEST_S))
    if found.surplus and prune:
        _finish(admin.delete_acls([_filter(right) for right in found.surplus], request_timeout=REQUEST_S))
    return found


def _check(admin: AdminClient) -> None:
    """librdkafka gives no rights at all where they may not be seen, or where there is nobody who gives any."""
    try:
        cluster = admin.describe_cluster(include_authorized_operations=True, request_timeout=REQUEST_S).result()
        if AclOperation.DESCRIBE not in (cluster.authorized_operations or ()):
            raise AclsWrong(FORBIDDEN)
        broker = ConfigResource(ResourceType.BROKER, str(cluster.controller.id))
        settings = admin.describe_configs([broker], request_timeout=REQUEST_S)[broker].result()
    except KafkaException:
        return  # settings of brokers are not for everybody
    if not settings["authorizer.class.name"].value:
        raise AclsWrong(OPEN)


def _is_ours(settings: Settings, right: Right) -> bool:
    begins = right.name == settings.group or right.name.startswith((f"{settings.prefix}.", f"{settings.group}-"))
    return begins or right.kind == "cluster" or right.name == "*"


def _real(admin: AdminClient, principal: str) -> Iterator[Right]:
    """Everything a principal is allowed. What is denied to it is left alone."""
    anything: Any = None
    asked = AclBindingFilter(
        ResourceType.ANY,
        anything,
        ResourcePatternType.ANY,
        principal,
        anything,
        AclOperation.ANY,
        AclPermissionType.ALLOW,
    )
    try:
        found = admin.describe_acls(asked, request_timeout=REQUEST_S).result()
    except KafkaException as error:
        raise AclsWrong(_reason(error.args[0])) from None
    for one in found:
        prefixed = one.resource_pattern_type == ResourcePatternType.PREFIXED
        yield Right(one.principal, _kind(one.restype), one.name, prefixed, one.operation.name)


def _kind(type: ResourceType) -> str:
    return "cluster" if type == ResourceType.BROKER else str(type.name).lower()


def _parts(right: Right) -> Sequence[Any]:
    kinds = {
        "topic": ResourceType.TOPIC,
        "group": ResourceType.GROUP,
        "cluster": ResourceType.BROKER,
        "transactional_id": ResourceType.TRANSACTIONAL_ID,
    }
    pattern = ResourcePatternType.PREFIXED if right.prefixed else ResourcePatternType.LITERAL
    operation = AclOperation[right.operation]
    return (
        kinds[right.kind],
        right.name,
        pattern,
        right.principal,
        ANY_HOST,
        operation,
        AclPermissionType.ALLOW,
    )


def _binding(right: Right) -> AclBinding:
    return AclBinding(*_parts(right))


def _filter(right: Right) -> AclBindingFilter:
    return AclBindingFilter(*_parts(right))


def _finish(answers: Mapping[Any, Any]) -> None:
    for answer in answers.values():
        try:
            answer.result()
        except KafkaException as error:
            raise AclsWrong(_reason(error.args[0])) from None


def _reason(error: KafkaError) -> str:
    known = {KafkaError.SECURITY_DISABLED: OPEN, KafkaError.CLUSTER_AUTHORIZATION_FAILED: FORBIDDEN}
    return known.get(error.code(), f"{error.name()}: {error.str()}")


def described(found: Plan, *, pruned: bool) -> Iterable[str]:
    """One line for each difference."""
    yield from (f"missing: {right}" for right in found.missing)
    end = "" if pruned else "; taken away with --prune"
    yield from (f"surplus: {right}{end}" for right in found.surplus)
