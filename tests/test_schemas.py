"""schemas/: what crosses a topic is what they say, no less and no more.

Records come from a sample shop and from random histories under policies that make what is rare: shared identifiers,
clusters too large to be solved, documents cut to fit. What no record shows, the code must name.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import msgspec
import pytest
from jsonschema import Draft202012Validator, FormatChecker

from pipeline.core import replay as core
from pipeline.core import times
from pipeline.core.events import CHANNELS, KNOWN
from pipeline.core.facts import consents
from pipeline.core.identifiers import Registry
from pipeline.core.policy import load
from pipeline.core.touchpoint import Data, Touchpoint
from pipeline.core.triggers import reasons as not_sent
from pipeline.core.view import HEADER, MEMBERS
from pipeline.dialects import Reader, refused
from pipeline.dialects.cloudevents import Envelope
from pipeline.kafka.dead_letters import SUPPRESSED
from pipeline.replay import COMPACTED, replay
from pipeline.sample import generate
from tests import histories

ROOT = Path(__file__).parents[1]
SCHEMAS: dict[str, dict[str, Any]] = {
    path.name.removesuffix(".schema.json"): json.loads(path.read_text("utf-8"))
    for path in sorted((ROOT / "schemas").glob("*.schema.json"))
}
TOPICS = {
    "profiles": "profile",
    "identities": "identity",
    "profile-changes": "profile-change",
    "triggers": "trigger",
    "products": "product",
    "dead-letters": "dead-letter-row",
}
WRITTEN = sorted(TOPICS.values())
ON_REQUEST = {"access-reports": "access-report"}
RARE = {
    "shared": f"[identity]\n{histories.POLICIES['hubs']}",
    "oversize": f"[identity]\n{histories.POLICIES['oversize']}",
    "cut": "[bounds]\ndocument_bytes = 1024",
    "segments": '[profile.segments]\nbuyer = "commerce.order_count > 0"',
    "dropped": "[bounds]\nchanges_per_cart = 1",
    "verified": '[triggers]\nrequire_consent = false\ncontact_hints = "own_cart"',
}
"""A member or word that is rare -> the policy that makes it."""
HINTED = b"""{"specversion":"1.0","id":"e","source":"web/shop","type":"cart.item_added","time":"2026-03-02T08:00:00Z",
"data":{"items":[{"sku":"S"}],
"identifiers":[{"type":"cookie","value":"c-1"},{"type":"email","value":"a@b.de","verified":false}]}}"""
ASKED = [
    b'{"specversion":"1.0","id":"%b","source":"server/crm","type":"privacy.%b","time":"2026-03-02T%b:00:00Z",'
    b'"data":{"identifiers":[{"type":"cookie","value":"c-1"}]}}' % request
    for request in ((b"ask", b"access_requested", b"09"), (b"erase", b"erasure_requested", b"10"))
]
"""Requests of the owner of HINTED."""
FACTS = [
    b"""{"specversion":"1.0","id":"%b","source":"server/erp","type":"%b.changed","time":"2026-03-02T08:00:00Z",
"data":{"items":[{"sku":"S","%b":"7","currency":"JPY"}]}}"""
    % (type, type, type)
    for type in (b"price", b"stock")
]
"""Of the catalogue, in a currency that is not the policy's."""
FORMATS = FormatChecker(formats=("date", "uuid"))

Records = dict[str, list[dict[str, Any]]]
"""Name of a schema -> records."""


@FORMATS.checks("date-time", raises=ValueError)
def is_time(value: object) -> bool:
    return not isinstance(value, str) or times.parse(value) is not None


VALIDATORS = {name: Draft202012Validator(schema, format_checker=FORMATS) for name, schema in SCHEMAS.items()}


def faults(name: str, records: Iterable[Any]) -> list[str]:
    """What is wrong with the first record that does not fit."""
    for record in records:
        found = [f"{error.json_path}: {error.message}" for error in VALIDATORS[name].iter_errors(record)]
        if found:
            return [*found, json.dumps(record)]
    return []


class Shop(NamedTuple):
    lines: list[bytes]
    records: Records


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A sample shop, and what a replay writes of it."""
    directory = tmp_path_factory.mktemp("shop")
    lines = [record.value for record in generate(seed=7, shoppers=300, touchpoints=3000)]
    (directory / "shop.jsonl").write_bytes(b"\n".join(lines))
    replay([directory / "shop.jsonl"], Registry(load(""), shards=3), directory)
    records: Records = {}
    for topic, name in TOPICS.items():
        records[name] = [json.loads(line) for line in (directory / f"{topic}.jsonl").read_bytes().splitlines()]
        for record in records[name] if topic in COMPACTED else ():
            del record["key"]
    return Shop(lines, records)


@pytest.fixture(scope="module")
def rare() -> dict[str, Records]:
    """What random histories, and a cart with an unproved address, give under each policy of RARE."""
    return {what: published(Registry(load(policy))) for what, policy in RARE.items()}


def published(registry: Registry) -> Records:
    records: Records = {name: [] for name in (*WRITTEN, *ON_REQUEST.values())}
    read = Reader(registry).read
    hinted = [one for line in (HINTED, *FACTS) for one in read(line, None) if isinstance(one, Touchpoint)]
    asked = [one for line in ASKED for one in read(line, None) if isinstance(one, Touchpoint)]
    for touchpoints in (histories.history(Random(4), 60, registry), hinted, hinted + asked):
        for output in core.replay(touchpoints, registry, until=histories.START + times.DAY):
            if output.value is not None:
                records[(TOPICS | ON_REQUEST)[output.topic]].append(json.loads(output.value))
    return records


# -- schemas by themselves -------------------------------------------------------------------------------------------


def parts(schema: Any) -> Iterator[dict[str, Any]]:
    """The schema and all schemas within it."""
    if isinstance(schema, list):
        for one in schema:
            yield from parts(one)
    elif isinstance(schema, dict):
        yield schema
        for keyword, value in schema.items():
            if keyword in ("properties", "$defs"):
                yield from parts(list(value.values()))
            elif keyword not in ("examples", "enum", "const", "default", "required", "dependentRequired"):
                yield from parts(value)


def members(schema: Any) -> dict[str, list[Any]]:
    """Name of a member -> its schemas. Conditions, which name members again, are left out."""
    conditions = ("allOf", "anyOf", "contains", "if", "then", "else")
    plain = json.loads(
        json.dumps(schema),
        object_hook=lambda found: {key: value for key, value in found.items() if key not in conditions},
    )
    found: dict[str, list[Any]] = {}
    for part in parts(plain):
        for name, member in part.get("properties", {}).items():
            found.setdefault(name, []).append(member)
    return found


def words_of(schema: Any) -> set[str]:
    """The words that enumerations list."""
    listed = [word for part in parts(schema) for word in (*part.get("enum", ()), part.get("const"))]
    return {word for word in listed if isinstance(word, str)}


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_one_and_says_what_it_is(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name])
    assert SCHEMAS[name]["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    assert SCHEMAS[name]["$id"] == f"urn:selvedge:{name}"
    assert SCHEMAS[name]["title"]


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_examples_of_a_schema_fit_it(name: str) -> None:
    assert SCHEMAS[name]["examples"]
    assert faults(name, SCHEMAS[name]["examples"]) == []


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_member_is_described(name: str) -> None:
    undescribed = {
        key for key, found in members(SCHEMAS[name]).items() if not all(one.get("description") for one in found)
    }
    assert undescribed == set()


def test_the_readme_of_the_schemas_lists_them() -> None:
    readme = (ROOT / "schemas" / "README.md").read_text("utf-8")
    assert set(re.findall(r"`([a-z-]+)\.schema\.json`", readme)) == SCHEMAS.keys()


# -- what is written -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WRITTEN)
def test_every_record_of_a_sample_shop_fits(shop: Shop, name: str) -> None:
    assert shop.records[name]
    assert faults(name, shop.records[name]) == []


@pytest.mark.parametrize("what", RARE)
def test_what_is_rare_fits(rare: dict[str, Records], what: str) -> None:
    assert f'"{what}"' in json.dumps(rare[what]), "there is one"
    assert [fault for name, records in rare[what].items() for fault in faults(name, records)] == []


@pytest.mark.parametrize("block", sorted({*MEMBERS} - {*HEADER}))
def test_the_documents_of_a_reduced_topic_fit(block: str) -> None:
    registry = Registry(load(f'[publish.reduced]\nsome = ["{block}"]'))
    outputs = core.replay(histories.history(Random(4), 60, registry), registry)
    records = [json.loads(output.value) for output in outputs if output.topic == "profiles.some" and output.value]
    assert records
    reduced = {"$ref": "#/$defs/reduced", "$defs": SCHEMAS["profile"]["$defs"]}
    for record in records:
        Draft202012Validator(reduced, format_checker=FORMATS).validate(record)


@pytest.mark.parametrize("name", WRITTEN)
def test_a_member_that_is_not_described_does_not_fit(shop: Shop, name: str) -> None:
    record = shop.records[name][0]
    assert faults(name, [record]) == []
    assert faults(name, [{**record, "other": None}])
    definitions = SCHEMAS[name].get("$defs", {})
    whole = {**SCHEMAS[name], "$defs": {key: value for key, value in definitions.items() if key != "cut"}}
    for part in parts(whole):
        if part.get("type") == "object":
            assert part["additionalProperties"] is False or "properties" not in part, part


@pytest.mark.parametrize("name", WRITTEN)
def test_no_member_is_described_that_no_record_has(shop: Shop, rare: dict[str, Records], name: str) -> None:
    seen = {member for records in (shop.records, *rare.values()) for member in names(records[name])}
    assert members(SCHEMAS[name]).keys() - seen == set()


def names(value: Any) -> Iterator[str]:
    """Names of members, at any depth."""
    if isinstance(value, dict):
        yield from value
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from names(one)


# -- words -----------------------------------------------------------------------------------------------------------


def code_words(*modules: str) -> set[str]:
    """All texts in these modules of the core."""
    return {
        node.value
        for module in modules
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


@lru_cache
def tree(module: str) -> ast.Module:
    return ast.parse((ROOT / "pipeline" / "core" / f"{module}.py").read_text("utf-8"))


def test_channels_and_blocks_are_those_of_the_code() -> None:
    definitions = SCHEMAS["profile"]["$defs"]
    assert set(definitions["channel"]["enum"]) == CHANNELS
    assert set(SCHEMAS["touchpoint"]["$defs"]["data"]["properties"]["channel"]["enum"]) == CHANNELS
    assert definitions["cut"]["properties"]["cut"]["items"]["enum"] == list(MEMBERS)
    assert SCHEMAS["profile-change"]["properties"]["changed"]["items"]["enum"] == list(MEMBERS)


def test_consent_states_are_those_of_the_code() -> None:
    for name, place in (("profile", "consents"), ("touchpoint", "consent")):
        states = [one for one in parts(SCHEMAS[name]["$defs"][place]) if "granted" in one.get("enum", ())]
        assert [set(one["enum"]) for one in states] == [consents._STATES.keys()]


def test_kinds_of_changes_are_those_of_the_code() -> None:
    calls = [node for node in ast.walk(tree("settle")) if isinstance(node, ast.Call)]
    made = [call.args[0] for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Kind"]
    kinds = {ast.literal_eval(word) for word in made} | {"erased"}
    assert set(SCHEMAS["profile-change"]["properties"]["kind"]["enum"]) == kinds


def test_reasons_of_suppressed_triggers_are_those_of_the_code() -> None:
    assert reasons("suppressed") == [reason for reason, _ in not_sent._REASONS]


def test_reasons_of_retracted_triggers_are_in_the_code() -> None:
    assert set(reasons("retracted")) <= code_words("triggers/lifecycle", "privacy")
    assert set(reasons("retracted")) | set(reasons("suppressed")) == words_of(
        SCHEMAS["trigger"]["properties"]["reasons"]
    )
    assert words_of(SCHEMAS["trigger"]["properties"]["reason"]) == words_of(SCHEMAS["trigger"]["properties"]["reasons"])


def reasons(status: str) -> list[str]:
    """Those that the schema allows for a status."""
    found = next(one for one in SCHEMAS["trigger"]["allOf"] if words_of(one["if"]) == {status})
    listed: list[str] = found["then"]["properties"]["reason"]["enum"]
    return listed


def test_reasons_of_dead_letters_are_those_of_the_code() -> None:
    codes = {value for name, value in vars(refused).items() if name.isupper() and isinstance(value, str)}
    assert set(SCHEMAS["dead-letter-row"]["properties"]["reason"]["enum"]) == codes | {SUPPRESSED}


@pytest.mark.parametrize("name", ["profile", "trigger"])
def test_every_other_word_is_in_the_code(name: str) -> None:
    modules = [str(path.relative_to(ROOT / "pipeline/core").with_suffix("")) for path in CORE]
    assert words_of(SCHEMAS[name]) - CHANNELS - code_words(*modules) <= {"active"}, "active: in bytes"


CORE = sorted((ROOT / "pipeline/core").rglob("*.py"))


# -- touchpoints -----------------------------------------------------------------------------------------------------


def read(touchpoint: bytes, reader: Reader) -> bool:
    """Whether a touchpoint is accepted."""
    return isinstance(reader.read(touchpoint, None, fallback=histories.START)[0], Touchpoint)


def test_every_accepted_touchpoint_of_a_sample_shop_fits(shop: Shop) -> None:
    reader = Reader(Registry(load("")))
    lines = [line for line in shop.lines[::8] if line.startswith(b'{"specversion":"1.0"') and read(line, reader)]
    assert len(lines) > 250
    assert faults("touchpoint", map(json.loads, lines)) == []


def test_the_touchpoint_of_the_readme_fits() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    text = re.search(r"^touchpoint = (\{.*?^\})$", readme, re.DOTALL | re.MULTILINE)
    assert text is not None
    assert faults("touchpoint", [ast.literal_eval(text[1])]) == []


def test_the_members_of_a_touchpoint_are_those_that_are_read() -> None:
    described = {"": SCHEMAS["touchpoint"], **SCHEMAS["touchpoint"]["$defs"]}
    envelope = {field.encode_name for field in msgspec.structs.fields(Envelope)} - {"data_base64"}
    assert described[""]["properties"].keys() == envelope
    structs: list[tuple[str, Any]] = [("data", Data)]
    for place, struct in structs:
        fields = {field.encode_name: field.type for field in msgspec.structs.fields(struct)}
        assert described[place]["properties"].keys() == fields.keys()
        for member, type in fields.items():
            part = next(
                (one for one in (type, *getattr(type, "__args__", ())) if hasattr(one, "__struct_fields__")), None
            )
            structs += [(member.removesuffix("s"), part)] if part is not None else []


Choices = list[dict[str, Any]]
NAMED = [{"type": "customer", "value": "C-1"}, {"type": "email", "value": "ada@example.com"}]
HINT = [{"type": "email", "value": "ada@example.com", "verified": False}]
ITEM = {"sku": "S", "quantity": 2, "price": "1.50", "stock": 3}
IDENTIFIERS: Choices = [{"identifiers": NAMED}, {"identifiers": NAMED[:1] + HINT}, {"identifiers": HINT}, {}]
ITEMS: Choices = [
    {"items": [ITEM]},
    {"items": [{"name": "N", "price": 1, "stock": "0"}]},
    {"items": [ITEM, {"sku": "", "quantity": 1}]},
    {"items": [{"sku": "S", "quantity": 0}]},
    {"items": [{"sku": "S", "price": "-1", "stock": 1}]},
    {},
]
OTHERS: Choices = [
    {"order": {"id": "O"}, "list": {"id": "L"}, "consent": {"state": "granted"}, "cart": {"checkout_id": "co-1"}},
    {"order": {"total": "1"}, "list": {}, "consent": {"state": "granted"}},
    {"order": {"id": "O"}, "list": {"id": "L"}},
]


@pytest.mark.parametrize("type", sorted({*KNOWN, "com.shop.order.placed", "shop.opened"}))
def test_the_schema_asks_for_what_the_reader_asks_for(type: str) -> None:
    reader = Reader(Registry(load("")))
    chosen = [(who, ITEMS[0], other) for who in IDENTIFIERS for other in OTHERS]
    for who, items, other in chosen + [(IDENTIFIERS[0], items, OTHERS[0]) for items in ITEMS]:
        data = who | items | other
        touchpoint = {"specversion": "1.0", "id": "e", "source": "web/shop", "type": type, "data": data}
        fits = not faults("touchpoint", [touchpoint])
        assert fits == read(json.dumps(touchpoint).encode(), reader), touchpoint


@pytest.mark.parametrize(
    "wrong",
    [
        {"specversion": "0.3"},
        {"id": ""},
        {"id": "x" * 257},
        {"source": "shop"},
        {"source": "fax/shop"},
        {"type": ""},
        {"time": "yesterday"},
        {"recordedtime": "2026-13-01T00:00:00Z"},
        {"data": []},
        {"data": {"identifiers": NAMED, "channel": "fax"}},
        {"data": {"identifiers": [{"type": "two words", "value": "x"}]}},
        {"data": {"identifiers": NAMED, "items": [{"currency": "EURO"}]}},
        {"data": {"identifiers": NAMED, "items": [{"price": "1,50"}]}},
        {"data": {"identifiers": NAMED, "items": [{"quantity": 1e16}]}},
        {"data": {"identifiers": NAMED, "traits": {"": 1}}},
        {"data": {"identifiers": NAMED, "consent": {"state": "granted", "effective": "soon"}}},
        {"data": {"identifiers": NAMED, "consent": {"state": "granted", "purpose": " "}}},
    ],
)
def test_what_the_reader_refuses_does_not_fit(wrong: dict[str, Any]) -> None:
    good = {"specversion": "1.0", "id": "e", "source": "web/s", "type": "page.viewed", "data": {"identifiers": NAMED}}
    reader = Reader(Registry(load("")))
    assert faults("touchpoint", [good]) == [] and read(json.dumps(good).encode(), reader)
    assert faults("touchpoint", [good | wrong])
    assert not read(json.dumps(good | wrong).encode(), reader)
