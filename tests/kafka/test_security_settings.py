"""Security settings open the doors of a real broker, for librdkafka, aiokafka and Faust alike; wrong ones do not."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from confluent_kafka import Producer
from confluent_kafka.admin import (
    AdminClient,
    NewTopic,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

from pipeline.kafka.connect import BrokerAbsent, connect
from pipeline.settings import Settings, load
from tests.kafka import brokers
from tests.kafka.certificates import KEY_PASSWORD, Authority
from tests.kafka.eventually import eventually

USER, PASSWORD = "ada", 'pass "word" with spaces'
TOPIC = "secured"


@dataclass
class Secured:
    """A broker with a listener for each protocol; the one for SSL wants a client's certificate."""

    broker: brokers.Broker
    authority: Authority

    def environment(self, protocol: str, **options: str | Path) -> dict[str, str]:
        """A deployment's variables for that listener. options: librdkafka's names with underscores."""
        environ = {"SELVEDGE_BROKERS": self.broker.addresses[protocol], "SELVEDGE_KAFKA_SECURITY_PROTOCOL": protocol}
        if protocol.startswith("SASL"):
            options = {"sasl_mechanism": "PLAIN", "sasl_username": USER, "sasl_password": PASSWORD, **options}
        if protocol.endswith("SSL"):
            options = {"ssl_ca_location": self.authority.certificate, **options}
        return environ | {f"SELVEDGE_KAFKA_{name.upper()}": str(value) for name, value in options.items()}

    def client_certificate(self) -> dict[str, str | Path]:
        certificate, key = self.authority.issue("client", encrypted=True)
        return {
            "ssl_certificate_location": certificate,
            "ssl_key_location": key,
            "ssl_key_password": KEY_PASSWORD,
        }


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    authority = Authority(tmp_path_factory.mktemp("authority"))
    with brokers.start(("SSL", "SASL_PLAINTEXT", "SASL_SSL"), listener_settings(authority)) as broker:
        admin = AdminClient({"bootstrap.servers": broker.bootstrap})
        scram = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096)
        upsertion = UserScramCredentialUpsertion(USER, scram, PASSWORD.encode())
        admin.alter_user_scram_credentials([upsertion])[USER].result()
        admin.create_topics([NewTopic(TOPIC, 1, 1)])[TOPIC].result()
        eventually(lambda: TOPIC in admin.list_topics(timeout=10).topics)
        yield Secured(broker, authority)


def listener_settings(authority: Authority) -> dict[str, str]:
    certificate, key = authority.issue("broker")
    quoted = PASSWORD.replace('"', r"\"")
    plain = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{quoted}";'
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    return {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.certificate.chain": certificate.read_text(),
        "ssl.keystore.key": key.read_text(),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.certificates": authority.certificate.read_text(),
        "listener.name.ssl.ssl.client.auth": "required",
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256",
        "listener.name.sasl_plaintext.plain.sasl.jaas.config": plain,
        "listener.name.sasl_plaintext.scram-sha-256.sasl.jaas.config": scram,
        "listener.name.sasl_ssl.plain.sasl.jaas.config": plain,
        "listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config": scram,
    }


def goes_through(settings: Settings) -> bool:
    """A record written by librdkafka is read by aiokafka, set up by our settings and by Faust's credentials."""
    value = os.urandom(8)
    producer = Producer({**settings.librdkafka(), "message.timeout.ms": 10_000})
    producer.produce(TOPIC, value)
    assert producer.flush(15) == 0
    faust = credentials_to_aiokafka_auth(settings.faust_credentials())
    return all(value in asyncio.run(read(arguments, settings)) for arguments in (settings.aiokafka(), faust))


async def read(arguments: Mapping[str, Any], settings: Settings) -> list[bytes | None]:
    known = {"bootstrap_servers": settings.brokers, "auto_offset_reset": "earliest", "request_timeout_ms": 10_000}
    consumer = AIOKafkaConsumer(TOPIC, **{**known, **arguments})
    await consumer.start()
    try:
        fetched = await consumer.getmany(timeout_ms=10_000)
        return [record.value for records in fetched.values() for record in records]
    finally:
        await consumer.stop()


def refused_by_both(settings: Settings) -> str:
    """The line for the operator; neither client gets through."""
    with pytest.raises(KafkaError):
        asyncio.run(read(settings.aiokafka(), settings))
    told: list[str] = []
    with pytest.raises(BrokerAbsent) as caught:
        connect(settings, told.append, patience_s=3)
    assert len(told) == 1
    assert all("\n" not in line and PASSWORD not in line for line in [*told, str(caught.value)])
    return str(caught.value)


@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
def test_name_and_password_go_through(secured: Secured, protocol: str, mechanism: str) -> None:
    assert goes_through(load(secured.environment(protocol, sasl_mechanism=mechanism)))


def test_a_client_certificate_with_an_encrypted_key_goes_through(secured: Secured) -> None:
    assert goes_through(load(secured.environment("SSL", **secured.client_certificate())))


def test_a_wrong_password_is_refused_and_named_without_showing_it(secured: Secured) -> None:
    settings = load(secured.environment("SASL_PLAINTEXT", sasl_password="wrong"))
    assert "authentication" in refused_by_both(settings).lower()


def test_no_client_certificate_is_refused_where_one_is_wanted(secured: Secured) -> None:
    refused_by_both(load(secured.environment("SSL")))


def test_a_broker_of_an_unknown_authority_is_refused(secured: Secured, tmp_path: Path) -> None:
    other = Authority(tmp_path)
    message = refused_by_both(load(secured.environment("SASL_SSL", ssl_ca_location=other.certificate)))
    assert "certificate" in message


def test_a_broker_under_another_name_is_refused_unless_names_are_not_checked(secured: Secured) -> None:
    environ = secured.environment("SASL_SSL")
    environ["SELVEDGE_BROKERS"] = environ["SELVEDGE_BROKERS"].replace("127.0.0.1", "localhost")
    refused_by_both(load(environ))
    environ["SELVEDGE_KAFKA_SSL_ENDPOINT_IDENTIFICATION_ALGORITHM"] = "none"
    assert goes_through(load(environ))


def test_speaking_plain_text_to_a_secured_listener_is_refused(secured: Secured) -> None:
    refused_by_both(Settings(brokers=secured.broker.addresses["SASL_SSL"]))
