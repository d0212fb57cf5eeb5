"""The first contact with the brokers: one clear line when they are not there, then patience, then an end.

librdkafka reconnects for ever by itself and says so in many lines; a command needs the opposite at its start.
"""

from __future__ import annotations

import logging
import re
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from pipeline.kafka.certificates import refusal
from pipeline.settings import Settings

PATIENCE_S = 60.0
WAIT_S = 2.0
"""For the first answer; a connection under way is not broken off when it is over."""
WAIT_MAX_S = 8.0
REACH_S = 3.0
"""For a connection to an address that a broker gives for itself."""

VARYING = re.compile(r"^\S+/(bootstrap|\d+): | \(after \d+ms in state .*$")
"""Parts of librdkafka's messages that differ from try to try, or repeat the address."""

HINTS = (
    ("has expired", "renew it"),
    ("mismatch", "the certificate must be for the name or address by which the broker is reached"),
    ("certificate", "SELVEDGE_KAFKA_SSL_CA_LOCATION must name the authority of these brokers"),
    ("authentication failed", "check SELVEDGE_KAFKA_SASL_USERNAME, _PASSWORD and _MECHANISM"),
    ("mechanism", "SELVEDGE_KAFKA_SASL_MECHANISM must be one that the brokers have enabled"),
    ("not supported by broker", "SELVEDGE_BROKERS must name brokers' listeners, not those of controllers"),
    ("failed to resolve", "check the names in SELVEDGE_BROKERS"),
    ("disconnected", "SELVEDGE_KAFKA_SECURITY_PROTOCOL must be that of the brokers' listener"),
    ("transport failure", "SELVEDGE_KAFKA_SECURITY_PROTOCOL must be that of the brokers' listener"),
)
"""Part of a reason -> what to do; the first that fits."""

Tell = Callable[[str], None]
"""Takes a line for the operator."""


class BrokerAbsent(Exception):
    """No broker answered; the message is one line with the addresses, the reason and the time that was waited."""


def connect(settings: Settings, tell: Tell, patience_s: float = PATIENCE_S) -> AdminClient:
    """A client that has had an answer. Tells every failed attempt that adds a reason, tries again with growing waits
    and raises BrokerAbsent when `patience_s` seconds have gone by."""
    reasons: list[str] = []
    admin = _quiet_admin(settings, reasons)
    end = time.monotonic() + patience_s
    wait = WAIT_S
    told = ""
    while True:
        pause = min(time.monotonic() + wait, end)
        try:
            reason = _unreachable(admin.list_topics(timeout=max(0.1, pause - time.monotonic())).brokers.values())
            if not reason:
                return admin
        except KafkaException as error:
            admin.poll(0)
            reason = _explained(settings, reasons[-1] if reasons else error.args[0].str())
        time.sleep(max(0.0, pause - time.monotonic()))
        left = end - time.monotonic()
        if left <= 0:
            raise BrokerAbsent(f"no answer from {settings.brokers} in {patience_s:g} s: {reason}")
        if reason != told:
            tell(f"no answer from {settings.brokers}: {reason}; trying for another {left:.0f} s")
            told = reason
        wait = min(2 * wait, WAIT_MAX_S)


def _unreachable(brokers: Iterable[Any]) -> str:
    """What is wrong with the addresses that brokers give for themselves; empty if one of them can be reached."""
    wrong = ""
    for broker in brokers:
        try:
            socket.create_connection((broker.host, broker.port), REACH_S).close()
            return ""
        except OSError as error:
            why = error.strerror or str(error)
            wrong = (
                f"the brokers answer, but say that they are at {broker.host}:{broker.port}, which is not reached from "
                f"here ({why}): see their advertised.listeners"
            )
    return wrong


def _explained(settings: Settings, reason: str) -> str:
    """The reason, with what is known of it beyond that, and what to do."""
    more = refusal(settings) if "certificate" in reason else ""
    hint = next((hint for part, hint in HINTS if part in (more or reason).lower()), "")
    return "; ".join(filter(None, (reason, more, hint)))


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
            reasons.append(VARYING.sub("", error.str()))

    configuration: dict[str, Any] = {**settings.librdkafka(), "error_cb": note}
    return AdminClient(configuration, logger=quiet_logger())
