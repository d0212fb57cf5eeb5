"""What commands need of settings: themselves, the policy, the key, brokers and the state of a running system."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pipeline.cli.terminal import EXISTING, one_line, warn

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

    from pipeline.core.identifiers import Registry
    from pipeline.core.policy import Policy
    from pipeline.settings import Settings

T = TypeVar("T")


def with_settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds `--config` and hands the checked settings to the command as its first argument."""

    @click.option("--config", type=EXISTING, help="TOML file with settings; SELVEDGE_… variables win.")
    @wraps(command)
    def configured(config: Path | None, **arguments: Any) -> Any:
        from pipeline.settings import SettingsError, load

        with one_line(SettingsError):
            settings = load(os.environ, config)
        return command(settings, **arguments)

    return configured


def registry_of(settings: Settings, policy_path: Path | None, shards: int | None) -> Registry:
    from pipeline.core.identifiers import Registry

    return Registry(policy_of(policy_path or settings.policy_path), secret_of(settings), shards or settings.shards)


def secret_of(settings: Settings) -> bytes:
    from pipeline.core.identifiers import PUBLIC_KEY

    return settings.hash_key() or PUBLIC_KEY


def policy_of(file: Path | None) -> Policy:
    from pipeline.core.policy import Policy, PolicyError, load

    with one_line(PolicyError, UnicodeDecodeError):
        return load(file.read_text("utf-8")) if file else Policy()


def brokers_of(settings: Settings) -> AdminClient:
    from pipeline.kafka.connect import BrokerAbsent, connect

    with one_line(BrokerAbsent):
        return connect(settings, warn)


def by_state(settings: Settings, look: Callable[[Settings, Registry], T]) -> T:
    """What a look at the state topic of the running system gives."""
    from confluent_kafka import KafkaException

    from pipeline.core.state import StateError
    from pipeline.kafka.connect import BrokerAbsent, connect
    from pipeline.kafka.topics import TopicsWrong, check

    with one_line(BrokerAbsent, TopicsWrong, KafkaException, StateError):
        return look(settings, registry_of(settings, None, check(settings, connect(settings, warn))))
