"""An example consumer: sends what triggers say by SMTP, and hands back that it did.

Each mail, in this order: 1. the SMTP server takes sender and recipient, 2. the claim is put on disk, 3. the trigger's
partition is read to its committed end, 4. unless a higher revision came, the text goes out, 5. that it did is put on
disk, 6. `message.sent` goes to `touchpoints`. A withdrawal has the partition of its trigger.
So it sends each trigger at most once: whatever was claimed is not sent again, however the process ended; a mail is lost
if that was between 2 and 5. It sends nothing whose withdrawal was readable at 3; one that becomes readable while the
server takes the text is too late. `message.sent` is repeated after a crash, with the same id: it counts once.
One process at a time; see claims.py for what happens if its file is lost.
"""

from __future__ import annotations

import os
import re
import signal
import smtplib
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from email.message import EmailMessage
from email.policy import SMTP as WIRE
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import click
import msgspec

from pipeline.core import times
from pipeline.core.identifiers import PUBLIC_KEY, Registry
from pipeline.core.policy import Policy
from pipeline.dialects import Reader
from pipeline.examples.book import Book, Item, Read, Trigger
from pipeline.examples.claims import Claims, ClaimsError
from pipeline.examples.trigger_topic import TriggerTopic
from pipeline.kafka.connect import BrokerAbsent, Tell, connect
from pipeline.kafka.produce import Sender
from pipeline.kafka.topics import TopicsWrong, partitions
from pipeline.settings import Settings, SettingsError, load

CHANNEL = "email"
SMTP_S = 30.0
WAIT_S = 1.0
RETRY = times.MINUTE
"""After a passing failure a mail is tried again so much later, and no sooner."""
ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,255}")


class Triggers(Protocol):
    """What the mailer reads: trigger_topic.TriggerTopic."""

    def wait(self, seconds: float) -> list[Read]: ...

    def catch_up(self, partition: int | None = None) -> list[Read]: ...


class Outside(NamedTuple):
    """What the mailer uses. open: a new connection to the SMTP server. hand_back: sends a touchpoint (JSON) and returns
    when the brokers have it. now: microseconds. tell: takes a line for the operator, without addresses."""

    triggers: Triggers
    open: Callable[[], smtplib.SMTP]
    hand_back: Callable[[bytes], None]
    now: Callable[[], int]
    tell: Tell


class Mailer:
    """sender: address in From. best_only: only triggers whose best channel is e-mail, where others send the rest."""

    def __init__(self, outside: Outside, claims: Claims, sender: str, *, best_only: bool = False) -> None:
        self._outside, self._claims, self._sender, self._best_only = outside, claims, sender, best_only
        self._book = Book(claims.untold().__contains__)
        self._later: dict[str, int] = {}
        """When a mail that could not be sent is tried again."""

    def start(self) -> None:
        """Reads what there is, and hands back what a former process sent and did not hand back."""
        self._apply(self._outside.triggers.catch_up())
        for trigger_id, at in self._claims.untold().items():
            self._hand_back(trigger_id, at)

    def turn(self, seconds: float) -> None:
        """Sends what is due, then waits so long for more."""
        for partition, trigger in self._book.due(self._outside.now()):
            if self._is_ours(trigger):
                self._deliver(partition, trigger)
        self._apply(self._outside.triggers.wait(seconds))
        self._book.forget_past(self._outside.now())

    def _apply(self, records: list[Read]) -> None:
        self._book.apply(records, self._outside.now())

    def _is_ours(self, trigger: Trigger) -> bool:
        if trigger.trigger_id in self._claims or times.parse(trigger.fired_at or "") < self._claims.since:
            return False
        if self._best_only and trigger.channels[0]["channel"] != CHANNEL:
            return False
        return _address(trigger) is not None and self._later.get(trigger.trigger_id, 0) <= self._outside.now()

    def _deliver(self, partition: int, trigger: Trigger) -> None:
        """One mail. Kept apart: what says that nothing was sent, and what leaves it open."""
        try:
            mail = compose(trigger, self._sender)
            with self._connection() as smtp:
                _envelope(smtp, self._sender, str(mail["To"]))
                if self._claimed(partition, trigger):
                    self._text(smtp, trigger, mail)
        except _Refused as refused:
            self._failed(trigger, refused.code, str(refused))
        except (OSError, smtplib.SMTPException) as error:
            self._failed(trigger, 0, type(error).__name__)

    @contextmanager
    def _connection(self) -> Iterator[smtplib.SMTP]:
        smtp = self._outside.open()
        try:
            yield smtp
            with suppress(OSError, smtplib.SMTPException):
                smtp.quit()
        finally:
            smtp.close()

    def _claimed(self, partition: int, trigger: Trigger) -> bool:
        """Whether the trigger is to be sent at this moment; it is claimed then."""
        claims, trigger_id = self._claims, trigger.trigger_id
        claims.claim(trigger_id, trigger.until)
        wanted = False
        try:
            self._apply(self._outside.triggers.catch_up(partition))
            wanted = self._book.get(trigger_id) == trigger and trigger.is_due(self._outside.now())
        finally:
            if not wanted:
                claims.release(trigger_id)
        return wanted

    def _text(self, smtp: smtplib.SMTP, trigger: Trigger, mail: EmailMessage) -> None:
        """Nothing that happens from here on, but an answer that refuses, says that nothing was sent."""
        try:
            code, answer = smtp.data(mail.as_bytes(policy=WIRE))
        except smtplib.SMTPDataError as error:
            code, answer = error.smtp_code, _bytes(error.smtp_error)
        except (OSError, smtplib.SMTPException) as error:
            self._outside.tell(f"{trigger.trigger_id}: sent or not, nobody knows: {type(error).__name__}")
            return
        if code != 250:
            if code < 500:
                self._claims.release(trigger.trigger_id)
            raise _Refused(code, answer)
        at = self._outside.now()
        self._claims.sent(trigger.trigger_id, at)
        self._outside.tell(f"{trigger.trigger_id}: sent")
        self._hand_back(trigger.trigger_id, at)

    def _failed(self, trigger: Trigger, code: int, why: str) -> None:
        """Refused for good: not tried again. Else later."""
        trigger_id = trigger.trigger_id
        if code >= 500:
            if trigger_id not in self._claims:
                self._claims.claim(trigger_id, trigger.until)
            self._outside.tell(f"{trigger_id}: refused: {why}")
            return
        self._later[trigger_id] = self._outside.now() + RETRY
        self._outside.tell(f"{trigger_id}: not sent yet: {why}")

    def _hand_back(self, trigger_id: str, at: int) -> None:
        """What an erasure has emptied, and an address that nobody proved to own, are not handed back."""
        trigger = self._book.get(trigger_id)
        identifier = trigger.address(CHANNEL) if trigger else None
        if identifier is not None and identifier.get("verified", True):
            self._outside.hand_back(message_sent(trigger_id, identifier, at))
        self._claims.told(trigger_id)


class _Refused(Exception):
    def __init__(self, code: int, answer: bytes) -> None:
        super().__init__(f"{code} (SMTP)")
        self.code, self.answer = code, answer


def _envelope(smtp: smtplib.SMTP, sender: str, recipient: str) -> None:
    smtp.ehlo_or_helo_if_needed()
    for code, answer in (smtp.mail(sender), smtp.rcpt(recipient)):
        if code not in (250, 251):
            raise _Refused(code, answer)


def _bytes(answer: bytes | str) -> bytes:
    return answer.encode() if isinstance(answer, str) else answer


def _address(trigger: Trigger) -> str | None:
    """The e-mail address; None: there is none that can be written to (the policy may publish hashes only)."""
    identifier = trigger.address(CHANNEL)
    if identifier is None or identifier["type"] != "email" or not ADDRESS.fullmatch(identifier["value"]):
        return None
    return str(identifier["value"])


def message_sent(trigger_id: str, identifier: Item, at: int) -> bytes:
    """The touchpoint that tells of a mail; the same for the same trigger."""
    touchpoint = {
        "specversion": "1.0",
        "id": f"sent-{trigger_id}",
        "source": "email/send-mail",
        "type": "message.sent",
        "time": times.text(at),
        "data": {"identifiers": [identifier], "message": {"trigger_id": trigger_id}},
    }
    return msgspec.json.encode(touchpoint)


def compose(trigger: Trigger, sender: str) -> EmailMessage:
    """The mail: yours to write. The link says which trigger it comes from, for the shop's `message.clicked`."""
    assert trigger.cart is not None
    mail = EmailMessage()
    mail["From"], mail["To"] = sender, _address(trigger)
    mail["Subject"] = "You left something behind"
    mail["Message-ID"] = f"<{trigger.trigger_id}@{sender.rpartition('@')[2]}>"
    lines = [_line(line) for cart in (trigger.cart, *trigger.other_carts) for line in cart["lines"]]
    if trigger.cart["recovery_url"]:
        lines += ["", link(trigger.cart["recovery_url"], trigger.trigger_id)]
    mail.set_content("\n".join(lines) + "\n")
    return mail


def _line(line: Item) -> str:
    price = f", {line['price']}" if line["price"] else ""
    return f"{line['quantity']:g} x {line['name'] or line['sku']}{price}"


def link(url: str, trigger_id: str) -> str:
    """The URL with the trigger's id as parameter `trigger`."""
    parts = urlsplit(url)
    query = [*parse_qsl(parts.query, keep_blank_values=True), ("trigger", trigger_id)]
    return urlunsplit(parts._replace(query=urlencode(query)))


# -- the command -----------------------------------------------------------------------------------------------------


class Server(NamedTuple):
    """Where to send mail. tls: none, starttls (default) or tls from the first byte."""

    host: str
    port: int
    tls: str
    user: str | None
    password: str

    def open(self) -> smtplib.SMTP:
        """A connection, logged in. Raises OSError or SMTPException."""
        context = ssl.create_default_context()
        if self.tls == "tls":
            smtp: smtplib.SMTP = smtplib.SMTP_SSL(self.host, self.port, timeout=SMTP_S, context=context)
        else:
            smtp = smtplib.SMTP(self.host, self.port, timeout=SMTP_S)
        try:
            if self.tls == "starttls":
                smtp.starttls(context=context)
            if self.user:
                smtp.login(self.user, self.password)
        except BaseException:
            smtp.close()
            raise
        return smtp


def hand_back(sender: Sender) -> Callable[[bytes], None]:
    """Sends one touchpoint and waits until the brokers have it."""

    def send(line: bytes) -> None:
        before = sender.sent.delivered
        sender.line(line, "message.sent")
        if sender.finish().delivered == before:
            raise click.ClickException("message.sent could not be handed back; it will be at the next start")

    return send


@click.command(help="Sends what triggers say by SMTP. Brokers and prefix come from SELVEDGE_… or --config.")
@click.option("--config", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--host", default="localhost", show_default=True, help="SMTP server.")
@click.option("--port", default=587, show_default=True)
@click.option("--tls", type=click.Choice(["starttls", "tls", "none"]), default="starttls", show_default=True)
@click.option("--user", help="SMTP user; the password comes from --password-file or SMTP_PASSWORD.")
@click.option("--password-file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--sender", required=True, help="Address that the mails come from.")
@click.option("--claims", "path", type=click.Path(path_type=Path, dir_okay=False), default=Path("mail-claims.jsonl"))
@click.option("--since", help="Where there are no claims yet: send what fired from then on (RFC 3339); default: now.")
@click.option("--best-only", is_flag=True, help="Only triggers whose best channel is e-mail.")
def main(path: Path, sender: str, best_only: bool, config: Path | None, since: str | None, **given: Any) -> None:
    if not ADDRESS.fullmatch(sender):
        raise click.BadParameter(f"{sender!r} is no plain address", param_hint="--sender")
    try:
        begin = times.parse(since) if since else _now()
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--since") from None
    file = given.pop("password_file")
    password = file.read_text().strip() if file else os.environ.get("SMTP_PASSWORD", "")
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        settings = load(os.environ, config)
        with Claims(path, _now(), begin) as claims:
            run(settings, Server(password=password, **given), claims, stop, sender, best_only)
    except (SettingsError, ClaimsError, BrokerAbsent, TopicsWrong) as error:
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        pass


def run(
    settings: Settings, server: Server, claims: Claims, stop: threading.Event, sender: str, best_only: bool
) -> None:
    """Sends until `stop` is set."""
    count = partitions(settings, connect(settings, _tell), "triggers")
    reader = Reader(Registry(Policy(), settings.hash_key() or PUBLIC_KEY, settings.shards))
    with closing(TriggerTopic(settings, count)) as triggers:
        outside = Outside(triggers, server.open, hand_back(Sender(settings, reader, _tell)), _now, _tell)
        mailer = Mailer(outside, claims, sender, best_only=best_only)
        mailer.start()
        while not stop.is_set():
            mailer.turn(WAIT_S)


def _now() -> int:
    return time.time_ns() // 1_000


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
