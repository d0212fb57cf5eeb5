"""The AsyncAPI document of the topics that others use, made from the table of topics and the JSON Schemas.

`python -m pipeline.kafka.asyncapi > schemas/asyncapi.json` writes it; a test holds the file to it. What is between
workers is left out: it is no interface.
"""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

from pipeline.kafka.epoch import TYPES
from pipeline.kafka.topics import REDUCED, TABLE, Topic

PREFIX: Final = "selvedge"


class Kind(NamedTuple):
    """What stands on a topic: the schema of its values (None: bytes as they came; part: of that schema), and what its
    key is."""

    schema: str | None
    key: str
    summary: str
    part: str = ""


KINDS: Final = {
    "touchpoints": Kind("touchpoint", "anything; best `type:value` of the strongest identifier", "What happened."),
    "profiles": Kind("profile", "profile id", "One document per person; redirects; tombstones after erasures."),
    REDUCED.name: Kind("profile", "profile id", "The same with the blocks of `[publish.reduced]`.", "#/$defs/reduced"),
    "identities": Kind("identity", "canonical text of an identifier, or its hash", "Which profile an identifier has."),
    "profile-changes": Kind("profile-change", "profile id", "What happened to which profile, and why."),
    "triggers": Kind("trigger", "episode id", "Messages to be sent, not to be sent, or to be withdrawn."),
    "products": Kind("product", "SKU", "Bought together, wished, sold, price and stock."),
    "access-reports": Kind("access-report", "id of the request", "Everything that is held about a person who asked."),
    "dead-letters": Kind(None, "as it came", "What could not be used, as it came; the reason in headers."),
}
PARAMETERS: Final = {
    "prefix": {"description": "SELVEDGE_PREFIX of the deployment.", "default": PREFIX},
    "name": {"description": "A name in the policy's [publish.reduced]: there is a topic for each."},
}
_TEXT: Final = {"type": "string"}
_CLOUD_EVENT: Final = ("ce_id", "ce_source", "ce_specversion", "ce_time", "ce_type", "content-type")
_TRACE: Final = dict.fromkeys(("traceparent", "tracestate", "ce_traceparent", "ce_tracestate"), _TEXT)
_TRACED: Final = ("profiles", "identities", "profile-changes", "triggers", "access-reports")
"""What a touchpoint causes carries its trace."""
_ERRORS: Final = ("topic", "partition", "offset", "connector.name", "task.id", "stage")


def document() -> dict[str, Any]:
    """The AsyncAPI 3.0 document."""
    topics = {topic.name: topic for topic in (*TABLE, REDUCED) if topic.name in KINDS}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Selvedge",
            "version": "0.1.0",
            "description": "Touchpoints of every channel in; persons, profiles and triggers out. Read committed.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {name: _channel(topic) for name, topic in topics.items()},
        "operations": {_operation(name): _acts_on(name) for name in topics},
        "components": {"messages": {name: _message(name) for name in topics}},
    }


def _channel(topic: Topic) -> dict[str, Any]:
    name = topic.name
    address = f"{{prefix}}.{name.replace('NAME', '{name}')}"
    return {
        "address": address,
        "title": name,
        "summary": KINDS[name].summary,
        "parameters": {parameter: PARAMETERS[parameter] for parameter in PARAMETERS if f"{{{parameter}}}" in address},
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
        "bindings": {"kafka": {"topicConfiguration": _configuration(topic), "bindingVersion": "0.5.0"}},
    }


def _configuration(topic: Topic) -> dict[str, Any]:
    settings = {**topic.first, **topic.held}
    found: dict[str, Any] = {"cleanup.policy": [settings["cleanup.policy"]]}
    if "retention.ms" in settings:
        found["retention.ms"] = int(settings["retention.ms"])
    return found


def _operation(name: str) -> str:
    return f"{'receive' if name == 'touchpoints' else 'send'}-{name}"


def _acts_on(name: str) -> dict[str, Any]:
    return {
        "action": "receive" if name == "touchpoints" else "send",
        "channel": {"$ref": f"#/channels/{name}"},
        "summary": KINDS[name].summary,
        "messages": [{"$ref": f"#/channels/{name}/messages/{name}"}],
    }


def _message(name: str) -> dict[str, Any]:
    kind, type = KINDS[name], TYPES.get(name.partition(".")[0])
    message: dict[str, Any] = {
        "name": type or name,
        "summary": kind.summary,
        "bindings": {"kafka": {"key": {**_TEXT, "description": kind.key}, "bindingVersion": "0.5.0"}},
    }
    if name == "touchpoints":
        message["headers"] = {"type": "object", "properties": dict(_TRACE)}
    if kind.schema is not None:
        message["contentType"] = "application/json"
        message["payload"] = {"$ref": f"{kind.schema}.schema.json{kind.part}"}
    if type is not None:
        headers = {header: dict(_TEXT) for header in _CLOUD_EVENT}
        headers["ce_type"] = {"const": type}
        headers |= _TRACE if name.partition(".")[0] in _TRACED else {}
        message["headers"] = {"type": "object", "required": list(_CLOUD_EVENT), "properties": headers}
    elif kind.schema is None:
        named = [f"__connect.errors.{error}" for error in (*_ERRORS, "exception.class.name", "exception.message")]
        message["headers"] = {"type": "object", "required": named, "properties": {name: dict(_TEXT) for name in named}}
    return message


if __name__ == "__main__":
    print(json.dumps(document(), indent=2))
