"""Commands that deploy, size, copy and supervise."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.configured import brokers_of, with_settings
from pipeline.cli.terminal import one_line

if TYPE_CHECKING:
    from pipeline.ops.steps import Step
    from pipeline.settings import Settings

TARGET = click.option("--target", type=click.Choice(["host", "compose", "kubernetes"]), help="Default: what is here.")
HOME = click.option("--home", type=click.Path(file_okay=False, path_type=Path), help="Directory of a host deployment.")
PLAN = click.option("--plan", is_flag=True, help="Tell what would be done, do nothing.")
OVERLAY = click.option("--overlay", default="strimzi", show_default=True, help="Of deploy/kubernetes/overlays.")


@click.command(short_help="Deploy: on this machine, Compose or Kubernetes.")
@with_settings
@TARGET
@PLAN
@click.option("--workers", type=click.IntRange(1), help="host: default a worker per processor, at most one per shard.")
@click.option("--restart", is_flag=True, help="host: restart the workers even if nothing differs.")
@HOME
@OVERLAY
def deploy(settings: Settings, target: str | None, plan: bool, overlay: str, **host: Any) -> None:
    """Deploy the pipeline: on this machine (host), with Docker Compose, or on Kubernetes.

    Deploying again changes nothing if nothing differs."""
    from pipeline.ops.steps import DeployFailed, perform
    from pipeline.ops.targets import compose, kubernetes

    target = _chosen(target)
    with one_line(DeployFailed):
        if target == "compose":
            steps = compose()
        elif target == "kubernetes":
            steps = kubernetes(overlay)
        else:
            steps = _deploy_here(settings, **host)
        perform(steps, click.echo, plan=plan)


@click.command()
@with_settings
@TARGET
@PLAN
@click.option("--delete-data", is_flag=True, help="Topics and volumes, too. There is no way back.")
@HOME
@OVERLAY
def undeploy(
    settings: Settings, target: str | None, plan: bool, delete_data: bool, home: Path | None, overlay: str
) -> None:
    """Take down what `deploy` made. Data stay unless told."""
    from pipeline.ops.host import Host, default_home
    from pipeline.ops.steps import DeployFailed, perform
    from pipeline.ops.targets import compose, kubernetes

    target = _chosen(target)
    with one_line(DeployFailed):
        if target == "compose":
            steps = compose(stop=True, delete_data=delete_data)
        elif target == "kubernetes":
            steps = kubernetes(overlay, stop=True, delete_data=delete_data)
        else:
            host = Host(settings, home or default_home(settings), lambda: brokers_of(settings))
            steps = host.undeploy(delete_data=delete_data)
        perform(steps, click.echo, plan=plan)


def _chosen(target: str | None) -> str:
    from pipeline.ops.targets import choose

    if target is None:
        target, reason = choose(os.environ)
        click.echo(f"target {target}: {reason}")
    return target


def _deploy_here(settings: Settings, workers: int | None, restart: bool, home: Path | None) -> list[Step]:
    from pipeline.kafka.topics import TopicsWrong
    from pipeline.ops.host import Host, default_home, wanted

    config = click.get_current_context().params.get("config")
    with one_line(TopicsWrong):
        host = Host(settings, home or default_home(settings), lambda: brokers_of(settings))
        return host.deploy(wanted(settings, workers, config), restart=restart)


@click.command(short_help="Workers, memory, disk and network needed.")
@click.option("--touchpoints-per-day", required=True, type=click.IntRange(1))
@click.option("--persons", required=True, type=click.IntRange(1))
@click.option("--retention", default="30d", show_default=True, help="For how long touchpoints are kept, in days.")
@click.option("--replication", default=3, show_default=True, type=click.IntRange(1))
def size(touchpoints_per_day: int, persons: int, retention: str, replication: int) -> None:
    """Say how many shards and workers, and how much memory, disk and network a deployment needs."""
    from pipeline.ops.size import Wanted, text

    days = retention.removesuffix("d")
    if not days.isdigit() or not int(days):
        raise click.BadParameter(f"{retention!r} is not a number of days like 30d", param_hint="--retention")
    for line in text(Wanted(touchpoints_per_day, persons, int(days), replication)):
        click.echo(line)


@click.command()
@with_settings
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
def backup(settings: Settings, directory: Path) -> None:
    """Copy everything on all topics to DIRECTORY. The workers must be stopped."""
    from pipeline.ops.backup import backup as copy

    _moved(copy, settings, directory)


@click.command(short_help="Bring a backup back into empty topics.")
@with_settings
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
def restore(settings: Settings, directory: Path) -> None:
    """Bring a backup in DIRECTORY back, into topics that are empty or not there yet."""
    from pipeline.ops.backup import restore as bring_back

    _moved(bring_back, settings, directory)


def _moved(move: Callable[..., object], settings: Settings, directory: Path) -> None:
    from confluent_kafka import KafkaException

    from pipeline.kafka.topics import TopicsWrong
    from pipeline.ops.backup import BackupFailed

    brokers_of(settings)
    with one_line(BackupFailed, TopicsWrong, KafkaException):
        move(settings, directory, click.echo)


@click.command(short_help="Keep the workers of a host deployment running.")
@click.option("--home", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
def supervise(home: Path) -> None:
    """Keep the workers of a host deployment running. SIGHUP restarts them one after the other, SIGTERM ends them."""
    from pipeline.ops.supervise import AlreadyRunning, Supervisor

    with one_line(AlreadyRunning, FileNotFoundError):
        Supervisor(home).run()
