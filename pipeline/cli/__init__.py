"""The command `selvedge`: one function per command, arguments in and text out; the work is done elsewhere.

What is heavy (Faust, librdkafka, pyarrow, rich, networkx) is imported where it is used, so that `--help` and `replay`
start at once. An error that the operator can mend is one line on standard error and exit status 1; wrong usage is 2.
"""

from __future__ import annotations

import os
import sys

import click

from pipeline.cli.deploying import backup, deploy, restore, size, supervise, undeploy
from pipeline.cli.explaining import explain
from pipeline.cli.persons import erase, export_person
from pipeline.cli.policies import policy
from pipeline.cli.rights import acls
from pipeline.cli.running import export, produce, rebuild, topics, watch, worker
from pipeline.cli.trying import demo, replay, sample

COMMANDS: tuple[click.Command, ...] = (
    acls,
    backup,
    demo,
    deploy,
    erase,
    explain,
    export,
    export_person,
    policy,
    produce,
    rebuild,
    replay,
    restore,
    sample,
    size,
    supervise,
    topics,
    undeploy,
    watch,
    worker,
)
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


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="selvedge", message="selvedge %(version)s")
def selvedge() -> None:
    """Touchpoints on Kafka become persons, profiles and cart triggers.

    Settings come from SELVEDGE_… environment variables or a TOML file given with --config.
    """


for command in COMMANDS:
    selvedge.add_command(command)
