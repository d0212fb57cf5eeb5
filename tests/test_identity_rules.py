"""The rule of identity from the producer's text to the rows that consumers read: one small history for each sentence.

A line of a history is `minute type identifier …`, an identifier `type:value`; a `?` before it says that it is not
verified. Persons are written the same way, from the rows of `identities`, a shared one with a `*`.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from pipeline.core.identifiers import Registry
from pipeline.core.policy import load
from pipeline.core.replay import replay
from pipeline.core.solve import text_order
from pipeline.core.times import MINUTE, text
from pipeline.core.touchpoint import Id, Rejected, Touchpoint
from pipeline.dialects import Reader
from tests.core.touchpoints import NOON
from tests.dialects.reading import event, read
from tests.published import Published

JANE = sha256(b"jane@x.com").hexdigest()
PHONE = sha256(b"+905321234567").hexdigest()


class Told:
    """What became of a history: refused (reasons by line), the published rows, and every output as one text."""

    def __init__(self, policy: str, lines: list[str], shards: int = 1) -> None:
        registry = Registry(load(policy), shards=shards)
        reader = Reader(registry)
        results = [_result(number, line, reader) for number, line in enumerate(lines)]
        self.refused = [result.code for result in results if isinstance(result, Rejected)]
        self.touchpoints = [result for result in results if isinstance(result, Touchpoint)]
        outputs = list(replay(self.touchpoints, registry))
        self.everything = b"\n".join(output.key.encode() + b" " + (output.value or b"") for output in outputs).decode()
        self.published = Published(outputs)
        self.registry = registry

    def persons(self) -> set[str]:
        persons: dict[str, list[str]] = {}
        for row in self.published.identities.values():
            persons.setdefault(row["profile_id"], []).append(f"{row['type']}:{row['value']}" + "*" * row["shared"])
        return {" ".join(sorted(ids)) for ids in persons.values()}

    def document(self, id: str) -> dict[str, Any]:
        return self.published.profiles[self.published.identities[Id(id)]["profile_id"]]


def _result(number: int, line: str, reader: Reader) -> Touchpoint | Rejected:
    minute, type, *names = line.split(" ")
    given = [
        {"type": kind.lstrip("?"), "value": value, "verified": not kind.startswith("?")}
        for kind, _, value in (name.partition(":") for name in names)
    ]
    time = NOON + int(minute) * MINUTE
    record = event(type, identifiers=given) | {"id": f"e{number}", "time": text(time)}
    return read(record, time + number, reader)


TWO_HUBS = "hub_degree = { device = 2, badge = 1 }"
DEGREE = ["1 page.viewed customer:1 device:d", "2 page.viewed customer:2 device:d"]
LOGIN = "1 page.viewed customer:1 cookie:c"
VETO = "5 identity.unlinked customer:1 cookie:c"
APART, ONE = {"customer:1", "cookie:c"}, {"cookie:c customer:1"}


@pytest.mark.parametrize(
    ("policy", "lines", "persons"),
    [
        # values
        ("", ["1 page.viewed email:Jane@X.com", f"2 page.viewed cookie:c email_sha256:{JANE.upper()}"],
         {"cookie:c email:jane@x.com"}),
        ("", [f"1 page.viewed email_sha256:{JANE} email:JANE@x.com", "2 page.viewed email:jane@X.COM"],
         {"email:jane@x.com"}),
        ("", [f"1 page.viewed phone_sha256:{PHONE} cookie:c", "2 page.viewed phone:+90٥٣٢١٢٣٤٥٦٧"],
         {"cookie:c phone:+905321234567"}),
        ("", [f"1 page.viewed email_sha256:{JANE} cookie:c"], {f"cookie:c email_sha256:{JANE}"}),
        ("limits = { email = 1 }", [f"1 page.viewed email_sha256:{JANE} email:jane@x.com cookie:c"],
         {"cookie:c email:jane@x.com"}),
        ("", ["1 page.viewed email:jane@x cookie:a", "2 page.viewed email:jane@x cookie:b"], {"cookie:a", "cookie:b"}),
        ("", ["1 page.viewed ?email:jane@x.com cookie:a", "2 page.viewed ?email:jane@x.com cookie:b"],
         {"cookie:a", "cookie:b"}),
        ("", ["1 page.viewed email:j\u0430ne@x.com cookie:a", "2 page.viewed email:jane@x.com cookie:b"],
         {"cookie:a email:j\u0430ne@x.com", "cookie:b email:jane@x.com"}),
        ("", ["1 page.viewed cookie:null customer:1", '2 page.viewed cookie:"NULL" customer:2',
              "3 page.viewed cookie:nu\u200bll customer:3"], {"customer:1", "customer:2", "customer:3"}),
        # types and their order
        ("", ["1 page.viewed badge:b cookie:c", "2 page.viewed badge:b cookie:d"], {"badge:b cookie:c cookie:d"}),
        ('order = ["member", "mail"]\nunique = ["member"]',
         ["1 page.viewed member:1 mail:M", "2 page.viewed member:2 mail:M"], {"member:1", "mail:M member:2"}),
        ('order = ["cookie", "customer"]\nunique = ["cookie"]',
         ["1 page.viewed customer:1 cookie:a", "2 page.viewed customer:1 cookie:b"],
         {"cookie:a", "cookie:b customer:1"}),
        ("limits = {}", [f"{n} page.viewed customer:1 email:m{n}@x.com" for n in range(7)],
         {"customer:1 " + " ".join(f"email:m{n}@x.com" for n in range(7))}),
        # rejected touchpoints teach nothing: no row, no edge, no degree
        ("", ["1 page.viewed customer:1 customer:2 cookie:c", LOGIN], ONE),
        (TWO_HUBS, [*DEGREE, "3 page.viewed loyalty:3 loyalty:4 device:d"], {"customer:1", "customer:2 device:d"}),
        # hubs
        (TWO_HUBS, [*DEGREE, "3 page.viewed device:d cookie:c"], {"customer:1", "cookie:c customer:2 device:d"}),
        (TWO_HUBS, [*DEGREE, "3 page.viewed customer:3 device:d"],
         {"customer:1", "customer:2", "customer:3", "device:d*"}),
        (TWO_HUBS, ["1 page.viewed customer:1 badge:b", "2 page.viewed customer:2 badge:b"],
         {"customer:1", "customer:2", "badge:b*"}),
        ("hub_fanout = 2", [f"{n} page.viewed email:cashier@x.com cookie:c{n}" for n in range(3)],
         {"email:cashier@x.com*", "cookie:c0", "cookie:c1", "cookie:c2"}),
        ("hub_fanout = 2", ["0 page.viewed email:cashier@x.com cookie:a device:d",
                            "1 page.viewed email:cashier@x.com cookie:b"],
         {"email:cashier@x.com*", "cookie:a", "device:d", "cookie:b"}),
        ("hub_fanout = 2", ["0 page.viewed email:cashier@x.com cookie:a device:d",
                            "1 page.viewed email:cashier@x.com cookie:a", "2 page.viewed customer:1 cookie:b"],
         {"cookie:a device:d email:cashier@x.com", "cookie:b customer:1"}),
        # vetoes and pairs of the policy
        ("", [VETO], set()),
        ("", [LOGIN, VETO], APART),
        ("", [LOGIN, VETO, "6 page.viewed customer:1 cookie:c"], APART),
        ("", [LOGIN, VETO, "4 identity.observed customer:1 cookie:c"], APART),
        ("", [LOGIN, VETO, "6 identity.observed customer:1", "6 identity.observed cookie:c"], APART),
        ("", [LOGIN, VETO, "6 identity.observed customer:1 cookie:c"], ONE),
        ("", [VETO, LOGIN, "5 identity.observed customer:1 cookie:c"], ONE),
        ("", ["6 identity.observed customer:1 cookie:c", VETO], ONE),
        ("", [LOGIN, VETO, "6 identity.observed loyalty:9 customer:1 cookie:c"], {"cookie:c customer:1 loyalty:9"}),
        ("", [LOGIN, VETO, "6 identity.observed customer:1 cookie:c", "7 identity.unlinked cookie:c customer:1"],
         APART),
        ('forbidden = [[["email", " Jane@X.com"], ["cookie", "c"]]]',
         [f"1 page.viewed email_sha256:{JANE} cookie:c", "2 page.viewed customer:1 email:jane@x.com cookie:c"],
         {"customer:1 email:jane@x.com", "cookie:c"}),
        # ties by canonical text: type, then value
        ("", ["1 page.viewed loyalty:1 cookie:c", "1 page.viewed loyalty:2 cookie:c"],
         {"cookie:c loyalty:1", "loyalty:2"}),
        ("limits = { cookie = 1 }", ["1 page.viewed cookie:c loyalty:2", "1 page.viewed customer:1 cookie:c",
                                     "1 page.viewed loyalty:2 cookie:b"],
         {"cookie:b loyalty:2", "cookie:c customer:1"}),
    ],
)  # fmt: skip
def test_who_is_one_person(policy: str, lines: list[str], persons: set[str]) -> None:
    for history in (lines, lines[::-1]):
        for shards in (1, 3):
            assert Told(f"[identity]\n{policy}", history, shards).persons() == persons


@pytest.mark.parametrize(
    ("lines", "reasons"),
    [
        (["1 page.viewed loyalty:1 loyalty:2"], ["two_values_of_unique"]),
        (["1 page.viewed customer:1 customer:guest customer:1"], []),
        (["1 page.viewed email:a@x.com email:b@x.com"], []),
        (["1 identity.unlinked customer:1", "2 identity.unlinked customer:1 customer:null"], ["bad_field"] * 2),
        (["1 identity.unlinked customer:1 customer:2"], []),
        (["1 page.viewed cookie:null"], ["no_identifier"]),
    ],
)
def test_which_touchpoints_are_refused(lines: list[str], reasons: list[str]) -> None:
    assert Told("", lines).refused == reasons


def test_a_hash_and_its_value_are_counted_once_and_the_value_is_shown_as_soon_as_it_is_known() -> None:
    hashed = f"1 page.viewed cookie:c email_sha256:{JANE}"
    both = f"2 page.viewed cookie:c email_sha256:{JANE} email:Jane@x.com"
    for lines in ([hashed, both], [both, hashed]):
        shop = Told("", lines)
        (row,) = (row for row in shop.document("cookie:c")["identifiers"] if row["type"].startswith("email"))
        assert (row["type"], row["value"], row["count"]) == ("email", "jane@x.com", 2)
        assert shop.published.identities[Id(f"email:{JANE}")]["value"] == "jane@x.com"


def test_what_the_policy_hides_is_in_no_output_and_still_joins() -> None:
    lines = [
        "1 product.viewed customer:C-7 cookie:ck-secret email:jane@x.com phone:+905321234567",
        "2 page.viewed device:tablet cookie:ck-secret",
    ]
    shown = '[publish]\nidentifiers = { cookie = "omit", email = "sha256", phone = "omit", customer = "sha256" }'
    shop = Told(shown, lines)
    assert shop.persons() == {f"customer_sha256:{sha256(b'C-7').hexdigest()} device:tablet email_sha256:{JANE}"}
    for hidden in ("ck-secret", "jane@x.com", "905321234567", PHONE, "C-7"):
        assert hidden not in shop.everything


def test_a_trigger_too_mentions_only_what_the_policy_shows() -> None:
    registry = Registry(
        load('[publish]\nidentifiers = { cookie = "omit", email = "sha256", customer = "omit", checkout = "omit" }')
    )
    names = (("cookie", "ck-secret"), ("email", "Jane@x.com"), ("customer", "C-7"))
    given = {"identifiers": [{"type": type, "value": value} for type, value in names]}
    cart = {"cart": {"id": "cart-9", "checkout_id": "co-secret"}, "items": [{"sku": "S", "price": "10"}]}
    records = [
        event("consent.changed", **given, consent={"channel": "email", "state": "granted", "effective": text(NOON)}),
        event("checkout.started", **given, **cart),
    ]
    reader = Reader(registry)
    times = [NOON + n * MINUTE for n in range(len(records))]
    history = [
        read(one | {"id": f"e{time}", "time": text(time)}, time, reader)
        for one, time in zip(records, times, strict=True)
    ]
    outputs = list(replay([tp for tp in history if isinstance(tp, Touchpoint)], registry, NOON + 90 * MINUTE))
    (fired,) = (output for output in outputs if output.topic == "triggers")
    assert fired.value is not None and f'"type":"email_sha256","value":"{JANE}"' in fired.value.decode()
    for output in outputs:
        said = output.key + (output.value or b"").decode()
        assert not any(hidden in said for hidden in ("ck-secret", "jane@x.com", "C-7", "co-secret"))


def test_the_rows_of_identities_follow_their_profile_and_keep_when_they_were_first_seen() -> None:
    lines = ["3 page.viewed cookie:a", "5 page.viewed device:d cookie:b", "7 page.viewed device:d cookie:a"]
    shop = Told("", lines)
    assert {row["profile_id"] for row in shop.published.identities.values()} == {
        shop.registry.profile_id(Id("cookie:a"))
    }
    since = {row["value"]: row["since"][14:16] for row in shop.published.identities.values()}
    assert since == {"a": "03", "b": "05", "d": "05"}


def test_a_person_that_never_anchored_has_the_id_of_its_oldest_identifier() -> None:
    lines = [
        "1 page.viewed customer:1 cookie:b",
        "2 page.viewed customer:1 cookie:a",
        "3 page.viewed customer:1 cookie:a cookie:b",
    ]
    vetoes = ["4 identity.unlinked customer:1 cookie:a", "4 identity.unlinked customer:1 cookie:b"]
    shop = Told("", lines + vetoes)
    assert shop.persons() == {"customer:1", "cookie:a cookie:b"}
    assert shop.published.profile_ids()[Id("cookie:a")] == shop.registry.profile_id(Id("cookie:b"))


def test_anchors_of_one_age_are_told_apart_by_text() -> None:
    shop = Told("", ["1 page.viewed cookie:b", "1 page.viewed cookie:a", "2 page.viewed cookie:a cookie:b"])
    assert set(shop.published.profile_ids().values()) == {shop.registry.profile_id(Id("cookie:a"))}
    assert sorted(map(Id, ("a.b:1", "a:z")), key=text_order) == ["a:z", "a.b:1"], "by type first"


def test_an_identifier_that_turns_out_to_be_shared_leaves_its_person_with_a_split() -> None:
    shop = Told(f"[identity]\n{TWO_HUBS}", [*DEGREE, "3 page.viewed customer:3 device:d"])
    device, loser = (shop.registry.profile_id(Id(name)) for name in ("device:d", "customer:2"))
    split = [one for one in shop.published.changes if one["kind"] == "split" and one["profile_id"] == loser]
    assert [one["split_into"] for one in split] == [[device]]
    assert [one["profile_id"] for one in shop.published.changes if one["kind"] == "shared"] == [device]


def test_whoever_is_changed_by_what_happens_to_another_was_not_changed_by_time_alone() -> None:
    changes = Told(f"[identity]\n{TWO_HUBS}", [*DEGREE, "3 page.viewed customer:3 device:d"]).published.changes
    assert {one["cause"] for one in changes} == {"e0", "e1", "e2", "split", "merge"}


def test_blocked_values_and_addresses_that_are_none_are_counted() -> None:
    (tp,) = Told("", ["1 page.viewed cookie:c customer:null device:0 email:jane"]).touchpoints
    assert (tp.blocked, tp.hints, tp.ids) == (2, (("email", "jane"),), ("cookie:c",))
