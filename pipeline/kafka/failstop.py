"""The only way a worker ends other than by being told to: at once, with one line and a status that is not 0.

A worker's memory is ahead of what it has committed. After an error there is nothing to save and nothing to undo: the
broker aborts the open transaction, the next owner reads what was committed. Lines name types and places in the code,
never values: records hold personal data.
"""

from __future__ import annotations

import os
import traceback
from typing import NoReturn

from pipeline.kafka.logs import complain

STATUS = 70
CONFIGURATION = 78
"""Exit status for what only an operator can put right."""


class Stop(Exception):
    """The worker cannot go on, and the message says why in words for the operator. It holds no payload."""


class Misconfigured(Stop):
    """Nothing helps before an operator has put something right; the message says what."""


def fail_stop(reason: str | BaseException) -> NoReturn:
    """Ends the process now: no clean-up, no last commit."""
    text = reason if isinstance(reason, str) else describe(reason)
    status = CONFIGURATION if isinstance(reason, Misconfigured) else STATUS
    complain(f"worker stopped: {text}", status=status)
    os._exit(status)


def describe(error: BaseException) -> str:
    """What happened and where, innermost call first, without any value."""
    if isinstance(error, Stop):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    places = " < ".join(f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in reversed(frames))
    return f"{type(error).__name__} at {places or 'an unknown place'}"
