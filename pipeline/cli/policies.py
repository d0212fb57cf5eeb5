"""`selvedge policy`: checks, and what a change would do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.configured import policy_of, secret_of, with_settings
from pipeline.cli.terminal import EXISTING, FILES, Time, progress, size_of

if TYPE_CHECKING:
    from pipeline.settings import Settings


@click.group()
def policy() -> None:
    """Check policies, and see what a change would do."""


@policy.command("check")
@click.argument("file", type=EXISTING)
def policy_check(file: Path) -> None:
    """Validate the policy FILE and print it with all defaults."""
    from pipeline.core.policy import dump

    click.echo(dump(policy_of(file)), nl=False)


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

    before, after, secret = policy_of(old), policy_of(new), secret_of(settings)
    with progress(2 * size_of(files), "replay twice") as advance:
        found = diff(before, after, secret, files, until=until, samples=samples, progress=advance)
    click.echo(msgspec.json.format(msgspec.json.encode(found)) + b"\n" if shape == "json" else text(found), nl=False)
