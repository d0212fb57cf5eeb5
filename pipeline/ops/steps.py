"""What a deployment does, as data: a list of steps, each told before it is taken. A plan only tells them."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

Say = Callable[[str], None]


class DeployFailed(Exception):
    """A step could not be taken; the message is one line, with what to do."""


class Step(NamedTuple):
    """says: in the infinitive, as "start 2 workers". take: does it, or raises DeployFailed."""

    says: str
    take: Callable[[], None]


def perform(steps: Iterable[Step], say: Say, *, plan: bool) -> None:
    """Tells each step, and takes it unless this is a plan."""
    nothing = True
    for step in steps:
        nothing = False
        say(f"would {step.says}" if plan else step.says)
        if not plan:
            step.take()
    if nothing:
        say("nothing to do: everything is as wanted")


def command(words: Sequence[str], directory: Path, environment: Mapping[str, str] | None = None) -> Step:
    """A step that is another program; what it says goes where ours goes."""

    def take() -> None:
        try:
            status = subprocess.run(words, cwd=directory, env=environment).returncode
        except OSError as error:
            raise DeployFailed(f"{words[0]} cannot be run: {error.strerror}") from None
        if status:
            raise DeployFailed(f"{shlex.join(words)} ended with status {status}")

    return Step(f"run {shlex.join(words)}", take)
