"""`topics plan` and `apply`: what is wanted is made, what is right stays, what would break a deployment is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourceType

from pipeline.kafka import topics
from pipeline.kafka.topics import TABLE, TopicsWrong, apply, check, inspect, plan, table
from pipeline.settings import Settings
from tests.kafka.eventually import eventually


@pytest.fixture
def admin(settings: Settings) -> AdminClient:
    return AdminClient(settings.librdkafka())


def config(admin: AdminClient, topic: str) -> dict[str, str]:
    resource = ConfigResource(ResourceType.TOPIC, topic)
    return {name: entry.value for name, entry in admin.describe_configs([resource])[resource].result().items()}


def change(admin: AdminClient, topic: str, values: Mapping[str, str]) -> None:
    entries = [ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in values.items()]
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
    admin.incremental_alter_configs([resource])[resource].result()
    eventually(lambda: values.items() <= config(admin, topic).items())


def create(admin: AdminClient, topic: str, partitions: int) -> None:
    admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result()
    eventually(lambda: topic in admin.list_topics(timeout=10).topics)


def delete(admin: AdminClient, topic: str) -> None:
    admin.delete_topics([topic])[topic].result()
    eventually(lambda: topic not in admin.list_topics(timeout=10).topics)


def test_a_plan_for_nothing_there_names_every_topic_and_changes_nothing(settings: Settings) -> None:
    differences = plan(settings)
    assert [one.topic for one in differences] == [settings.topic(topic.name) for topic in TABLE]
    assert str(differences[0]) == f"{settings.prefix}.touchpoints: is missing; wanted: 4 partitions, 1 replicas, delete"
    assert plan(settings) == differences


def test_after_apply_there_is_no_difference_and_a_worker_may_start(settings: Settings) -> None:
    apply(settings)
    assert plan(settings) == []
    assert check(settings) == settings.shards
    assert apply(settings) == []


def test_topics_are_made_as_the_table_says(settings: Settings, admin: AdminClient) -> None:
    apply(settings)
    real = admin.list_topics(timeout=10).topics
    assert {topic.name: len(real[settings.topic(topic.name)].partitions) for topic in TABLE} == {
        topic.name: 1 if topic.name == "progress" else settings.shards for topic in TABLE
    }
    touchpoints, mail = config(admin, settings.topic("touchpoints")), config(admin, settings.topic("mail"))
    assert touchpoints["cleanup.policy"] == "delete"
    assert config(admin, settings.topic("state"))["cleanup.policy"] == "compact"
    assert {config(admin, settings.topic(topic.name))["message.timestamp.type"] for topic in TABLE} == {"LogAppendTime"}
    assert int(mail["max.message.bytes"]) - int(touchpoints["max.message.bytes"]) == topics.ENVELOPE_BYTES_MAX
    assert int(mail["retention.ms"]) >= int(touchpoints["retention.ms"])


def test_what_is_held_is_restored_and_what_is_the_operators_stays(settings: Settings, admin: AdminClient) -> None:
    apply(settings)
    state, triggers = settings.topic("state"), settings.topic("triggers")
    change(admin, state, {"cleanup.policy": "delete"})
    change(admin, triggers, {"retention.ms": "1000000"})
    assert [str(one) for one in plan(settings)] == [f"{state}: cleanup.policy is delete, wanted compact"]
    apply(settings)
    assert plan(settings) == []
    assert config(admin, state)["cleanup.policy"] == "compact"
    assert config(admin, triggers)["retention.ms"] == "1000000"


def test_drift_of_compaction_is_shown_and_restored_and_what_was_chosen_is_told(
    settings: Settings, admin: AdminClient
) -> None:
    apply(settings)
    profiles, state, triggers = (settings.topic(name) for name in ("profiles", "state", "triggers"))
    change(admin, profiles, {"min.compaction.lag.ms": "0", "max.compaction.lag.ms": "9999999999"})
    change(admin, state, {"max.compaction.lag.ms": "3600000", "min.insync.replicas": "1"})
    change(admin, triggers, {"retention.ms": "1000000"})
    assert {str(one) for one in plan(settings)} == {
        f"{profiles}: min.compaction.lag.ms is 0, wanted 60000",
        f"{profiles}: max.compaction.lag.ms is 9999999999, wanted 604800000",
    }
    told = f"{triggers}: retention.ms is 1000000, topics are made with 2592000000; left as it is"
    assert topics.chosen(settings, admin) == [told]
    apply(settings)
    assert plan(settings) == [] and topics.chosen(settings, admin) == [told]


@pytest.mark.parametrize("retention_ms", ["7776000000", "-1"])
def test_mail_is_kept_as_long_as_touchpoints_whatever_the_operator_chose(
    settings: Settings, admin: AdminClient, retention_ms: str
) -> None:
    apply(settings)
    change(admin, settings.topic("touchpoints"), {"retention.ms": retention_ms})
    assert [(one.topic, one.what) for one in plan(settings)] == [(settings.topic("mail"), "retention.ms")]
    apply(settings)
    assert config(admin, settings.topic("mail"))["retention.ms"] == retention_ms
    assert plan(settings) == []


def test_larger_touchpoints_make_larger_derived_records(settings: Settings, admin: AdminClient) -> None:
    apply(settings)
    change(admin, settings.topic("touchpoints"), {"max.message.bytes": "2000000"})
    apply(settings)
    assert config(admin, settings.topic("touchpoints"))["max.message.bytes"] == "2000000"
    assert config(admin, settings.topic("dead-letters"))["max.message.bytes"] == "2065536"
    assert plan(settings) == []


@pytest.mark.parametrize("name", ["touchpoints", "mail", "state"])
def test_the_number_of_shards_is_never_changed(settings: Settings, admin: AdminClient, name: str) -> None:
    create(admin, settings.topic(name), 2)
    with pytest.raises(TopicsWrong, match=rf"{name}: partitions is 2, wanted 4; never changed: set SELVEDGE_SHARDS=2"):
        apply(settings)
    assert [topic for topic in admin.list_topics(timeout=10).topics if topic.startswith(settings.prefix)] == [
        settings.topic(name)
    ]


def test_output_topics_may_have_other_numbers_of_partitions(settings: Settings, admin: AdminClient) -> None:
    create(admin, settings.topic("profiles"), 7)
    apply(settings)
    assert plan(settings) == []
    assert check(settings) == settings.shards


def test_a_worker_is_told_which_topics_are_missing_and_the_command_that_makes_them(
    settings: Settings, admin: AdminClient
) -> None:
    apply(settings)
    delete(admin, settings.topic("mail"))
    with pytest.raises(TopicsWrong) as caught:
        check(settings)
    assert str(caught.value) == f"missing topics: {settings.topic('mail')}; make them with: selvedge topics apply"


def test_a_worker_is_told_which_topic_does_not_fit_the_others(settings: Settings, admin: AdminClient) -> None:
    create(admin, settings.topic("mail"), 3)
    for topic in TABLE:
        if topic.name != "mail":
            create(admin, settings.topic(topic.name), 4)
    with pytest.raises(TopicsWrong, match=rf"{settings.prefix}.mail has 3, .*{settings.prefix}.state has 4"):
        check(settings)


def test_more_replicas_than_brokers_are_refused_with_the_setting_to_change(settings: Settings) -> None:
    with pytest.raises(TopicsWrong, match=r"3 replicas need as many brokers, the cluster has 1: set SELVEDGE_REPLI"):
        apply(dataclasses.replace(settings, replication=3))


def test_another_number_of_replicas_is_shown_but_left_to_the_operator(settings: Settings) -> None:
    apply(settings)
    differences = [one for one in plan(dataclasses.replace(settings, replication=2)) if one.what == "replication"]
    assert len(differences) == len(TABLE)
    assert all("kafka-reassign-partitions" in str(one) for one in differences)


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        (
            "state",
            {"cleanup.policy": "delete"},
            "state: cleanup.policy is delete, wanted compact: records would be lost",
        ),
        ("state", {"cleanup.policy": "compact,delete"}, "cleanup.policy is compact,delete, wanted compact"),
        ("touchpoints", {"cleanup.policy": "compact"}, "touchpoints: cleanup.policy is compact, wanted delete"),
        ("mail", {"cleanup.policy": "compact"}, "mail: cleanup.policy is compact, wanted delete"),
        ("profiles", {"min.insync.replicas": "2"}, "profiles: min.insync.replicas is 2, wanted 1: records would be"),
    ],
)
def test_a_worker_refuses_topics_made_by_hand_in_which_records_would_be_lost(
    settings: Settings, admin: AdminClient, name: str, values: dict[str, str], said: str
) -> None:
    apply(settings)
    change(admin, settings.topic(name), values)
    with pytest.raises(TopicsWrong) as caught:
        inspect(settings, admin)
    assert said in str(caught.value) and "selvedge topics apply" in str(caught.value)
    assert [(one.topic, one.what) for one in plan(settings)] == [(settings.topic(name), *values)]
    apply(settings)
    assert inspect(settings, admin) == plan(settings) == []


def test_a_worker_tells_what_else_is_not_as_wanted_and_how_to_put_it_right(
    settings: Settings, admin: AdminClient
) -> None:
    apply(settings)
    change(admin, settings.topic("touchpoints"), {"max.message.bytes": "2000000"})
    change(admin, settings.topic("profiles"), {"cleanup.policy": "delete"})
    change(admin, settings.topic("triggers"), {"message.timestamp.type": "CreateTime", "min.compaction.lag.ms": "5"})
    told = inspect(dataclasses.replace(settings, shards=99, replication=3), admin)
    assert f"{settings.topic('profiles')}: cleanup.policy is delete, wanted compact; {APPLIED}" in told
    assert (
        f"{settings.topic('triggers')}: message.timestamp.type is CreateTime, wanted LogAppendTime; {APPLIED}" in told
    )
    assert {line.partition(":")[0] for line in told if "max.message.bytes is" in line} == {
        settings.topic(topic.name) for topic in TABLE if topic.name != "touchpoints"
    }


APPLIED = "put it right with: selvedge topics apply"


def test_the_reduced_topics_of_the_policy_are_wanted_too(tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('[publish.reduced]\nanalytics = ["commerce"]\n')
    (more,) = [topic for topic in table(Settings(policy_path=policy)) if topic not in TABLE]
    profiles = next(topic for topic in TABLE if topic.name == "profiles")
    assert (more.name, more.held, more.first) == ("profiles.analytics", profiles.held, profiles.first)
    policy.write_text("[publish.reduced]\nanalytics = ['nosuch']\n")
    with pytest.raises(TopicsWrong, match=r"line 2, publish\.reduced\.analytics"):
        table(Settings(policy_path=policy))
