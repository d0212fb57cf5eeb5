"""The command `selvedge`: one function per command, arguments in and text out; the work is done elsewhere.

What is heavy (Faust, librdkafka, pyarrow, rich, networkx) is imported where it is used, so that `--help` and `replay`
start at once. An error that the operator can mend is one line on standard error and exit status 1; wrong usage is 2.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from pipeline.core.policy import Policy
    from pipeline.settings import Settings

EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)
FILES = click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, allow_dash=True))
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
def topics() -> None:
    """Compare and make the topics."""


@topics.command("plan")
@with_settings
def topics_plan(settings: Settings) -> int:
    """Show what `apply` would change. Exit status 3 if there is anything."""
    from pipeline.kafka.topics import plan

    return _told_differences(settings, plan, "topics are as wanted", "to do")


@topics.command("apply")
@with_settings
def topics_apply(settings: Settings) -> int:
    """Make missing topics, restore settings that keep data right."""
    from pipeline.kafka.topics import apply

    _told_differences(settings, apply, "topics are as wanted", "done")
    return 0


@selvedge.group()
def policy() -> None:
    """Check policies."""


@policy.command("check")
@click.argument("file", type=EXISTING)
def policy_check(file: Path) -> None:
    """Validate the policy FILE and print it with all defaults."""
    from pipeline.core.policy import dump

    click.echo(dump(_policy(file)), nl=False)


@selvedge.command()
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same bytes.")
@click.option("--shoppers", default=1_500, show_default=True, type=click.IntRange(1))
@click.option("--touchpoints", default=20_000, show_default=True, type=click.IntRange(1))
@click.option("--cloudevents-only", is_flag=True, help="No requests of other trackers and no garbage.")
@click.argument("file", type=click.File("wb"), default="-")
def sample(file: Any, **shop: Any) -> None:
    """Write the sample shop to FILE (default: standard output), one record a line."""
    from pipeline.sample import generate

    file.writelines(record.value + b"\n" for record in generate(**shop))


def _policy(file: Path | None) -> Policy:
    from pipeline.core.policy import Policy, PolicyError, load

    with one_line(PolicyError, UnicodeDecodeError):
        return load(file.read_text("utf-8")) if file else Policy()


def _warn(line: str) -> None:
    click.echo(line, err=True)
