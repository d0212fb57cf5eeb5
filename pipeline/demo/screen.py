"""What the demo shows while it runs: a board on a terminal, plain lines elsewhere; both say the same."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from rich.console import RenderableType

    from pipeline.demo.outcome import Outcome

LINE_EVERY_S = 2.0
GROWTH_SHOWN = 12


class Status(NamedTuple):
    """read, total: records. touchpoints: in the records read. rate: of the last moments, in touchpoints per second."""

    read: int
    total: int
    touchpoints: int
    rate: float
    outcome: Outcome
    growth: list[str]


class Screen(Protocol):
    def show(self, status: Status) -> None: ...
    def say(self, line: str = "") -> None: ...


def figures(outcome: Outcome) -> dict[str, str]:
    """The rows of the board."""
    return {
        "persons": f"{outcome.persons:,}",
        "merges": f"{outcome.changes['merged']:,}",
        "redirects": f"{outcome.redirects:,}",
        "triggers": _counts(outcome.told, ("fired", "retracted", "recovered", "suppressed")),
        "fired": _counts(outcome.fired, sorted(outcome.fired)) or "none",
        "products": _products(outcome),
        "dead letters": _counts(outcome.dead_letters, sorted(outcome.dead_letters)) or "none",
    }


def _products(outcome: Outcome) -> str:
    """How many there are, and the two bought together most often."""
    pairs = [
        (one["orders"], product["sku"], one["sku"])
        for product in outcome.products.values()
        for one in product["bought_together"][:1]
    ]
    often = min(pairs, default=None, key=lambda pair: (-pair[0], *pair[1:]))
    if often is None:
        return f"{len(outcome.products):,}"
    return f"{len(outcome.products):,}, most often together: {often[1]} and {often[2]} ({often[0]} orders)"


def _counts(counts: Mapping[str, int], names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(f"{counts[name]:,} {name}" for name in names)


def _reading(status: Status) -> str:
    return f"{status.touchpoints:,} at {status.rate:,.0f}/s, {status.read / status.total:.0%} read"


class Lines:
    """Plain lines: the figures every two seconds, the followed profile whenever it changes."""

    def __init__(self) -> None:
        self._next = 0.0
        self._told = 0

    def show(self, status: Status) -> None:
        for line in status.growth[self._told :]:
            self.say(f"  Defne: {line}")
        self._told = len(status.growth)
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + LINE_EVERY_S
            rows = ", ".join(f"{name}: {value}" for name, value in figures(status.outcome).items())
            self.say(f"touchpoints: {_reading(status)}; {rows}")

    def say(self, line: str = "") -> None:
        print(line, flush=True)


class Board:
    """A terminal: one board that is drawn over and over."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = Console(highlight=False)
        self.live = Live(console=self._console, refresh_per_second=8)

    def show(self, status: Status) -> None:
        self.live.update(_board(status))

    def say(self, line: str = "") -> None:
        self._console.print(line, markup=False, soft_wrap=True)


def _board(status: Status) -> RenderableType:
    from rich.console import Group
    from rich.panel import Panel
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", min_width=12)
    table.add_column()
    table.add_row("touchpoints", _reading(status))
    for name, value in figures(status.outcome).items():
        table.add_row(name, value)
    growth = "\n".join(status.growth[-GROWTH_SHOWN:]) or "not seen yet"
    bar = ProgressBar(total=status.total, completed=status.read)
    return Group(bar, Panel(table, title="Selvedge"), Panel(growth, title="one shopper: Defne"))


@contextmanager
def screen() -> Iterator[Screen]:
    """A board if standard output is a terminal, else lines."""
    if not sys.stdout.isatty():
        yield Lines()
        return
    board = Board()
    with board.live:
        yield board
