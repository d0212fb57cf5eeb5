"""`selvedge acls`: who may do what on the brokers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from pipeline.cli.configured import brokers_of, with_settings
from pipeline.cli.terminal import DIFFERENT, one_line, tell

if TYPE_CHECKING:
    from pipeline.settings import Settings

PRINCIPALS = click.option(
    "--principal", "given", multiple=True, metavar="ROLE=User:NAME", help="Default: User:PREFIX-ROLE for each role."
)


@click.group(short_help="The rights of producers, workers, consumers, operators.")
def acls() -> None:
    """Compare and grant the rights of producers, workers, consumers and operators."""


@acls.command("plan")
@with_settings
@PRINCIPALS
def acls_plan(settings: Settings, given: tuple[str, ...]) -> int:
    """Show which rights are missing or surplus; exit status 3 if any are."""
    from pipeline.kafka.acls import AclsWrong, described, plan, principals

    with one_line(AclsWrong):
        found = plan(settings, principals(settings, _pairs(given)), brokers_of(settings))
    tell(list(described(found, pruned=False)), "the rights are as wanted")
    return DIFFERENT if any(found) else 0


@acls.command("apply")
@with_settings
@PRINCIPALS
@click.option("--prune", is_flag=True, help="Take away what no role needs.")
def acls_apply(settings: Settings, given: tuple[str, ...], prune: bool) -> int:
    """Grant what is missing; takes a super user. Exit status 3 if something surplus is left."""
    from pipeline.kafka.acls import AclsWrong, apply, described, principals

    with one_line(AclsWrong):
        found = apply(settings, principals(settings, _pairs(given)), brokers_of(settings), prune=prune)
    tell(list(described(found, pruned=prune)), "the rights were as wanted")
    return DIFFERENT if found.surplus and not prune else 0


def _pairs(given: Iterable[str]) -> dict[str, str]:
    pairs = dict(one.partition("=")[::2] for one in given)
    wrong = next((one for one in given if "=" not in one), None)
    if wrong is not None:
        raise click.BadParameter(f"{wrong!r} is not ROLE=User:NAME")
    return pairs
