"""The command `selvedge`: one function per command, arguments in and text out; the work is done elsewhere.

What is heavy (Faust, librdkafka, pyarrow, rich, networkx) is imported where it is used, so that `--help` and `replay`
start at once. An error that the operator can mend is one line on standard error and exit status 1; wrong usage is 2.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

    from pipeline.core.explain.known import Known
    from pipeline.core.group import Group
    from pipeline.core.identifiers import Registry
    from pipeline.core.policy import Policy
    from pipeline.kafka.topics import Difference
    from pipeline.ops.steps import Step
    from pipeline.settings import Settings

T = TypeVar("T")

EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)
FILES = click.argument("files", nargs=-1, required=True, type=EXISTING)
OUTPUT_TOPICS = ("profiles", "identities", "profile-changes", "triggers", "products", "dead-letters")
DIFFERENT = 3
INTERRUPTED, BROKEN_PIPE = 130, 141


def main() -> None:
    """Runs the command of `sys.argv` and ends the process with its exit status."""
    try:
        status = selvedge.main(prog_name="selvedge", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        status = INTERRUPTED
    except BrokenPipeError:  # the reader of a pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = BROKEN_PIPE
    except OSError as error:
        click.echo(f"Error: {error}", err=True)
        status = 1
    sys.exit(status)


class Time(click.ParamType):
    """RFC 3339 on the command line, microseconds inside."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from pipeline.core import times

        try:
            return value if isinstance(value, int) else times.parse(value)
        except ValueError:
            self.fail(f"{value!r} is not a time like 2026-03-01T10:31:07Z", param, ctx)


@contextmanager
def progress(total: int, what: str) -> Iterator[Callable[[int], None] | None]:
    """A bar on standard error for something of `total` bytes; nothing where that is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


@contextmanager
def counting() -> Iterator[Callable[[str, int], None]]:
    """Says on standard error what is being taken over; nothing where that is no terminal."""
    if not sys.stderr.isatty():
        yield lambda _, __: None
        return
    from rich.console import Console

    with Console(stderr=True).status("reading") as status:
        yield lambda topic, count: status.update(f"{topic}: {count:,} records")


@contextmanager
def one_line(*errors: type[Exception]) -> Iterator[None]:
    """What the operator can mend is told in one line, without a traceback."""
    try:
        yield
    except errors as error:
        raise click.ClickException(" ".join(str(error).split())) from None


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


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="selvedge", message="selvedge %(version)s")
def selvedge() -> None:
    """Touchpoints on Kafka become persons, profiles and cart triggers.

    Settings come from SELVEDGE_… environment variables or a TOML file given with --config.
    """


@selvedge.command()
@with_settings
def worker(settings: Settings) -> int:
    """Run one worker of the pipeline.

    Several workers share the shards. SIGTERM finishes the epoch and ends it with exit status 0; every other end is an
    error."""
    from pipeline.kafka.worker import run

    return run(settings)


@selvedge.group()
def acls() -> None:
    """Compare and grant the rights of producers, workers, consumers and operators."""


PRINCIPALS = click.option(
    "--principal", "given", multiple=True, metavar="ROLE=User:NAME", help="Default: User:PREFIX-ROLE for each role."
)


@acls.command("plan")
@with_settings
@PRINCIPALS
def acls_plan(settings: Settings, given: tuple[str, ...]) -> int:
    """Show which rights are missing or surplus; exit status 3 if any are."""
    from pipeline.kafka.acls import AclsWrong, described, plan, principals

    with one_line(AclsWrong):
        found = plan(settings, principals(settings, _pairs(given)), _brokers(settings))
    _tell(list(described(found, pruned=False)), "the rights are as wanted")
    return DIFFERENT if any(found) else 0


@acls.command("apply")
@with_settings
@PRINCIPALS
@click.option("--prune", is_flag=True, help="Take away what no role needs.")
def acls_apply(settings: Settings, given: tuple[str, ...], prune: bool) -> int:
    """Grant what is missing; takes a super user. Exit status 3 if something surplus is left."""
    from pipeline.kafka.acls import AclsWrong, apply, described, principals

    with one_line(AclsWrong):
        found = apply(settings, principals(settings, _pairs(given)), _brokers(settings), prune=prune)
    _tell(list(described(found, pruned=prune)), "the rights were as wanted")
    return DIFFERENT if found.surplus and not prune else 0


def _pairs(given: Iterable[str]) -> dict[str, str]:
    pairs = dict(one.partition("=")[::2] for one in given)
    wrong = next((one for one in given if "=" not in one), None)
    if wrong is not None:
        raise click.BadParameter(f"{wrong!r} is not ROLE=User:NAME")
    return pairs


TARGET = click.option("--target", type=click.Choice(["host", "compose", "kubernetes"]), help="Default: what is here.")
HOME = click.option("--home", type=click.Path(file_okay=False, path_type=Path), help="Directory of a host deployment.")
PLAN = click.option("--plan", is_flag=True, help="Tell what would be done, do nothing.")
OVERLAY = click.option("--overlay", default="strimzi", show_default=True, help="Of deploy/kubernetes/overlays.")


@selvedge.command()
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


@selvedge.command()
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
            host = Host(settings, home or default_home(settings), lambda: _brokers(settings))
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
        host = Host(settings, home or default_home(settings), lambda: _brokers(settings))
        return host.deploy(wanted(settings, workers, config), restart=restart)


def _brokers(settings: Settings) -> AdminClient:
    from pipeline.kafka.connect import BrokerAbsent, connect

    with one_line(BrokerAbsent):
        return connect(settings, _warn)


@selvedge.command()
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


@selvedge.command()
@with_settings
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
def backup(settings: Settings, directory: Path) -> None:
    """Copy everything on all topics to DIRECTORY. The workers must be stopped."""
    from pipeline.ops.backup import backup as copy

    _moved(copy, settings, directory)


@selvedge.command()
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

    _brokers(settings)
    with one_line(BackupFailed, TopicsWrong, KafkaException):
        move(settings, directory, click.echo)


@selvedge.command()
@click.option("--home", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
def supervise(home: Path) -> None:
    """Keep the workers of a host deployment running. SIGHUP restarts them one after the other, SIGTERM ends them."""
    from pipeline.ops.supervise import AlreadyRunning, Supervisor

    with one_line(AlreadyRunning, FileNotFoundError):
        Supervisor(home).run()


@selvedge.group()
def topics() -> None:
    """Compare and make the topics."""


@topics.command("plan")
@with_settings
def topics_plan(settings: Settings) -> int:
    """Show what `apply` would change; exit status 3 if that is anything."""
    from pipeline.kafka.topics import plan

    differences = _with_brokers(settings, plan)
    _tell(differences, "the topics are as wanted")
    return DIFFERENT if differences else 0


@topics.command("apply")
@with_settings
def topics_apply(settings: Settings) -> int:
    """Make what is missing and restore the settings that keep data right; exit status 3 if something is left to do."""
    from pipeline.kafka.topics import apply

    differences = _with_brokers(settings, apply)
    _tell(differences, "the topics were as wanted")
    return DIFFERENT if any(difference.remedy for difference in differences) else 0


def _with_brokers(settings: Settings, act: Callable[[Settings, AdminClient], list[Difference]]) -> list[Difference]:
    from pipeline.kafka.connect import BrokerAbsent, connect
    from pipeline.kafka.topics import TopicsWrong

    with one_line(BrokerAbsent, TopicsWrong):
        return act(settings, connect(settings, _warn))


def _tell(differences: Sequence[object], none: str) -> None:
    for difference in differences:
        click.echo(difference)
    if not differences:
        click.echo(none)


@selvedge.command(short_help="Why these identifiers are one person, or what keeps them apart.")
@with_settings
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="PATH",
    type=click.Path(exists=True, path_type=Path),
    help="Files of touchpoints, or the directory of a replay; default: the state topic of the running system.",
)
@click.option("--policy", "other_policy", type=EXISTING, help="Say, too, what would differ under this policy.")
@click.option(
    "--format",
    "shape",
    default="text",
    show_default=True,
    type=click.Choice(["text", "json", "graphml", "svg"]),
    help="svg: a picture of the person's graph for the browser; graphml: the graph for other tools.",
)
@click.option("--json", "shape", flag_value="json", help="Short for --format json.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file.")
@click.option("--trigger", metavar="ID", help="Tell the story of this trigger instead.")
@click.argument("one", metavar="ID", required=False)
@click.argument("other", metavar="[ID]", required=False)
def explain(
    settings: Settings,
    inputs: tuple[Path, ...],
    other_policy: Path | None,
    shape: str,
    output: Path | None,
    trigger: str | None,
    one: str | None,
    other: str | None,
) -> None:
    """Say why two identifiers are one person, or what keeps them apart and what would have to change; of one
    identifier, who it belongs to and why.

    An ID is written type:value, as in email:jane@example.com. E-mail and phone may be given as their SHA-256.

    \b
    selvedge explain email:jane@example.com loyalty:L-77            the running system
    selvedge explain --input out cookie:c-1                         a replay's --output directory
    selvedge explain --input june.jsonl cookie:c-1 email:j@x.com    a history
    selvedge explain --format svg --output jane.svg email:jane@example.com
    selvedge explain --policy stricter.toml cookie:c-1 loyalty:L-77
    selvedge explain --trigger 8d5f… --input june.jsonl             what a trigger was about and what became of it"""
    from pipeline.core.explain.case import explain as explained
    from pipeline.core.explain.difference import difference
    from pipeline.core.explain.known import Malformed, UnknownIdentifier
    from pipeline.explain import CannotExplain, shown

    if (one is None) == (trigger is None):
        raise click.UsageError("give an identifier, or --trigger with the id of a trigger")
    if trigger is not None:
        _tell_story(settings, inputs, trigger, output)
        return
    with one_line(CannotExplain, UnknownIdentifier):
        known = _known(settings, inputs)
        try:
            asked = [known.find(text) for text in (one, other) if text is not None]
        except Malformed as malformed:
            raise click.UsageError(str(malformed)) from None
        found = explained(known, *asked)
        if other_policy is not None:
            then = _known_under(settings, inputs, other_policy, known)
            found = found.beside(difference(known, then, str(other_policy), *asked))
        made = shown(known, found, asked, shape)
    if output is None:
        click.echo(made, nl=False)
    else:
        output.write_text(made, "utf-8")


def _tell_story(settings: Settings, inputs: tuple[Path, ...], trigger: str, output: Path | None) -> None:
    from pipeline.explain import CannotExplain
    from pipeline.story import UnknownTrigger, from_directory, from_files, from_state

    with one_line(CannotExplain, UnknownTrigger):
        if not inputs:
            lines = _by_state(settings, lambda settings, registry: from_state(trigger, settings, registry))
        elif len(inputs) == 1 and inputs[0].is_dir():
            lines = from_directory(trigger, inputs[0], _secret(settings))
        else:
            _only_files(inputs)
            with progress(_size(inputs), "replay") as advance:
                lines = from_files(trigger, inputs, _registry(settings, None, 1), advance)
    told = "".join(f"{line}\n" for line in lines)
    if output is None:
        click.echo(told, nl=False)
    else:
        output.write_text(told, "utf-8")


def _known(settings: Settings, inputs: tuple[Path, ...]) -> Known:
    """What is known where the user wants to look."""
    from pipeline.explain import from_directory, from_files

    if not inputs:
        return _known_by_state(settings)
    if len(inputs) == 1 and inputs[0].is_dir():
        return from_directory(inputs[0], _secret(settings))
    _only_files(inputs)
    with progress(_size(inputs), "replay") as advance:
        return from_files(inputs, _registry(settings, None, 1), advance)


def _known_under(settings: Settings, inputs: tuple[Path, ...], policy_path: Path, known: Known) -> Known:
    """The same under another policy: files are read again, as that may decide how they are folded."""
    from pipeline.explain import from_files, under

    if not inputs or inputs[0].is_dir():
        return under(known, _policy(policy_path), _secret(settings))
    with progress(_size(inputs), "replay under the other policy") as advance:
        return from_files(inputs, _registry(settings, policy_path, 1), advance)


def _only_files(inputs: Iterable[Path]) -> None:
    for path in inputs:
        if path.is_dir():
            raise click.UsageError(f"--input {path}: one directory of a replay, or files of touchpoints, not both")


def _known_by_state(settings: Settings) -> Known:
    from pipeline.explain import from_state

    return _by_state(settings, from_state)


def _by_state(settings: Settings, look: Callable[[Settings, Registry], T]) -> T:
    """What a look at the state topic of the running system gives."""
    from confluent_kafka import KafkaException

    from pipeline.core.state import StateError
    from pipeline.kafka.connect import BrokerAbsent, connect
    from pipeline.kafka.topics import TopicsWrong, check

    with one_line(BrokerAbsent, TopicsWrong, KafkaException, StateError):
        return look(settings, _registry(settings, None, check(settings, connect(settings, _warn))))


@selvedge.command("export-person", short_help="Everything that is held about a person, as JSON.")
@with_settings
@click.option("--input", "files", multiple=True, type=EXISTING, help="Look in files of touchpoints, not in Kafka.")
@click.argument("id", metavar="ID")
def export_person(settings: Settings, files: tuple[Path, ...], id: str) -> None:
    """Print everything that is held about the person of an identifier: profile, facts and triggers, as JSON.

    An ID is written type:value, as in email:jane@example.com; - reads it from standard input. What the raw topics still
    hold of the person is not in it: it ends with their retention."""
    import json
    import time

    from pipeline.core.explain.known import UnknownIdentifier
    from pipeline.privacy import export, held

    registry, group = _shards(settings, files)
    with one_line(UnknownIdentifier):
        found = export(held(group, registry, _given(id)), registry, time.time_ns() // 1_000)
    click.echo(json.dumps(found, indent=2, ensure_ascii=False))


@selvedge.command(short_help="The output topics as typed Parquet files, for analysts.")
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
            check(settings, connect(settings, _warn))
            taken = from_topics(settings, output, progress)
        else:
            taken = from_replay(replayed, output, progress)
    for topic, count in taken.items():
        click.echo(f"{topic}: {count:,} records taken over")


@selvedge.command(short_help="Erase a person, or show who and what would go.")
@with_settings
@click.option("--input", "files", multiple=True, type=EXISTING, help="With --dry-run: look in files, not in Kafka.")
@click.option("--dry-run", is_flag=True, help="Show who and what would go, and do nothing.")
@click.option("--lift", is_flag=True, help="Let an erased identifier come in again.")
@click.argument("id", metavar="ID")
def erase(settings: Settings, files: tuple[Path, ...], dry_run: bool, lift: bool, id: str) -> int:
    """Ask for the erasure of the person of an identifier, as a privacy.erasure_requested touchpoint would.

    An ID is written type:value, as in email:jane@example.com; - reads it from standard input. The receipt comes on
    profile-changes, with the printed id of the request."""
    from pipeline.core.explain.known import UnknownIdentifier
    from pipeline.privacy import held, preview

    if dry_run:
        registry, group = _shards(settings, files)
        with one_line(UnknownIdentifier):
            for line in preview(held(group, registry, _given(id)), registry):
                click.echo(line)
        return 0
    if files:
        raise click.UsageError("--input only goes with --dry-run: files are not changed")
    return _request(settings, _given(id), lift)


def _request(settings: Settings, text: str, lift: bool) -> int:
    from pipeline.core.events import ERASURE, LIFTED
    from pipeline.dialects import Reader
    from pipeline.kafka.connect import BrokerAbsent
    from pipeline.kafka.produce import ask
    from pipeline.kafka.topics import TopicsWrong

    with one_line(BrokerAbsent, TopicsWrong):
        request, sent = ask(settings, Reader(_registry(settings, None, None)), LIFTED if lift else ERASURE, text, _warn)
    if sent.complete:
        click.echo(f"asked for: {request}")
    return 0 if sent.complete else 1


def _given(id: str) -> str:
    """An identifier from the command line, or from standard input, where no list of processes shows it."""
    return sys.stdin.readline().strip() if id == "-" else id


def _shards(settings: Settings, files: tuple[Path, ...]) -> tuple[Registry, Group]:
    """The shards after files of touchpoints, or as the state topic has them."""
    from pipeline.shards import from_files, from_state

    if not files:
        return _by_state(settings, lambda settings, registry: (registry, from_state(settings, registry)))
    registry = _registry(settings, None, 1)
    return registry, from_files(files, registry)


@selvedge.group()
def policy() -> None:
    """Check policies, and see what a change would do."""


@policy.command("check")
@click.argument("file", type=EXISTING)
def policy_check(file: Path) -> None:
    """Validate the policy FILE and print it with all defaults."""
    from pipeline.core.policy import dump

    click.echo(dump(_policy(file)), nl=False)


@policy.command("diff")
@with_settings
@click.option("--until", type=Time(), default=0, help="Let time pass up to TIME; later records are not read.")
@click.option("--format", "shape", default="text", show_default=True, type=click.Choice(["text", "json"]))
@click.option("--samples", default=5, show_default=True, type=click.IntRange(0), help="So many of each kind are told.")
@click.argument("old", type=EXISTING)
@click.argument("new", type=EXISTING)
@FILES
def policy_diff(
    settings: Settings, until: int, shape: str, samples: int, old: Path, new: Path, files: tuple[Path, ...]
) -> None:
    """Replay a history (touchpoints in FILES…) under the policies OLD and NEW and say what would differ.

    Persons merged, split and moved; triggers fired, suppressed or not any more, with the reasons; changed keys, and
    which of them need `selvedge rebuild`. Nothing is written. An empty file is the default policy."""
    import msgspec

    from pipeline.core.policy_diff import text
    from pipeline.policy_diff import diff

    before, after, secret = _policy(old), _policy(new), _secret(settings)
    with progress(2 * _size(files), "replay twice") as advance:
        found = diff(before, after, secret, files, until=until, samples=samples, progress=advance)
    click.echo(msgspec.json.format(msgspec.json.encode(found)) + b"\n" if shape == "json" else text(found), nl=False)


@selvedge.command()
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

    reader = Reader(_registry(settings, None, None))
    with one_line(BrokerAbsent, TopicsWrong, KafkaException), progress(_size(files), "produce") as advance:
        sent = send(settings, reader, files, _warn, recorded=recorded, progress=advance)
    click.echo(sent)
    return 0 if sent.complete else 1


def _output_topic(context: click.Context, _: click.Parameter, topic: str) -> str:
    """One of the output topics, or a reduced one."""
    if topic not in OUTPUT_TOPICS and not topic.startswith("profiles."):
        raise click.BadParameter(f"{topic!r} is none of {', '.join(OUTPUT_TOPICS)}, profiles.NAME", context)
    return topic


@selvedge.command()
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
        follow(settings, topic, _warn, **how)


@selvedge.command()
@with_settings
@click.option("--policy", "policy_path", type=EXISTING, help="Instead of SELVEDGE_POLICY.")
@click.option("--shards", default=1, show_default=True, type=click.IntRange(1, 4_096), help="Changes no result.")
@click.option("--until", type=Time(), default=0, help="Let time pass up to TIME; later records are not read.")
@click.option("--final", is_flag=True, help="Documents once, at the end, and no history of changes.")
@click.option("--format", "ending", default="jsonl", show_default=True, type=click.Choice(["jsonl", "parquet"]))
@click.option("--output", required=True, type=click.Path(file_okay=False, path_type=Path))
@FILES
def replay(
    settings: Settings,
    policy_path: Path | None,
    shards: int,
    until: int,
    final: bool,
    ending: str,
    output: Path,
    files: tuple[Path, ...],
) -> None:
    """Run the same rules without Kafka: touchpoints of FILE… in, outputs in a directory out."""
    from pipeline.replay import replay as run

    registry = _registry(settings, policy_path, shards)
    with progress(_size(files), "replay") as advance:
        parquet = ending == "parquet"
        summary = run(files, registry, output, until=until, final=final, parquet=parquet, progress=advance)
    click.echo(f"{summary.counts.get('touchpoints', 0):,} touchpoints of {summary.records:,} records")


@selvedge.command()
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
        admin = connect(settings, _warn)
        registry = _registry(settings, None, check(settings, admin))
        archive = (record.results for record in merged(files, registry)) if files else None
        click.echo(run(settings, registry, admin, _warn, archive, partial=partial))


def shop_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--touchpoints", default=20_000, show_default=True, type=click.IntRange(1)),
        click.option("--shoppers", default=1_500, show_default=True, type=click.IntRange(1)),
        click.option("--seed", default=1, show_default=True, help="The same seed gives the same shop."),
    ):
        command = option(command)
    return command


@selvedge.command()
@click.option(
    "--seconds", default=15.0, show_default=True, type=click.FloatRange(0), help="Feed the shop in that time."
)
@click.option("--output", default="out/demo", show_default=True, type=click.Path(file_okay=False, path_type=Path))
@shop_options
def demo(seconds: float, output: Path, **shop: Any) -> int:
    """Run a sample shop through the pipeline, live, on an embedded broker; then replay it and compare."""
    from pipeline.demo import DemoFailed, run
    from pipeline.sample import generate

    with one_line(DemoFailed):
        return run(list(generate(**shop)), seconds, output)


@selvedge.command()
@click.option("--cloudevents-only", is_flag=True, help="No requests of other trackers and no garbage.")
@shop_options
@click.argument("file", type=click.File("wb"), default="-")
def sample(file: Any, **shop: Any) -> None:
    """Write the sample shop to FILE (default: standard output), one record a line."""
    from pipeline.sample import generate

    file.writelines(record.value + b"\n" for record in generate(**shop))


def _size(files: Iterable[Path]) -> int:
    return sum(file.stat().st_size for file in files if file.is_file())


def _registry(settings: Settings, policy_path: Path | None, shards: int | None) -> Registry:
    from pipeline.core.identifiers import Registry

    return Registry(_policy(policy_path or settings.policy_path), _secret(settings), shards or settings.shards)


def _secret(settings: Settings) -> bytes:
    from pipeline.core.identifiers import PUBLIC_KEY

    return settings.hash_key() or PUBLIC_KEY


def _policy(file: Path | None) -> Policy:
    from pipeline.core.policy import Policy, PolicyError, load

    with one_line(PolicyError, UnicodeDecodeError):
        return load(file.read_text("utf-8")) if file else Policy()


def _warn(line: str) -> None:
    click.echo(line, err=True)
