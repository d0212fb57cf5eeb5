"""What commands say, and how: progress, one line for what can be mended, exit statuses."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)
FILES = click.argument("files", nargs=-1, required=True, type=EXISTING)
DIFFERENT = 3
"""Exit status of a comparison that found a difference."""


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


def tell(differences: Sequence[object], none: str) -> None:
    for difference in differences:
        click.echo(difference)
    if not differences:
        click.echo(none)


def warn(line: str) -> None:
    click.echo(line, err=True)


def size_of(files: Iterable[Path]) -> int:
    return sum(file.stat().st_size for file in files if file.is_file())
