"""`selvedge explain`: why identifiers are one person, and the story of a trigger."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.configured import by_state, policy_of, registry_of, secret_of, with_settings
from pipeline.cli.terminal import EXISTING, one_line, progress, size_of

if TYPE_CHECKING:
    from pipeline.core.explain.known import Known
    from pipeline.settings import Settings


@click.command(short_help="Why these identifiers are one person, or what keeps them apart.")
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
            lines = by_state(settings, lambda settings, registry: from_state(trigger, settings, registry))
        elif len(inputs) == 1 and inputs[0].is_dir():
            lines = from_directory(trigger, inputs[0], secret_of(settings))
        else:
            _only_files(inputs)
            with progress(size_of(inputs), "replay") as advance:
                lines = from_files(trigger, inputs, registry_of(settings, None, 1), advance)
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
        return from_directory(inputs[0], secret_of(settings))
    _only_files(inputs)
    with progress(size_of(inputs), "replay") as advance:
        return from_files(inputs, registry_of(settings, None, 1), advance)


def _known_under(settings: Settings, inputs: tuple[Path, ...], policy_path: Path, known: Known) -> Known:
    """The same under another policy: files are read again, as that may decide how they are folded."""
    from pipeline.explain import from_files, under

    if not inputs or inputs[0].is_dir():
        return under(known, policy_of(policy_path), secret_of(settings))
    with progress(size_of(inputs), "replay under the other policy") as advance:
        return from_files(inputs, registry_of(settings, policy_path, 1), advance)


def _only_files(inputs: Iterable[Path]) -> None:
    for path in inputs:
        if path.is_dir():
            raise click.UsageError(f"--input {path}: one directory of a replay, or files of touchpoints, not both")


def _known_by_state(settings: Settings) -> Known:
    from pipeline.explain import from_state

    return by_state(settings, from_state)
