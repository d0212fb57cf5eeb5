"""Settings are checked at start: what is unknown or wrong is named in one line, secrets are never shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.settings import OPTIONS, VISIBLE, Settings, SettingsError, load


def refusal(environ: dict[str, str], config: Path | None = None) -> str:
    with pytest.raises(SettingsError) as caught:
        load(environ, config)
    message = str(caught.value)
    assert "\n" not in message
    return message


def toml(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "selvedge.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_nothing_given_gives_the_defaults() -> None:
    assert load({"PATH": "/bin"}) == Settings()


def test_the_documented_variables_are_read(tmp_path: Path) -> None:
    policy, key = tmp_path / "policy.toml", tmp_path / "key"
    policy.write_text("")
    key.write_bytes(b"0123456789abcdef\n")
    settings = load(
        {
            "SELVEDGE_BROKERS": "a:9092, b:9093",
            "SELVEDGE_PREFIX": "shop",
            "SELVEDGE_POLICY": str(policy),
            "SELVEDGE_GROUP": "g",
            "SELVEDGE_EPOCH_MS": "100",
            "SELVEDGE_SESSION_TIMEOUT_MS": "6000",
            "SELVEDGE_TRANSACTION_TIMEOUT_MS": "15000",
            "SELVEDGE_SHARDS": "4",
            "SELVEDGE_REPLICATION": "1",
            "SELVEDGE_CLOCK": "record",
            "SELVEDGE_HASH_KEY_FILE": str(key),
            "SELVEDGE_SKIP": "touchpoints:3:12345,mail:0:7",
            "SELVEDGE_STATS_FILE": str(tmp_path / "stats"),
        }
    )
    assert settings == Settings(
        brokers="a:9092,b:9093",
        prefix="shop",
        policy_path=policy,
        group="g",
        epoch_ms=100,
        session_timeout_ms=6000,
        transaction_timeout_ms=15000,
        shards=4,
        replication=1,
        clock="record",
        hash_key_file=key,
        skip=frozenset({("touchpoints", 3, 12345), ("mail", 0, 7)}),
        stats_file=tmp_path / "stats",
    )
    assert settings.hash_key() == b"0123456789abcdef"
    assert settings.topic("profile-changes") == "shop.profile-changes"


def test_the_group_is_the_prefix_unless_it_is_given() -> None:
    assert load({"SELVEDGE_PREFIX": "shop"}).group == "shop"


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    config = toml(tmp_path, 'shards = 4\nprefix = "file"\n')
    settings = load({"SELVEDGE_PREFIX": "env"}, config)
    assert (settings.shards, settings.prefix) == (4, "env")


def test_an_empty_variable_counts_as_not_set() -> None:
    assert load({"SELVEDGE_GROUP": "", "SELVEDGE_SKIP": " "}) == Settings()


@pytest.mark.parametrize(
    "environ",
    [
        {"SELVEDGE_TEST_BROKERS": "x"},
        {"SELVEDGE_SERVICE_HOST": "10.0.0.1", "SELVEDGE_SERVICE_PORT": "80", "SELVEDGE_PORT": "tcp://10.0.0.1:80"},
        {"SELVEDGE_PORT_80_TCP_ADDR": "10.0.0.1", "SELVEDGE_KAFKA_PORT_9092_TCP": "tcp://10.0.0.1:9092"},
        {"SELVEDGE_KAFKA_SERVICE_HOST": "10.0.0.1", "SELVEDGE_WORKER_SERVICE_PORT_HTTP": "80"},
    ],
)
def test_variables_of_the_tests_and_of_kubernetes_services_are_passed_over(environ: dict[str, str]) -> None:
    assert load(environ) == Settings()


def test_an_unknown_variable_names_itself_the_closest_and_what_is_allowed() -> None:
    message = refusal({"SELVEDGE_BROKER": "a:1"})
    assert message.startswith("SELVEDGE_BROKER: unknown setting; did you mean SELVEDGE_BROKERS?")
    assert all(f"SELVEDGE_{name.upper()}" in message for name in VISIBLE)
    assert "EMBEDDED" not in message


def test_an_unknown_key_of_the_file_names_the_file_itself_and_what_is_allowed(tmp_path: Path) -> None:
    config = toml(tmp_path, "epoch = 3\n")
    assert refusal({}, config).startswith(f"{config}: epoch: unknown setting; did you mean epoch_ms? allowed: brokers,")


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("BROKERS", "localhost", "'localhost' is not host:port"),
        ("BROKERS", "a:9092,b:x", "'b:x' is not host:port"),
        ("PREFIX", "my shop", "'my shop' has characters that a topic cannot have"),
        ("PREFIX", "x" * 240, "longer than 233 characters"),
        ("POLICY", "/nowhere/policy.toml", "there is no file /nowhere/policy.toml"),
        ("EPOCH_MS", "fast", "'fast' is not a whole number"),
        ("EPOCH_MS", "0", "0 is not between 10 and 60000"),
        ("EPOCH_MS", "1.5", "'1.5' is not a whole number"),
        ("EPOCH_MS", "30000", "an epoch must end before SELVEDGE_TRANSACTION_TIMEOUT_MS"),
        ("SHARDS", "-1", "-1 is not between 1 and 4096"),
        ("CLOCK", "sun", "'sun' is not one of wall, record"),
        ("HASH_KEY_FILE", "/nowhere/key", "there is no file /nowhere/key"),
        ("SKIP", "touchpoints:3", "'touchpoints:3' is not topic:partition:offset"),
        ("SKIP", "profiles:3:4", "'profiles:3:4' is not topic:partition:offset"),
        ("STATS_FILE", "/nowhere/stats", "there is no directory /nowhere"),
    ],
)
def test_a_wrong_value_names_the_setting_and_the_reason(variable: str, value: str, reason: str) -> None:
    assert refusal({f"SELVEDGE_{variable}": value}).startswith(f"SELVEDGE_{variable}: {reason}")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("shards = true", "shards: True is not a whole number"),
        ("prefix = 3", "prefix: 3 is not a text"),
        ("skip = 3", "skip: 3 is neither a text nor a list of texts"),
        ("shards = ", "is not TOML"),
    ],
)
def test_a_wrong_value_in_the_file_names_the_file(tmp_path: Path, text: str, reason: str) -> None:
    config = toml(tmp_path, text)
    assert refusal({}, config).startswith(f"{config}: {reason}")


def test_a_file_that_is_not_there_is_named() -> None:
    assert refusal({}, Path("/nowhere/x.toml")) == "/nowhere/x.toml: cannot be read: No such file or directory"


def test_a_hash_key_that_can_be_guessed_is_refused(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("secret\n")
    assert "holds less than 16 bytes" in refusal({"SELVEDGE_HASH_KEY_FILE": str(key)})


def test_settings_that_cannot_be_are_not_built_by_the_constructor_either() -> None:
    with pytest.raises(SettingsError, match="SELVEDGE_SHARDS: 0 is not between 1 and 4096"):
        Settings(shards=0)


@given(
    shards=st.integers(1, 4096),
    prefix=st.from_regex(r"[a-z][a-z0-9._-]{0,20}", fullmatch=True),
    skip=st.frozensets(st.tuples(st.sampled_from(["touchpoints", "mail"]), st.integers(0, 99), st.integers(0))),
    embedded=st.booleans(),
    epoch_ms=st.integers(10, 29_999),
)
def test_settings_survive_the_way_through_the_environment(**values: object) -> None:
    settings = Settings(**values)  # type: ignore[arg-type]
    assert load(settings.environment()) == settings


def test_every_option_says_what_it_is_for() -> None:
    assert all(option.help for option in OPTIONS.values())
