"""A local SMTP server that remembers what it took, and may be told what to answer or do at each step."""

from __future__ import annotations

import smtplib
import socket
from collections.abc import Callable
from email import message_from_bytes
from email.message import Message
from types import TracebackType
from typing import Any

from aiosmtpd.controller import Controller

OK = "250 OK"


class Mailbox:
    """`answer` takes "rcpt" or "data" and gives the server's answer."""

    def __init__(self) -> None:
        self.mails: list[Message] = []
        self.answer: Callable[[str], str] = lambda step: OK
        self.port = _free_port()
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)

    def __enter__(self) -> Mailbox:
        self._controller.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._controller.stop()

    def open(self) -> smtplib.SMTP:
        return smtplib.SMTP("127.0.0.1", self.port, timeout=10)

    @property
    def triggers(self) -> list[str]:
        """The triggers of the mails, in the order in which they came."""
        return [mail["Message-ID"].strip("<>").partition("@")[0] for mail in self.mails]

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        answer = self.answer("rcpt")
        if answer == OK:
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        answer = self.answer("data")
        if answer == OK:
            self.mails.append(message_from_bytes(envelope.content))
            self.answer("taken")
        return answer


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
