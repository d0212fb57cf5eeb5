"""On which line of a TOML text a key is set: TOML readers keep no lines, and an error without one is hard to find.

The text is cut into statements; each is read alone under the header of its table until one sets the wanted key.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any


def line_of(text: str, path: tuple[str, ...]) -> int | None:
    """The first line (from 1) of the statement that sets `path`, else of the one that sets the longest part of it."""
    found, length = None, 0
    for line, header, statement in _statements(text):
        reached = _reach(tomllib.loads(header + statement), path)
        if reached > length:
            found, length = line, reached
    return found


def _statements(text: str) -> Iterator[tuple[int, str, str]]:
    """(line, header of its table, statement) of each; a statement is a header itself or a key with its value."""
    header, start, statement = "", 1, ""
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        if not statement:
            start = number
            if not line.strip() or line.lstrip().startswith("#"):
                continue
        statement += line
        if line.rstrip().endswith((",", "[")) or not _complete(header, statement):
            continue
        if statement.lstrip().startswith("["):
            header = statement
            yield start, "", statement
        else:
            yield start, header, statement
        statement = ""


def _complete(header: str, statement: str) -> bool:
    try:
        tomllib.loads(header + statement)
    except tomllib.TOMLDecodeError:
        return False
    return True


def _reach(value: Any, path: tuple[str, ...]) -> int:
    """How many keys of `path` lead somewhere in `value`."""
    for length, key in enumerate(path):
        if not isinstance(value, dict) or key not in value:
            return length
        value = value[key]
    return len(path)
