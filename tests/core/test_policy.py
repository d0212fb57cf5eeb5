"""A policy has every key, says no to what it does not understand, and survives being written and read."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core import policy as policies
from pipeline.core.policy import Policy, PolicyError, dump, load
from pipeline.core.times import DAY, HOUR, MINUTE

DEFAULTS = Path(__file__).parents[2] / "deploy" / "policy.toml"


def refused(text: str) -> PolicyError:
    with pytest.raises(PolicyError) as caught:
        load(text)
    return caught.value


def test_the_defaults_in_the_project_are_the_defaults_of_the_code() -> None:
    text = DEFAULTS.read_text(encoding="utf-8")
    assert load(text) == Policy() == load("")
    written = tomllib.loads(text)
    for section in Policy.__struct_fields__:
        keys = set(getattr(Policy(), section).__struct_fields__) - {"reduced"}
        assert set(written[section]) == keys


def test_a_policy_that_is_written_out_is_read_as_itself() -> None:
    text = """
    [identity]
    order = ["loyalty", "email", "ios.id"]
    hub_degree = 7
    blocked = ["n/a", "line\\nfeed", 'quote"']
    blocked_patterns = { "*" = ["[0-]+"], email = ['.*@test\\.example'] }
    forbidden = [[["email", "a@x.com"], ["email", "b@x.com"]]]
    [profile]
    source_priority = { "server/crm" = 10, "web/ümlaut" = -1 }
    [profile.segments]
    big_spender = "commerce.ltv >= 1000"
    [retention]
    known = "30d"
    [triggers]
    threshold = { EUR = "10", TRY = 350.5 }
    steps = ["0m", "24h", "72h"]
    quiet_hours = "21:00-08:00"
    send_window = "sat,sun 10:00-18:00"
    [publish.reduced]
    analytics = ["commerce", "segments"]
    """
    policy = load(text)
    assert load(dump(policy)) == policy
    assert load(dump(policy)).digest == policy.digest


def test_durations_are_microseconds_and_shares_are_exact() -> None:
    policy = load('[triggers]\ncart_delay = "90m"\nprice_drop = 0.10\nthreshold = { EUR = "10.50" }')
    assert policy.triggers.cart_delay == 90 * MINUTE
    assert policy.triggers.price_drop == Decimal("0.10")
    assert policy.triggers.threshold == {"EUR": Decimal("10.50")}
    assert Policy().identity.clamp_past == 400 * DAY
    assert Policy().retention.known is None


def test_hub_degree_may_be_a_number_for_all_types_or_a_table_with_a_default() -> None:
    assert load("[identity]\nhub_degree = 3").identity.degree_of("cookie") == 3
    by_type = load("[identity]\nhub_degree = { cookie = 3 }").identity
    assert (by_type.degree_of("cookie"), by_type.degree_of("device")) == (3, 50)


def test_a_table_replaces_the_default_table_whole() -> None:
    assert load("[identity]\nlimits = { email = 2 }").identity.limits == {"email": 2}


def test_defaults_are_trimmed_to_the_order() -> None:
    identity = load('[identity]\norder = ["loyalty", "email"]').identity
    assert identity.unique == ("loyalty",)
    assert identity.limits == {"email": 5}


def test_a_type_that_is_made_unique_loses_its_default_limit() -> None:
    assert "email" not in load('[identity]\nunique = ["email"]').identity.limits


@pytest.mark.parametrize(
    ("text", "key", "line"),
    [
        ("[identity]\n\nperson_maxx = 1", "identity.person_maxx", 3),
        ("[identty]\norder = []", "identty", 1),
        ("identity.person_max = 0", "identity.person_max", 1),
        ('[identity]\norder = [\n  "a",\n  "a",\n]', "identity.order", 2),
        ("# why\n[identity]\norder = []", "identity.order", 3),
        ('[identity]\nunique = ["badge"]', "identity.unique.badge", 2),
        ("[identity.limits]\nemail = 1\nbadge = 2", "identity.limits.badge", 3),
        ("[identity]\nlimits = { loyalty = 3 }", "identity.limits.loyalty", 2),
        ('[identity]\nblocked_patterns = { "*" = ["("] }', "identity.blocked_patterns.*", 2),
        ('[identity]\norder = ["email_sha256"]', "identity.order", 2),
        ('[identity]\nforbidden = [[["email", "a"], ["email", "a"]]]', "identity.forbidden", 2),
        ('[identity]\nforbidden = [[["email", "A@x.com"], ["email", "a@x.com"]]]', "identity.forbidden", 2),
        ('[identity]\nforbidden = [[["email", "null"], ["email", "a@x.com"]]]', "identity.forbidden", 2),
        ('[identity]\nunique = ["email"]\n\nlimits = { phone = 2, email = 5 }', "identity.limits.email", 4),
        ('[identity]\ndefault_region = "XX"', "identity.default_region", 2),
        ("[identity]\nnormalise = 1", "identity.normalise", 2),
        ("[bounds]\ndocument_bytes = 1", "bounds.document_bytes", 2),
        ("[identity]\nperson_max = true", "identity.person_max", 2),
        ('[profile]\ntimezone = "Mars/Olympus"', "profile.timezone", 2),
        ('[profile]\ntimezone = "../etc/passwd"', "profile.timezone", 2),
        ('[profile]\ncurrency = "euro"', "profile.currency", 2),
        ("[profile]\nposition_weights = [0.5, 0.2, 0.5]", "profile.position_weights", 2),
        ("[profile.rfm]\nfrequency = [1, 2, 4, 8]", "profile.rfm", 1),
        ('[triggers]\ncart_delay = "30s"', "triggers.cart_delay", 2),
        ('[triggers]\ncart_delay = "60"', "triggers.cart_delay", 2),
        ('[triggers]\ncart_delay = "999999d"', "triggers.cart_delay", 2),
        ('[triggers]\ncart_delay = "31d"', "triggers.cart_delay", 2),
        ('[triggers]\nsteps = ["24h", "0m"]', "triggers.steps", 2),
        ('[triggers]\nmax_hold = "1m"', "triggers.max_hold", 2),
        ('[triggers]\nmax_age = "16m"', "triggers.max_age", 2),
        ('[triggers]\nwishlist_delay = "30d"', "triggers.wishlist_delay", 2),
        ('[triggers]\nbrowse_delay = "720h"', "triggers.browse_delay", 2),
        ('[triggers]\nepisode_expiry = "6d"', "triggers.episode_expiry", 2),
        ('[triggers]\nexclude_segments = ["staff"]', "triggers.exclude_segments", 2),
        ("[triggers]\ncap_7d = 1\ncap_24h = 2", "triggers.cap_7d", 2),
        ('[triggers]\nenabled = ["carts"]', "triggers.enabled", 2),
        ('[triggers]\nquiet_hours = "21-08"', "triggers.quiet_hours", 2),
        ('[triggers]\nsend_window = "so 10:00-18:00"', "triggers.send_window", 2),
        ("[triggers]\nthreshold = { EUR = -1 }", "triggers.threshold.EUR", 2),
        ('[publish]\nidentifiers = { email = "plain" }', "publish.identifiers.email", 2),
        ('[publish.reduced]\nanalytics = ["comerce"]', "publish.reduced.analytics", 2),
        ("[dead_letters]\nmax_share = 1.5", "dead_letters.max_share", 2),
        ("[bounds]\ncarts = 0", "bounds.carts", 2),
    ],
)
def test_what_is_wrong_is_named_with_its_key_its_line_and_what_is_allowed(text: str, key: str, line: int) -> None:
    error = refused(text)
    assert (error.key, error.line) == (key, line)
    assert error.allowed
    assert key in str(error) and f"line {line}" in str(error)


def test_an_unknown_key_names_the_keys_there_are() -> None:
    assert "person_max" in (refused("[identity]\nperson_maxx = 1").allowed or "")


def test_what_is_no_toml_says_where() -> None:
    error = refused("[identity]\norder = [")
    assert error.key is None
    assert "TOML" in str(error)


@given(st.text(max_size=60))
def test_any_text_is_a_policy_or_a_policy_error(text: str) -> None:
    try:
        assert load(text).digest
    except PolicyError as error:
        assert str(error).startswith("policy")


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=4) | st.sampled_from(["1m", "email", "EUR"]),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)
_KEYS = [(section, key) for section in Policy.__struct_fields__ for key in getattr(Policy(), section).__struct_fields__]


@settings(max_examples=300)
@given(st.sampled_from(_KEYS), _VALUES)
def test_any_value_of_any_key_is_accepted_or_named(where: tuple[str, str], value: object) -> None:
    section, key = where
    text = f"[{section}]\n{key} = {_toml(value)}\n"
    try:
        policy = load(text)
    except PolicyError as error:
        assert error.key is None or error.key.startswith(f"{section}.")
    else:
        assert load(dump(policy)) == policy


def _toml(value: object) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(letter):08x}" for letter in value if not 0xD800 <= ord(letter) < 0xE000) + '"'
    return '""' if value is None else str(value)


def test_what_a_policy_folds_by_moves_with_fold_keys_and_with_nothing_else() -> None:
    base = Policy()
    for text in (
        '[identity]\nclamp_past = "10d"',
        '[profile]\ntimezone = "UTC"',
        "[identity]\nnormalise = false",
        '[identity]\nblocked = ["n/a"]',
        "[identity]\nblocked_defaults = false",
        '[identity]\nblocked_patterns = { "*" = ["x+"] }',
    ):
        section, key, _ = text.replace("[", "").replace("]\n", " = ").split(" = ", 2)
        moved = {name for name, value in load(text).fold_values.items() if value != base.fold_values[name]}
        assert moved == {f"{section}.{key}"}
    for text in ("[identity]\nperson_max = 5", '[triggers]\ncart_delay = "5m"'):
        assert load(text).fold_values == base.fold_values
        assert load(text).digest != base.digest


def test_the_documented_policy_marks_the_keys_that_need_a_rebuild_and_no_others() -> None:
    section, marked, again = "", [], []
    for line in DEFAULTS.read_text(encoding="utf-8").splitlines():
        section = line.strip("[]").partition("]")[0] if line.startswith("[") else section
        if " = " in line and ("# [fold]" in line or "# [again]" in line):
            marked.append((section, line.partition(" = ")[0]))
        if " = " in line and "# [again]" in line:
            again.append(f"{section}.{line.partition(' = ')[0]}")
    assert sorted(marked) == sorted(policies.FOLD_KEYS)
    assert sorted(again) == sorted(policies.READ_KEYS)


def test_a_window_of_the_week_is_days_and_minutes() -> None:
    triggers = load('[triggers]\nquiet_hours = "21:00-08:00"\nsend_window = "sat,sun 10:00-24:00"').triggers
    assert triggers.quiet_hours is not None and triggers.send_window is not None
    assert (triggers.quiet_hours.start, triggers.quiet_hours.end) == (21 * 60, 8 * 60)
    assert triggers.send_window.days == (5, 6) and triggers.send_window.end == 24 * 60
    assert HOUR == 60 * MINUTE
