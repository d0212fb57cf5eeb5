"""Two spellings of one address are one identifier, values that identify nobody are none, and places are Kafka's."""

from __future__ import annotations

import subprocess
import sys
import uuid
from hashlib import sha256

import pytest
from aiokafka.partitioner import murmur2 as kafka_murmur2
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.identifiers import Registry, Unusable
from pipeline.core.murmur import murmur2
from pipeline.core.policy import Policy, load
from pipeline.core.touchpoint import Id

REGISTRY = Registry(Policy())
AS_THEY_ARE = Registry(load("[identity]\nnormalise = false\nblocked_defaults = false"))


def id_of(type: str, value: object, registry: Registry = REGISTRY) -> Id | None:
    return registry.identify(type, value).id


@pytest.mark.parametrize(
    "spelling",
    [
        "jane@example.com",
        " Jane@Example.com ",
        "JANE@EXAMPLE.COM",
        "jane\u200b@example.com",
        "\u202ajane@example.com\u202c",
        "\ufeffjane@exam\u00adple.com",
    ],
)
def test_spellings_of_an_address_are_one_identifier(spelling: str) -> None:
    found = REGISTRY.identify("email", spelling)
    assert found.id == "email:" + sha256(b"jane@example.com").hexdigest()
    assert found.plain == "jane@example.com"


def test_the_turkish_dotted_capital_is_an_i_and_the_dotless_i_stays() -> None:
    assert REGISTRY.identify("email", "İREM@x.com.tr").plain == "irem@x.com.tr"
    assert REGISTRY.identify("email", "I\u0307rem@x.com.tr").plain == "irem@x.com.tr"
    assert REGISTRY.identify("email", "ırem@x.com.tr").plain == "ırem@x.com.tr"


def test_domains_are_written_as_idna_says() -> None:
    assert REGISTRY.identify("email", "jane@MÜNCHEN.de").plain == "jane@xn--mnchen-3ya.de"
    assert id_of("email", "jane@münchen.de") == id_of("email", "jane@xn--mnchen-3ya.de")
    assert REGISTRY.identify("email", "jane@موقع.وزارة-الاتصالات.مصر").id is not None


@pytest.mark.parametrize(
    "spelling",
    [
        "j\u0430ne@example.com",  # Cyrillic a
        "jan\u212e@example.com",  # the sign of an estimate
        "\uff4aane@example.com",  # full width j
        "jane@ex\u0430mple.com",  # Cyrillic a in the domain
        "jane+shop@example.com",
    ],
)
def test_look_alike_letters_are_not_mapped(spelling: str) -> None:
    assert id_of("email", spelling) not in (None, id_of("email", "jane@example.com"))


@pytest.mark.parametrize(
    ("spelling", "plain"),
    [
        ("JÖRG@x.com", "jörg@x.com"),
        ("JO\u0308RG@x.com", "jörg@x.com"),
        ("IŞIK@x.com", "işik@x.com"),  # no language is guessed: I is an i
        ("ışık@x.com", "ışık@x.com"),
        ("i\u0307rem@x.com", "irem@x.com"),
        ("İSTANBUL@İSTANBUL.com", "istanbul@istanbul.com"),
        ("محمد@مثال.com", "محمد@xn--mgbh0fb.com"),
        ("jane@STRASSE.de", "jane@strasse.de"),
        ("jane@straße.de", "jane@xn--strae-oqa.de"),
        ("jane@EXAMPLE。com", "jane@example.com"),  # a full stop of another script, as IDNA reads it
    ],
)
def test_addresses_of_all_scripts_are_written_in_one_way(spelling: str, plain: str) -> None:
    assert REGISTRY.identify("email", spelling).plain == plain
    assert id_of("email_sha256", sha256(plain.encode()).hexdigest()) == id_of("email", spelling)


@pytest.mark.parametrize(
    "value",
    [
        "jane",
        "jane@",
        "@example.com",
        "a@b@example.com",
        "jane@example",
        "ja ne@example.com",
        "a@x.com,b@x.com",
        "j@-x.com",
    ],
)
def test_an_address_that_is_none_becomes_a_hint(value: str) -> None:
    found = REGISTRY.identify("email", value)
    assert found.id is None and found.hint


def test_provider_rules_apply_only_if_the_policy_says_so() -> None:
    assert id_of("email", "j.a.n.e+shop@gmail.com") != id_of("email", "jane@gmail.com")
    by_rules = Registry(load("[identity]\nemail_provider_rules = true"))
    assert id_of("email", "j.a.n.e+shop@gmail.com", by_rules) == id_of("email", "jane@gmail.com", by_rules)
    assert id_of("email", "j.ane@example.com", by_rules) != id_of("email", "jane@example.com", by_rules)
    assert id_of("email", "jane+a@example.com", by_rules) != id_of("email", "jane@example.com", by_rules)
    assert id_of("email", "Jane+a@Outlook.com", by_rules) == id_of("email", "jane@outlook.com", by_rules)
    assert id_of("email", "j.ane@outlook.com", by_rules) != id_of("email", "jane@outlook.com", by_rules)


@pytest.mark.parametrize(
    "spelling",
    [
        "+49 151 1234 5678",
        "+49 (0)151 12345678",
        "\u202d+4915112345678",
        "+٤٩١٥١١٢٣٤٥٦٧٨",  # Arabic
        "+۴۹۱۵۱۱۲۳۴۵۶۷۸",  # Persian
        "+४९१५११२३४५६७८",  # Devanagari
        "+৪৯১৫১১২৩৪৫৬৭৮",  # Bengali
        "＋４９１５１１２３４５６７８",  # full width
        "+๔๙๑๕๑๑๒๓๔๕๖๗๘",  # Thai
        "+\U0001d7d2\U0001d7d7151\u20601234\u00a05678",  # mathematical, with an invisible joiner
    ],
)
def test_spellings_of_a_number_are_one_identifier(spelling: str) -> None:
    assert REGISTRY.identify("phone", spelling).plain == "+4915112345678"


def test_a_number_without_country_needs_the_region_of_the_policy() -> None:
    turkish = Registry(load('[identity]\ndefault_region = "TR"'))
    assert turkish.identify("phone", "0532 123 45 67").plain == "+905321234567"
    assert turkish.identify("phone", "٠٥٣٢١٢٣٤٥٦٧").plain == "+905321234567"
    assert REGISTRY.identify("phone", "0532 123 45 67").plain == "0532 123 45 67"


@pytest.mark.parametrize("value", ["12", "+49 1", "call me", "+999 123456789"])
def test_what_is_no_possible_number_stays_as_text(value: str) -> None:
    assert REGISTRY.identify("phone", value).plain == value


def test_a_hash_and_its_value_are_one_identifier() -> None:
    digest = sha256(b"jane@example.com").hexdigest()
    assert id_of("email_sha256", digest.upper()) == id_of("email", "jane@example.com")
    assert REGISTRY.identify("email_sha256", digest).plain is None
    assert id_of("phone_sha256", sha256(b"+4915112345678").hexdigest()) == id_of("phone", "+49 151 12345678")
    assert REGISTRY.identify("email_sha256", "jane@example.com").hint


@pytest.mark.parametrize(
    "value",
    [
        "", "   ", "\u200b", "0", "-1", "null", "NULL", '"null"', "'None'", "“undefined”", "nil", "NaN", "Unknown",
        "anonymous", "guest", "not_authenticated", "true", "False", "id", "distinct_id", "email", "test",
        "[object Object]",
        "00000000-0000-0000-0000-000000000000", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF",
        "{00000000-0000-0000-0000-000000000000}", "aaaa", "-----", "0000000000", True, False, None, 1.5, 0,
    ],
)  # fmt: skip
def test_values_that_identify_nobody_are_blocked(value: object) -> None:
    found = REGISTRY.identify("cookie", value)
    assert found.id is None and not found.hint


@pytest.mark.parametrize("value", ["aaa", "0001", "nullable", "tester", 17, -2])
def test_values_that_only_look_like_them_are_not(value: object) -> None:
    assert id_of("cookie", value) == f"cookie:{value}"


def test_blocked_contacts_are_blocked_in_any_spelling() -> None:
    assert REGISTRY.identify("phone", "+0000000").id is None
    empty = sha256(b"").hexdigest()
    assert REGISTRY.identify("email_sha256", empty).id is None and not REGISTRY.identify("email_sha256", empty).hint


def test_the_policy_adds_values_and_patterns() -> None:
    registry = Registry(
        load('[identity]\nblocked = ["N/A"]\nblocked_patterns = { "*" = ["[0-]+"], email = [".*@test[.]example"] }')
    )
    assert id_of("cookie", "n/a", registry) is None
    assert id_of("cookie", "0-0", registry) is None
    assert id_of("cookie", "0-01", registry) is not None
    assert id_of("cookie", "“n/A”", registry) is None
    assert id_of("cookie", "null", registry) is None, "they are added to the default list"
    assert id_of("cookie", "'N/a'", Registry(load("[identity]\nblocked = ['\"n/a\"']"))) is None
    assert id_of("email", "Who@Test.Example", registry) is None
    assert id_of("cookie", "who@test.example", registry) is not None


def test_without_the_default_list_only_the_policy_counts() -> None:
    assert id_of("cookie", "null", AS_THEY_ARE) == "cookie:null"
    assert id_of("cookie", "0000", AS_THEY_ARE) == "cookie:0000"
    assert id_of("cookie", "", AS_THEY_ARE) is None


def test_without_normalisation_values_are_taken_as_they_are() -> None:
    assert id_of("email", " Jane@Example.com", AS_THEY_ARE) == "email: Jane@Example.com"
    assert id_of("email_sha256", "AB", AS_THEY_ARE) == "email_sha256:AB"
    assert id_of("phone", "call me", AS_THEY_ARE) == "phone:call me"


def test_case_is_kept_unless_the_policy_folds_it() -> None:
    assert id_of("cookie", "AbC") == "cookie:AbC"
    assert id_of("cookie", "AbC", Registry(load('[identity]\nfold_case = ["cookie"]'))) == "cookie:abc"


def test_composed_and_decomposed_letters_are_one() -> None:
    assert id_of("loyalty", "u\u0308ber") == id_of("loyalty", "über")


def test_a_lone_surrogate_is_replaced_since_no_encoding_carries_it() -> None:
    assert id_of("cookie", "a\ud800") == "cookie:a\ufffd"
    assert id_of("cookie", "a\ud800", AS_THEY_ARE) == "cookie:a\ufffd"


@pytest.mark.parametrize(
    ("type", "value"), [("", "a"), ("a b", "a"), ("a:b", "a"), ("a" * 65, "a"), ("cookie", "a" * 513)]
)
def test_what_no_policy_allows_is_unusable(type: str, value: str) -> None:
    with pytest.raises(Unusable):
        REGISTRY.identify(type, value)


@pytest.mark.parametrize(
    ("type", "value", "becomes"),
    [
        ("cookie", "a\x00b\x1f\x7fc", "cookie:abc"),  # control characters
        ("cookie", "\u200fa\u202eb\u2066c\ufeff", "cookie:abc"),  # marks of direction, byte order mark
        ("cookie", "a\u200b\u00adb", "cookie:ab"),  # nothing to be seen: zero width space, soft hyphen
        ("cookie", "\u00a0\u3000ab\u2003", "cookie:ab"),  # spaces of any kind around it
        ("cookie", "a\ud800b", "cookie:a\ufffdb"),  # half a pair
        ("cookie", "\u0430bc", "cookie:\u0430bc"),  # a Cyrillic letter stays one
        ("cookie", "ﬁle", "cookie:ﬁle"),  # a ligature is no spelling of two letters
        ("loyalty", "é", "loyalty:é"),  # one composed letter
    ],
)
def test_every_odd_character_has_its_rule(type: str, value: str, becomes: str) -> None:
    assert id_of(type, value) == becomes


@pytest.mark.parametrize("mark", ["\u202e", "\u200f", "\u2066", "\u200d", "\x00", "\u00ad"])
def test_marks_hide_neither_an_address_nor_a_blocked_value(mark: str) -> None:
    assert id_of("email", f"ja{mark}ne@exam{mark}ple.com") == id_of("email", "jane@example.com")
    assert id_of("phone", f"{mark}+90 532{mark} 123 45 67") == id_of("phone", "+905321234567")
    assert id_of("cookie", f"nu{mark}ll") is None


def test_a_value_of_ten_megabytes_is_refused_without_a_look_at_it() -> None:
    with pytest.raises(Unusable, match="longer than 512 characters"):
        REGISTRY.identify("email", "a" * 10_000_000)


TYPES = st.sampled_from(["loyalty", "email", "phone", "cookie", "email_sha256"])


@given(TYPES, st.text(max_size=40))
def test_normalising_twice_is_normalising_once(type: str, value: str) -> None:
    once = REGISTRY.identify(type, value)
    if once.id is not None and once.plain is not None:
        assert REGISTRY.identify(type, once.plain) == once
    elif once.id is not None:
        assert REGISTRY.identify(type, once.id.partition(":")[2]).id == once.id


@given(TYPES, st.text(max_size=40))
def test_an_identifier_can_be_written_anywhere(type: str, value: str) -> None:
    found = REGISTRY.identify(type, value)
    if found.id is not None:
        assert found.id.encode() and "\n" not in found.id
        assert found.strength == (REGISTRY.rank(found.id), REGISTRY.type(found.id), found.id.partition(":")[2])


def test_ranks_follow_the_order_and_unlisted_types_come_last() -> None:
    assert [REGISTRY.rank(Id(f"{type}:x")) for type in ("loyalty", "checkout", "badge")] == [0, 6, 7]


def test_the_order_is_rank_then_keyed_hash() -> None:
    other = Registry(Policy(), secret=b"another secret")
    ids = [Id(f"cookie:{number}") for number in range(50)]
    assert sorted(ids, key=REGISTRY.order) != sorted(ids, key=other.order)
    assert all(REGISTRY.order(Id("loyalty:z")) < REGISTRY.order(id) for id in ids)
    assert REGISTRY.order(ids[0])[1:] == REGISTRY.key(ids[0]) and len(REGISTRY.key(ids[0])) == 16


def test_the_check_value_tells_secrets_apart() -> None:
    assert REGISTRY.key_check == Registry(Policy()).key_check
    assert REGISTRY.key_check != Registry(Policy(), secret=b"another secret").key_check
    assert Registry(Policy(), secret=b"long" * 100).key_check


def test_profile_ids_are_uuids_of_version_5_that_depend_on_the_secret() -> None:
    made = REGISTRY.profile_id(Id("loyalty:L-1"))
    assert uuid.UUID(made).version == 5 and uuid.UUID(made).variant == uuid.RFC_4122
    assert made == Registry(Policy()).profile_id(Id("loyalty:L-1"))
    assert made != Registry(Policy(), secret=b"another secret").profile_id(Id("loyalty:L-1"))


@given(st.binary(max_size=64))
def test_murmur2_is_that_of_kafka(data: bytes) -> None:
    assert murmur2(data) == kafka_murmur2(data) & 0xFFFFFFFF


def test_murmur2_has_the_vectors_of_the_java_client() -> None:
    vectors = {
        "21": -973932308,
        "foobar": -790332482,
        "a-little-bit-long-string": -985981536,
        "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    }
    for text, signed in vectors.items():
        assert murmur2(text.encode()) == signed & 0xFFFFFFFF


def test_home_is_the_partition_that_a_producer_with_murmur2_picks() -> None:
    registry = Registry(Policy(), shards=12)
    for number in range(100):
        id = Id(f"cookie:c-{number}")
        assert registry.home(id) == (kafka_murmur2(id.encode()) & 0x7FFFFFFF) % 12


def test_heavy_libraries_are_not_imported_before_they_are_needed() -> None:
    code = (
        "import sys; from pipeline.core.identifiers import Registry; from pipeline.core.policy import Policy;"
        "Registry(Policy()).identify('email', 'jane@example.com');"
        "assert not {'phonenumbers', 'idna', 'zoneinfo'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
