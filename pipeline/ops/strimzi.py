"""Topics and users as resources of the Strimzi operator, from the tables that `selvedge topics` and `acls` go by.

`python -m pipeline.ops.strimzi > deploy/kubernetes/overlays/strimzi/generated.yaml` writes what the overlay applies.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from pipeline.kafka.acls import Right, principals, wanted
from pipeline.kafka.topics import configuration, table
from pipeline.settings import Settings

API = "kafka.strimzi.io/v1"
CLUSTER = "selvedge"
KINDS = {"topic": "topic", "group": "group", "cluster": "cluster", "transactional_id": "transactionalId"}


def resources(settings: Settings) -> Iterator[str]:
    """YAML documents: a KafkaTopic for each topic, a KafkaUser for each role."""
    for topic in table(settings):
        config = "".join(f"    {name}: {json.dumps(value)}\n" for name, value in configuration(topic, settings).items())
        yield (
            f"{_head('KafkaTopic', settings.topic(topic.name))}"
            f"spec:\n  partitions: {topic.partitions(settings.shards)}\n  replicas: {settings.replication}\n"
            f"  config:\n{config}"
        )
    who = principals(settings)
    rights = wanted(settings, who)
    for principal in who.values():
        acls = "".join(_acl(*one) for one in _grouped(right for right in rights if right.principal == principal))
        yield (
            f"{_head('KafkaUser', principal.removeprefix('User:'))}"
            "spec:\n  authentication: {type: scram-sha-512}\n"
            f"  authorization:\n    type: simple\n    acls:\n{acls}"
        )


def _head(kind: str, name: str) -> str:
    labels = f"{{strimzi.io/cluster: {CLUSTER}}}"
    return f"apiVersion: {API}\nkind: {kind}\nmetadata:\n  name: {name}\n  labels: {labels}\n"


def _grouped(rights: Iterator[Right]) -> Iterator[tuple[Right, list[str]]]:
    """Rights on one thing together: one of them, and all operations."""
    of: dict[Right, list[str]] = {}
    for right in rights:
        of.setdefault(right._replace(operation=""), []).append(right.operation)
    yield from of.items()


def _acl(right: Right, operations: list[str]) -> str:
    names = ", ".join("".join(word.capitalize() for word in operation.split("_")) for operation in operations)
    pattern = "prefix" if right.prefixed else "literal"
    place = f"type: {KINDS[right.kind]}"
    place += "" if right.kind == "cluster" else f", name: {right.name}, patternType: {pattern}"
    return f"      - {{resource: {{{place}}}, operations: [{names}]}}\n"


if __name__ == "__main__":
    print("---\n".join(resources(Settings())), end="")
