"""Security settings reach both clients or are refused: never silently less than what was asked for."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from pipeline.settings import Settings, SettingsError, load

SASL = {
    "SELVEDGE_KAFKA_SECURITY_PROTOCOL": "sasl_plaintext",
    "SELVEDGE_KAFKA_SASL_MECHANISM": "SCRAM-SHA-256",
    "SELVEDGE_KAFKA_SASL_USERNAME": "ada",
    "SELVEDGE_KAFKA_SASL_PASSWORD": "hunter2",
}


def refusal(environ: dict[str, str], config: Path | None = None) -> str:
    with pytest.raises(SettingsError) as caught:
        load(environ, config)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_without_security_settings_both_clients_speak_plain_text() -> None:
    settings = Settings(brokers="b:9092")
    assert settings.librdkafka() == {"bootstrap.servers": "b:9092"}
    assert settings.aiokafka() == {"bootstrap_servers": "b:9092", "security_protocol": "PLAINTEXT"}
    assert settings.faust_credentials() is None


def test_sasl_settings_reach_librdkafka_aiokafka_and_faust() -> None:
    settings = load(SASL)
    assert settings.librdkafka() == {
        "bootstrap.servers": "localhost:9092",
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "SCRAM-SHA-256",
        "sasl.username": "ada",
        "sasl.password": "hunter2",
    }
    assert settings.aiokafka() == {
        "bootstrap_servers": "localhost:9092",
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-256",
        "sasl_plain_username": "ada",
        "sasl_plain_password": "hunter2",
    }
    credentials = settings.faust_credentials()
    assert credentials is not None
    assert (credentials.protocol.value, credentials.mechanism.value) == ("SASL_PLAINTEXT", "SCRAM-SHA-256")  # type: ignore[attr-defined]


def test_secrets_are_in_no_repr() -> None:
    settings = load(SASL)
    assert "hunter2" not in repr(settings)
    assert "'sasl.password': '***'" in repr(settings)


def test_secrets_come_from_files_too(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("hunter2 \n")
    environ = {name: value for name, value in SASL.items() if not name.endswith("PASSWORD")}
    environ["SELVEDGE_KAFKA_SASL_PASSWORD_FILE"] = str(file)
    assert load(environ).librdkafka()["sasl.password"] == "hunter2 "
    assert "given twice" in refusal(environ | {"SELVEDGE_KAFKA_SASL_PASSWORD": "x"})
    file.unlink()
    assert refusal(environ).startswith("SELVEDGE_KAFKA_SASL_PASSWORD_FILE: cannot be read: No such file")


def test_the_file_names_secrets_but_does_not_hold_them(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("hunter2")
    config = tmp_path / "selvedge.toml"
    config.write_text(
        f'[kafka]\nsecurity.protocol = "SASL_PLAINTEXT"\n"sasl.username" = "ada"\nsasl.password.file = "{password}"\n'
    )
    assert load({}, config).librdkafka()["sasl.password"] == "hunter2"
    config.write_text('kafka.sasl.password = "hunter2"\n')
    message = refusal({}, config)
    assert "secrets do not belong in this file" in message
    assert "hunter2" not in message


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("SASL_MECHANISMS", "GSSAPI", "'GSSAPI' is not one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"),
        ("SECURITY_PROTOCOL", "TLS", "'TLS' is not one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"),
        ("SASL_USERNAME", "ada", "has no effect with security.protocol PLAINTEXT; set that to SASL_PLAINTEXT"),
        ("SSL_CA_LOCATION", "/", "has no effect with security.protocol PLAINTEXT; set that to SSL or SASL_SSL"),
        ("LINGER_MS", "5", "not supported; allowed: security.protocol, sasl.mechanism"),
        ("SASL_USER", "ada", "not supported; did you mean sasl.username?"),
    ],
)
def test_what_cannot_reach_both_clients_is_refused(name: str, value: str, reason: str) -> None:
    assert refusal({f"SELVEDGE_KAFKA_{name}": value}).removeprefix(f"SELVEDGE_KAFKA_{name}: ").startswith(reason)


def test_what_a_protocol_needs_is_asked_for() -> None:
    message = refusal({"SELVEDGE_KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "SELVEDGE_KAFKA_SASL_USERNAME": "ada"})
    assert message == "SELVEDGE_KAFKA_SASL_PASSWORD: is missing: needed by security.protocol SASL_SSL"


def test_the_password_of_a_key_that_is_not_given_is_refused() -> None:
    environ = {"SELVEDGE_KAFKA_SECURITY_PROTOCOL": "SSL", "SELVEDGE_KAFKA_SSL_KEY_PASSWORD": "hunter2"}
    message = refusal(environ)
    assert message.startswith("SELVEDGE_KAFKA_SSL_KEY_PASSWORD: has no effect without ssl.certificate.location")
    assert "hunter2" not in message


def test_tls_checks_certificate_and_host_name_unless_told_otherwise() -> None:
    context = load({"SELVEDGE_KAFKA_SECURITY_PROTOCOL": "SSL"}).aiokafka()["ssl_context"]
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    environ = {
        "SELVEDGE_KAFKA_SECURITY_PROTOCOL": "SSL",
        "SELVEDGE_KAFKA_SSL_ENDPOINT_IDENTIFICATION_ALGORITHM": "none",
    }
    context = load(environ).aiokafka()["ssl_context"]
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, False)


def test_a_certificate_file_that_is_not_there_is_named() -> None:
    environ = {"SELVEDGE_KAFKA_SECURITY_PROTOCOL": "SSL", "SELVEDGE_KAFKA_SSL_CA_LOCATION": "/nowhere/ca.pem"}
    assert refusal(environ) == "SELVEDGE_KAFKA_SSL_CA_LOCATION: there is no file /nowhere/ca.pem"


def test_security_survives_the_way_through_the_environment() -> None:
    settings = load(SASL)
    assert load(settings.environment()) == settings
