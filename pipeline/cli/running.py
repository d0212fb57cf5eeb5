"""Commands of a running system: worker, topics, and what goes in and comes out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.configured import registry_of, with_settings
from pipeline.cli.terminal import DIFFERENT, EXISTING, counting, one_line, progress, size_of, tell, warn

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

    from pipeline.kafka.topics import Difference
    from pipeline.settings import Settings

OUTPUT_TOPICS = ("profiles", "identities", "profile-changes", "triggers", "products", "dead-letters")


@click.command()
@with_settings
def worker(settings: Settings) -> int:
    """Run one worker of the pipeline.

    Several workers share the shards. SIGTERM finishes the epoch and ends it with exit status 0; every other end is an
    error."""
    from pipeline.kafka.worker import run

    return run(settings)


@click.command(short_help="Make the state anew from all touchpoints.")
@with_settings
@click.option("--partial", is_flag=True, help="Do without what was deleted from the topic and is in no FILE.")
@click.argument("files", nargs=-1, type=EXISTING)
def rebuild(settings: Settings, partial: bool, files: tuple[Path, ...]) -> None:
    """Make the state anew from all touchpoints, and correct what was published; no worker may run.

    Needed where a key of the policy has changed that decides how touchpoints are folded. Reads the topic from its
    beginning; what was deleted there comes from an archive, FILE… (JSON lines or Parquet). Ids stay the same, revisions
    go on, nobody is sent anything."""
    from confluent_kafka import KafkaException

    from pipeline.core.state import StateError
    from pipeline.kafka.connect import BrokerAbsent, connect
    from pipeline.kafka.failstop import Stop
    from pipeline.kafka.rebuild import rebuild as run
    from pipeline.kafka.recovery import Lost
    from pipeline.kafka.topics import TopicsWrong, check
    from pipeline.replay import merged

    with one_line(BrokerAbsent, TopicsWrong, KafkaException, StateError, Stop, Lost):
        admin = connect(settings, warn)
        registry = registry_of(settings, None, check(settings, admin))
        archive = (record.results for record in merged(files, registry)) if files else None
        click.echo(run(settings, registry, admin, warn, archive, partial=partial))


@click.group()
def topics() -> None:
    """Compare and make the topics."""


@topics.command("plan")
@with_settings
def topics_plan(settings: Settings) -> int:
    """Show what `apply` would change; exit status 3 if that is anything."""
    from pipeline.kafka.topics import chosen, plan

    def looked_at(settings: Settings, admin: AdminClient) -> list[Difference]:
        found = plan(settings, admin)
        for line in chosen(settings, admin):
            click.echo(line)
        return found

    differences = _with_brokers(settings, looked_at)
    tell(differences, "the topics are as wanted")
    return DIFFERENT if differences else 0


@topics.command("apply")
@with_settings
def topics_apply(settings: Settings) -> int:
    """Make what is missing and restore the settings that keep data right; exit status 3 if something is left to do."""
    from pipeline.kafka.topics import apply

    differences = _with_brokers(settings, apply)
    tell(differences, "the topics were as wanted")
    return DIFFERENT if any(difference.remedy for difference in differences) else 0


def _with_brokers(settings: Settings, act: Callable[[Settings, AdminClient], list[Difference]]) -> list[Difference]:
    from pipeline.kafka.connect import BrokerAbsent, connect
    from pipeline.kafka.topics import TopicsWrong

    with one_line(BrokerAbsent, TopicsWrong):
        return act(settings, connect(settings, warn))


@click.command(short_help="Check touchpoints and send them to Kafka.")
@with_settings
@click.option("--recorded", is_flag=True, help="Keep the received times of the lines, as `replay` does.")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, allow_dash=True, path_type=Path))
def produce(settings: Settings, recorded: bool, files: tuple[Path, ...]) -> int:
    """Check the touchpoints in FILE… (JSON lines; -: standard input) and send them to Kafka.

    A line that a worker would reject is told and left out; exit status 1 if there was any."""
    from confluent_kafka import KafkaException

    from pipeline.dialects import Reader
    from pipeline.kafka.connect import BrokerAbsent
    from pipeline.kafka.produce import produce as send
    from pipeline.kafka.topics import TopicsWrong

    reader = Reader(registry_of(settings, None, None))
    with one_line(BrokerAbsent, TopicsWrong, KafkaException), progress(size_of(files), "produce") as advance:
        sent = send(settings, reader, files, warn, recorded=recorded, progress=advance)
    click.echo(sent)
    return 0 if sent.complete else 1


def _output_topic(context: click.Context, _: click.Parameter, topic: str) -> str:
    """One of the output topics, or a reduced one."""
    if topic not in OUTPUT_TOPICS and not topic.startswith("profiles."):
        raise click.BadParameter(f"{topic!r} is none of {', '.join(OUTPUT_TOPICS)}, profiles.NAME", context)
    return topic


@click.command()
@with_settings
@click.option("--from-beginning", is_flag=True, help="From the first record that is kept, not from now on.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a record, for programs.")
@click.option("--limit", type=click.IntRange(1), help="Stop after that many records.")
@click.option("--key", help="Only records with this key.")
@click.option("--profile", help="Only records about this profile id, as `identities` names it.")
@click.argument("topic", callback=_output_topic)
def watch(settings: Settings, topic: str, **how: Any) -> None:
    """Follow an output TOPIC, one readable line a record."""
    from confluent_kafka import KafkaException

    from pipeline.kafka.connect import BrokerAbsent
    from pipeline.kafka.topics import TopicsWrong
    from pipeline.kafka.watch import watch as follow

    with one_line(BrokerAbsent, TopicsWrong, KafkaException):
        follow(settings, topic, warn, **how)


@click.command(short_help="The output topics as typed Parquet files, for analysts.")
@with_settings
@click.option(
    "--input",
    "replayed",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Take what a replay wrote there, not the topics.",
)
@click.option("--format", "_", default="parquet", show_default=True, type=click.Choice(["parquet"]))
@click.option("--output", required=True, type=click.Path(file_okay=False, path_type=Path))
def export(settings: Settings, replayed: Path | None, _: str, output: Path) -> None:
    """Take over profiles, identities, products, profile-changes and triggers as Parquet into a directory.

    Run again, it goes on where it stopped. Compacted topics are kept by bucket, one row a key, so whoever was erased is
    gone after the next export; the others by day, every record."""
    from confluent_kafka import KafkaException

    from pipeline.export import from_replay, from_topics
    from pipeline.kafka.connect import BrokerAbsent, connect
    from pipeline.kafka.topics import TopicsWrong, check
    from pipeline.lake.tree import OtherSource

    with one_line(BrokerAbsent, TopicsWrong, KafkaException, OtherSource, ValueError), counting() as progress:
        if replayed is None:
            check(settings, connect(settings, warn))
            taken = from_topics(settings, output, progress)
        else:
            taken = from_replay(replayed, output, progress)
    for topic, count in taken.items():
        click.echo(f"{topic}: {count:,} records taken over")
