"""Roles on a broker that asks for TLS, SCRAM and rights: each can do what it must, and nothing else."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from pipeline.kafka import acls, topics
from pipeline.kafka.acls import AclsWrong, Right
from pipeline.kafka.connect import BrokerAbsent, connect
from pipeline.kafka.topics import TABLE, TopicsWrong
from pipeline.settings import Settings, load
from tests.kafka import brokers
from tests.kafka.certificates import Authority
from tests.kafka.eventually import eventually

PREFIX = "acl"
ROOT = Path(__file__).resolve().parents[2]
TOPICS = [topic.name for topic in TABLE]
GROUPS = [PREFIX, f"{PREFIX}.profiles.crm", f"{PREFIX}.triggers.mail", "somebody-else"]
TRANSACTIONS = [f"{PREFIX}-worker-1", "somebody-else"]
DENIED = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
}
OUTPUTS = ("profiles", "identities", "profile-changes", "triggers", "products", "dead-letters", "access-reports")
INTERNAL = ("mail", "state", "progress")
MAY = {
    "producer": {"write touchpoints"},
    "worker": {
        *(f"read {topic}" for topic in ("touchpoints", *INTERNAL)),
        *(f"write {topic}" for topic in (*OUTPUTS, *INTERNAL)),
        f"join {PREFIX}",
        f"begin {PREFIX}-worker-1",
    },
    "consumer-profiles": {"read profiles", f"join {PREFIX}.profiles.crm"},
    "consumer-triggers": {"read triggers", f"join {PREFIX}.triggers.mail"},
    "operator": {*(f"read {topic}" for topic in TOPICS), "create ours", "set ours", "see rights"},
}
"""Written down here once more, so that a right too many shows."""


@dataclass
class Cluster:
    """A broker with SASL_SSL, whose plain listener is a super user's."""

    broker: brokers.Broker
    authority: Authority

    def settings(self, role: str, prefix: str = PREFIX, **options: str | Path) -> Settings:
        """What somebody of that role connects with. options: librdkafka's names with underscores."""
        given = {
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_username": f"{PREFIX}-{role}",
            "sasl_password": password(role),
            "ssl_ca_location": self.authority.certificate,
        }
        environ = {f"SELVEDGE_KAFKA_{name.upper()}": str(value) for name, value in (given | options).items()}
        place = {"SELVEDGE_BROKERS": self.broker.addresses["SASL_SSL"], "SELVEDGE_PREFIX": prefix}
        numbers = {"SELVEDGE_SHARDS": "2", "SELVEDGE_REPLICATION": "1", "SELVEDGE_SESSION_TIMEOUT_MS": "6000"}
        return load(environ | place | numbers)

    def super_user(self, prefix: str = PREFIX) -> Settings:
        return Settings(brokers=self.broker.bootstrap, prefix=prefix, shards=2, replication=1)

    def grant(self, prefix: str) -> None:
        """Topics of that prefix, and the roles' rights on them, for the same users."""
        settings = self.super_user(prefix)
        admin = AdminClient(settings.librdkafka())
        topics.apply(settings)
        acls.apply(settings, who(), admin, prune=False)
        eventually(lambda: not any(acls.plan(settings, who(), admin)))


def password(role: str) -> str:
    return f"password of {role}"


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    authority = Authority(tmp_path_factory.mktemp("authority"))
    certificate, key = authority.issue("broker")
    settings = {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.certificate.chain": certificate.read_text(),
        "ssl.keystore.key": key.read_text(),
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": (
            "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        ),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "false",
        "super.users": "User:ANONYMOUS",
    }
    with brokers.start(("SASL_SSL",), settings) as broker:
        cluster = Cluster(broker, authority)
        admin = AdminClient(cluster.super_user().librdkafka())
        scram = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        upsertions = [UserScramCredentialUpsertion(f"{PREFIX}-{role}", scram, password(role).encode()) for role in MAY]
        for answer in admin.alter_user_scram_credentials(upsertions).values():
            answer.result()
        cluster.grant(PREFIX)
        yield cluster


def who() -> dict[str, str]:
    return acls.principals(Settings(prefix=PREFIX))


class Attempts:
    """Tries one thing after the other as one role."""

    def __init__(self, settings: Settings, group: str) -> None:
        self._settings, self._group = settings, group
        self._client = {**settings.librdkafka(), "log_level": 0}
        self._producer = Producer({**self._client, "message.timeout.ms": 20_000})
        self._admin = AdminClient(self._client)

    def all(self) -> dict[str, Callable[[], None]]:
        """By what is attempted; each raises KafkaException if it is refused."""
        tries: dict[str, Callable[[], None]] = {}
        for topic in TOPICS:
            tries[f"write {topic}"] = lambda topic=topic: self.write(self._settings.topic(topic))  # type: ignore[misc]
            tries[f"read {topic}"] = lambda topic=topic: self.read(self._settings.topic(topic))  # type: ignore[misc]
        for group in GROUPS:
            tries[f"join {group}"] = lambda group=group: self.join(group)  # type: ignore[misc]
        for name in TRANSACTIONS:
            tries[f"begin {name}"] = lambda name=name: self.begin(name)  # type: ignore[misc]
        tries["create ours"] = lambda: self.create(f"{PREFIX}.new-{os.urandom(4).hex()}")
        tries["create another"] = lambda: self.create("another")
        tries["delete ours"] = lambda: self.finish(self._admin.delete_topics([f"{PREFIX}.progress"]))
        tries["set ours"] = lambda: self.set(f"{PREFIX}.progress")
        tries["set another"] = lambda: self.set("__consumer_offsets")
        tries["see rights"] = self.see_rights
        tries["grant rights"] = self.grant
        return tries

    def write(self, topic: str) -> None:
        errors: list[KafkaError | None] = []
        self._producer.produce(topic, b"", b"k", on_delivery=lambda error, _: errors.append(error))
        self._producer.flush(30)
        if errors[0] is not None:
            raise KafkaException(errors[0])

    def read(self, topic: str) -> None:
        """In a group that the role may use, if there is one: not joined, but asked for."""
        consumer = Consumer({**self._client, "group.id": self._group, "enable.partition.eof": True})
        try:
            hidden = consumer.list_topics(topic, timeout=30).topics[topic].error
            if hidden is not None:
                raise KafkaException(hidden)
            consumer.assign([TopicPartition(topic, 0, 0)])
            message = consumer.poll(30)
            assert message is not None
            error = message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                raise KafkaException(error)
        finally:
            consumer.close()

    def join(self, group: str) -> None:
        """What a member needs: it commits an offset of what it reads."""
        topic = {f"{PREFIX}.profiles.crm": "profiles", f"{PREFIX}.triggers.mail": "triggers"}.get(group, "touchpoints")
        offsets = ConsumerGroupTopicPartitions(group, [TopicPartition(self._settings.topic(topic), 0, 0)])
        for answer in self._admin.alter_consumer_group_offsets([offsets]).values():
            for partition in answer.result().topic_partitions:
                if partition.error is not None:
                    raise KafkaException(partition.error)

    def begin(self, transactional_id: str) -> None:
        producer = Producer({**self._client, "transactional.id": transactional_id})
        producer.init_transactions(30)

    def create(self, topic: str) -> None:
        self.finish(self._admin.create_topics([NewTopic(topic, 1, 1)]))

    def set(self, topic: str) -> None:
        entry = ConfigEntry("segment.bytes", "16777216", incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        self.finish(self._admin.incremental_alter_configs([resource]))

    def see_rights(self) -> None:
        try:
            acls.plan(self._settings, who(), self._admin)
        except AclsWrong as wrong:
            assert "use one of the brokers' super.users" in str(wrong)
            raise KafkaException(KafkaError(KafkaError.CLUSTER_AUTHORIZATION_FAILED)) from None

    def grant(self) -> None:
        everything = AclBinding(
            ResourceType.TOPIC,
            "*",
            ResourcePatternType.LITERAL,
            "User:mallory",
            "*",
            AclOperation.ALL,
            AclPermissionType.ALLOW,
        )
        self.finish(self._admin.create_acls([everything]))

    def finish(self, answers: Any) -> None:
        for answer in answers.values():
            answer.result()


@pytest.mark.parametrize("role", MAY)
def test_a_role_can_do_what_it_must_and_nothing_else(secured: Cluster, role: str) -> None:
    could: set[str] = set()
    group = next((what.removeprefix("join ") for what in MAY[role] if what.startswith("join ")), PREFIX)
    for what, attempt in Attempts(secured.settings(role), group).all().items():
        try:
            attempt()
            could.add(what)
        except KafkaException as refused:
            assert refused.args[0].code() in DENIED, (what, refused)
    assert could == MAY[role]


def test_the_pipeline_runs_with_a_principal_for_each_role(secured: Cluster, tmp_path: Path) -> None:
    secured.grant("run")
    assert topics.plan(secured.settings("operator", "run")) == []
    worker = secured.settings("worker", "run")
    log = tmp_path / "worker.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline", "worker"], cwd=ROOT, env=environment(worker), stdout=out, stderr=out
        )
    try:
        for number in range(3):
            data = {"identifiers": [{"type": "customer", "value": f"C-{number}"}]}
            event = {
                "specversion": "1.0",
                "id": f"e-{number}",
                "source": "web/shop",
                "type": "page.viewed",
                "data": data,
            }
            selvedge(secured.settings("producer", "run"), "produce", "-", given=json.dumps(event))
        consumer = secured.settings("consumer-profiles", "run")
        shown = selvedge(consumer, "watch", "profiles", "--from-beginning", "--limit", "3")
        assert len(shown.splitlines()) == 3
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        print(log.read_text())


def test_a_worker_that_may_not_see_its_topics_says_so(secured: Cluster) -> None:
    with pytest.raises(TopicsWrong) as caught:
        topics.check(secured.settings("consumer-profiles"))
    assert "may not see" in str(caught.value) and "selvedge acls plan" in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("group", "denied", "the consumer group: GroupAuthorizationFailedError"),
        ("transactional_id", "denied-", "the brokers take no transactions (TRANSACTIONAL_ID_AUTHORIZATION_FAILED)"),
    ],
)
def test_a_worker_that_is_denied_a_right_ends_and_says_which(secured: Cluster, kind: str, name: str, said: str) -> None:
    secured.grant("denied")
    admin = AdminClient(secured.super_user("denied").librdkafka())
    user, prefixed = f"User:{PREFIX}-worker", kind == "transactional_id"
    lost = [Right(user, kind, name, prefixed, operation) for operation in ("READ", "WRITE", "DESCRIBE")]
    for answer in admin.delete_acls([acls._filter(right) for right in lost]).values():
        answer.result()
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "worker"],
        cwd=ROOT,
        env=environment(secured.settings("worker", "denied")),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 78 and said in done.stderr and "selvedge acls plan" in done.stderr
    assert "Traceback" not in done.stderr and password("worker") not in done.stderr


def test_who_may_not_see_or_make_topics_is_told(secured: Cluster) -> None:
    with pytest.raises(TopicsWrong, match=r"settings of topics cannot be seen: .*selvedge acls plan"):
        topics.plan(secured.settings("consumer-profiles"))
    assert topics.inspect(secured.settings("worker"), AdminClient(secured.settings("worker").librdkafka())) == []
    with pytest.raises(TopicsWrong, match=r"other\.touchpoints could not be made: .*selvedge acls plan"):
        topics.apply(secured.settings("operator", "other"))


def test_what_is_missing_or_surplus_is_shown_granted_and_taken_away(secured: Cluster) -> None:
    settings = secured.super_user()
    admin = AdminClient(settings.librdkafka())
    extra = Right("User:acl-producer", "topic", "acl.state", False, "READ")
    for answer in admin.create_acls([acls._binding(extra)]).values():
        answer.result()
    lost = Right("User:acl-worker", "topic", "acl.mail", False, "WRITE")
    for answer in admin.delete_acls([acls._filter(lost)]).values():
        answer.result()
    eventually(lambda: acls.plan(settings, who(), admin) == ([lost], [extra]))
    found = acls.apply(settings, who(), admin, prune=False)
    told = list(acls.described(found, pruned=False))
    assert told == [
        "missing: User:acl-worker may WRITE topic acl.mail",
        "surplus: User:acl-producer may READ topic acl.state; taken away with --prune",
    ]
    eventually(lambda: acls.plan(settings, who(), admin) == ([], [extra]))
    acls.apply(settings, who(), admin, prune=True)
    eventually(lambda: not any(acls.plan(settings, who(), admin)))


def test_brokers_without_an_authorizer_are_named(broker: str) -> None:
    with pytest.raises(AclsWrong, match="the brokers have no authorizer, so everybody may do everything"):
        acls.plan(Settings(brokers=broker), who(), AdminClient({"bootstrap.servers": broker}))


def test_unknown_roles_and_principals_are_named() -> None:
    with pytest.raises(AclsWrong, match="'boss' is no role; roles: producer, worker, consumer-profiles"):
        acls.principals(Settings(), {"boss": "User:x"})
    with pytest.raises(AclsWrong, match="worker: 'bob' is not User:name"):
        acls.principals(Settings(), {"worker": "bob"})
    assert acls.principals(Settings(), {"worker": "User:bob"})["worker"] == "User:bob"


def refused(settings: Settings) -> str:
    with pytest.raises(BrokerAbsent) as caught:
        connect(settings, lambda line: None, patience_s=4)
    return str(caught.value)


def test_plain_text_a_wrong_password_and_a_wrong_authority_are_refused_with_what_to_do(
    secured: Cluster, tmp_path: Path
) -> None:
    assert "SELVEDGE_KAFKA_SECURITY_PROTOCOL must be" in refused(Settings(brokers=secured.broker.addresses["SASL_SSL"]))
    message = refused(secured.settings("worker", sasl_password="another"))
    assert "check SELVEDGE_KAFKA_SASL_USERNAME" in message and "another" not in message
    other = Authority(tmp_path).certificate
    assert "must name the authority of these brokers" in refused(secured.settings("worker", ssl_ca_location=other))
    message = refused(secured.settings("worker", sasl_mechanism="SCRAM-SHA-256"))
    assert "must be one that the brokers have enabled" in message


def test_an_expired_certificate_is_refused_and_named(secured: Cluster) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*secured.authority.issue("expired", days="-1"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_greet, args=(listener, context), daemon=True).start()
        given = load({"SELVEDGE_BROKERS": f"127.0.0.1:{listener.getsockname()[1]}"})
        settings = secured.settings("worker")
        message = refused(Settings(brokers=given.brokers, security=settings.security))
    assert "certificate has expired; renew it" in message


def _greet(listener: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        try:
            plain, _ = listener.accept()
            context.wrap_socket(plain, server_side=True).close()
        except ssl.SSLError:
            continue
        except OSError:
            return


def environment(settings: Settings) -> dict[str, str]:
    shown = {name: value for name, value in os.environ.items() if not name.startswith("SELVEDGE_")}
    return {**shown, **settings.environment(), "SELVEDGE_HTTP": "off"}


def selvedge(settings: Settings, *words: str, given: str = "") -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", *words],
        cwd=ROOT,
        env=environment(settings),
        input=given,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
