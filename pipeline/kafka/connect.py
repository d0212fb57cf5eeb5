"""The first contact with the brokers: one clear line when they are not there, then patience, then an end.

librdkafka reconnects for ever by itself and says so in many lines; a command needs the opposite at its start.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from pipeline.settings import Settings

PATIENCE_S = 60.0
ANSWER_S = 3.0
BACK_OFF_S = 0.5
BACK_OFF_MAX_S = 8.0

Tell = Callable[[str], None]
"""Takes a line for the operator."""


class BrokerAbsent(Exception):
    """No broker answered; the message is one line with the addresses, the reason and the time that was waited."""


def connect(settings: Settings, tell: Tell, patience_s: float = PATIENCE_S) -> AdminClient:
    """A client that has had an answer. Tells every failed attempt that adds a reason, tries again with growing pauses
    and raises BrokerAbsent when `patience_s` seconds have gone by."""
    reasons: list[str] = []
    admin = _quiet_admin(settings, reasons)
    deadline = time.monotonic() + patience_s
    pause = BACK_OFF_S
    told = ""
    while True:
        try:
            admin.list_topics(timeout=ANSWER_S)
            return admin
        except KafkaException as error:
            reason = reasons[-1] if reasons else error.args[0].str()
        left = deadline - time.monotonic()
        if left <= 0:
            raise BrokerAbsent(f"no answer from {settings.brokers} in {patience_s:g} s: {reason}")
        if reason != told:
            tell(f"no answer from {settings.brokers}: {reason}; trying again for {left:.0f} s")
            told = reason
        time.sleep(min(pause, left))
        pause = min(2 * pause, BACK_OFF_MAX_S)


def quiet_logger() -> logging.Logger:
    """For librdkafka clients whose errors reach us by callbacks and return values anyway."""
    logger = logging.getLogger("selvedge.librdkafka")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger


def _quiet_admin(settings: Settings, reasons: list[str]) -> AdminClient:
    def note(error: KafkaError) -> None:
        if error.code() != KafkaError._ALL_BROKERS_DOWN:
            reasons.append(error.str())

    configuration: dict[str, Any] = {**settings.librdkafka(), "error_cb": note}
    return AdminClient(configuration, logger=quiet_logger())
