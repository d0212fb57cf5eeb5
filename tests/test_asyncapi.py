"""schemas/asyncapi.json is what the code says, and what it points to is there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from pipeline.kafka.asyncapi import KINDS, document
from pipeline.kafka.epoch import TYPES
from pipeline.kafka.topics import REDUCED, TABLE, table
from pipeline.settings import Settings

SCHEMAS = Path(__file__).parents[1] / "schemas"
INTERNAL = {"mail", "state", "progress"}


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"]
        for one in part.values():
            yield from references(one)
    elif isinstance(part, list):
        for one in part:
            yield from references(one)


def test_the_document_is_that_of_the_code() -> None:
    assert json.loads((SCHEMAS / "asyncapi.json").read_text("utf-8")) == document(), "write it anew"


def test_every_topic_that_others_use_is_a_channel() -> None:
    assert document()["channels"].keys() == {topic.name for topic in (*TABLE, REDUCED)} - INTERNAL
    assert set(TYPES) <= document()["channels"].keys()


def test_an_address_with_its_parameters_is_a_topic_of_a_deployment(tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('[publish.reduced]\nanalytics = ["commerce"]\n')
    settings = Settings(policy_path=policy)
    wanted = {settings.topic(topic.name) for topic in table(settings) if topic.name not in INTERNAL}
    for channel in document()["channels"].values():
        given = {"prefix": settings.prefix, "name": "analytics"}
        assert channel["parameters"].keys() <= given.keys()
        wanted.remove(channel["address"].format(**given))
    assert not wanted


def test_what_it_points_to_is_there() -> None:
    made = document()
    for reference in references(made):
        file, _, path = reference.partition("#")
        found: Any = json.loads((SCHEMAS / file).read_text("utf-8")) if file else made
        for step in path.split("/")[1:]:
            found = found[step]
        assert found


def test_the_examples_of_every_payload_fit_it() -> None:
    for kind in KINDS.values():
        if kind.schema is not None:
            schema = json.loads((SCHEMAS / f"{kind.schema}.schema.json").read_text("utf-8"))
            assert [*schema["examples"]]
            for example in schema["examples"]:
                Draft202012Validator(schema).validate(example)
