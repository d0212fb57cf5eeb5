"""What is held about one person, and its erasure."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.configured import by_state, registry_of, with_settings
from pipeline.cli.terminal import EXISTING, one_line, warn

if TYPE_CHECKING:
    from pipeline.core.group import Group
    from pipeline.core.identifiers import Registry
    from pipeline.settings import Settings


@click.command("export-person", short_help="Everything that is held about a person, as JSON.")
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


@click.command(short_help="Erase a person, or show who and what would go.")
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
        request, sent = ask(
            settings, Reader(registry_of(settings, None, None)), LIFTED if lift else ERASURE, text, warn
        )
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
        return by_state(settings, lambda settings, registry: (registry, from_state(settings, registry)))
    registry = registry_of(settings, None, 1)
    return registry, from_files(files, registry)
