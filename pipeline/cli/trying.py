"""The pipeline without Kafka: replay, the demo and its sample shop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.configured import registry_of, with_settings
from pipeline.cli.terminal import EXISTING, FILES, Time, one_line, progress, size_of

if TYPE_CHECKING:
    from pipeline.settings import Settings


@click.command(short_help="The same rules without Kafka: files in, files out.")
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

    registry = registry_of(settings, policy_path, shards)
    with progress(size_of(files), "replay") as advance:
        parquet = ending == "parquet"
        summary = run(files, registry, output, until=until, final=final, parquet=parquet, progress=advance)
    click.echo(f"{summary.counts.get('touchpoints', 0):,} touchpoints of {summary.records:,} records")


def shop_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--touchpoints", default=20_000, show_default=True, type=click.IntRange(1)),
        click.option("--shoppers", default=1_500, show_default=True, type=click.IntRange(1)),
        click.option("--seed", default=1, show_default=True, help="The same seed gives the same shop."),
    ):
        command = option(command)
    return command


@click.command(short_help="A sample shop, live, on an embedded broker.")
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


@click.command(short_help="Write the sample shop to a file.")
@click.option("--cloudevents-only", is_flag=True, help="No requests of other trackers and no garbage.")
@shop_options
@click.argument("file", type=click.File("wb"), default="-")
def sample(file: Any, **shop: Any) -> None:
    """Write the sample shop to FILE (default: standard output), one record a line."""
    from pipeline.sample import generate

    file.writelines(record.value + b"\n" for record in generate(**shop))
