"""What a worker says: one line on standard error for each thing, as JSON, or as text for a terminal.

Only fields of FIELDS get out, so that no value of a record can; a secret of the settings is covered wherever it turns
up. Of an exception only its type and places in the code are told. Libraries say warnings and errors, each kind at most
once in a while.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, MutableMapping
from typing import Any

import structlog

from pipeline.settings import Settings

FIELDS = ("time", "level", "event", "logger", "worker", "shards", "status", "address", "seconds", "version")
REPEAT_S = 30.0
"""A library's warning is not shown again for so long."""
COVERED = "***"

Fields = MutableMapping[str, Any]


def configure(settings: Settings, worker: str) -> None:
    """From now on this process says things as `settings` ask for, with `worker` as its name."""
    as_json = settings.log == "json" or (not settings.log and not sys.stderr.isatty())
    render: Any = structlog.processors.JSONRenderer() if as_json else _text
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            _named(worker),
            _allowed,
            render,
            _covering(settings.security.secrets()),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=_StandardError()),  # type: ignore[arg-type]
        cache_logger_on_first_use=False,
    )
    handler = _Library()
    handler.addFilter(_Seldom())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


def say(event: str, **fields: Any) -> None:
    """Tells the operator. Fields that are not in FIELDS are left out."""
    _logger().info(event, **fields)


def complain(event: str, **fields: Any) -> None:
    """Tells the operator what is wrong."""
    _logger().error(event, **fields)


def _logger() -> Any:
    if not structlog.is_configured():
        configure(Settings(), "")
    return structlog.get_logger()


class _StandardError:
    """Writes at once and past Python's buffers: the process may end right after."""

    def write(self, text: str) -> None:
        os.write(2, text.encode(errors="replace"))

    def flush(self) -> None:
        """Nothing is held back."""


def _named(worker: str) -> Callable[[Any, str, Fields], Fields]:
    def name(_: Any, __: str, fields: Fields) -> Fields:
        return {**fields, "worker": worker}

    return name


def _allowed(_: Any, __: str, fields: Fields) -> Fields:
    return {name: fields[name] for name in FIELDS if name in fields}


def _text(_: Any, __: str, fields: Fields) -> str:
    source = f"{fields['logger']}: " if "logger" in fields else ""
    return f"selvedge: {source}{fields['event']}"


def _covering(secrets: Iterable[str]) -> Callable[[Any, str, Any], str]:
    known = tuple(secrets)

    def cover(_: Any, __: str, line: Any) -> str:
        text = str(line)
        for secret in known:
            text = text.replace(secret, COVERED)
        return text

    return cover


class _Library(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        _logger().log(record.levelno, record.getMessage(), logger=record.name)


class _Seldom(logging.Filter):
    def __init__(self) -> None:
        super().__init__()
        self._shown: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        kind = record.name, str(record.msg)
        shown = time.monotonic() - self._shown.get(kind, -REPEAT_S) < REPEAT_S
        if not shown:
            self._shown[kind] = time.monotonic()
        return not shown
