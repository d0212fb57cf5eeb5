"""The example that sends mail: nothing withdrawn, nothing twice, whenever it is killed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pipeline.core import times
from pipeline.core.identifiers import Registry
from pipeline.core.policy import Policy
from pipeline.core.touchpoint import Touchpoint
from pipeline.dialects import Reader
from pipeline.examples.book import Read
from pipeline.examples.claims import Claims, ClaimsError
from pipeline.examples.send_mail import Mailer, Outside, link
from tests.examples.mailbox import OK, Mailbox

NOW = times.parse("2026-03-02T08:00:00Z")
EXAMPLE = json.loads((Path(__file__).parents[2] / "schemas/trigger.schema.json").read_text())["examples"][0]
A = "b93fd18f-6a89-5d35-9f33-928dd27fa167"
B = "b0c8ba2a-2176-5fd2-a4af-3979106f22ed"


def record(trigger_id: str = A, status: str = "fired", revision: int = 1, **changes: Any) -> bytes:
    """A record that may be sent from NOW on, for a day."""
    own = {"trigger_id": trigger_id, "status": status, "revision": revision}
    when = {"fired_at": times.text(NOW), "send_not_before": times.text(NOW), "expires_at": times.text(NOW + times.DAY)}
    return json.dumps(EXAMPLE | own | when | changes).encode()


class Topic:
    """Records that are readable, all in partition 0. `looked` is called before each look at it."""

    def __init__(self, *records: bytes) -> None:
        self.records = list(records)
        self.looked: Callable[[], None] = lambda: None
        self._read = 0

    def catch_up(self, partition: int | None = None) -> list[Read]:
        self.looked()
        found = [Read(0, value) for value in self.records[self._read :]]
        self._read = len(self.records)
        return found

    def wait(self, seconds: float) -> list[Read]:
        return self.catch_up()


class Run:
    """A mailer from its start on; `now` is its clock."""

    def __init__(self, path: Path, topic: Topic, mailbox: Mailbox, now: int = NOW, **given: Any) -> None:
        self.now, self.topic = now, topic
        self.handed_back: list[bytes] = []
        self.told: list[str] = []
        self.claims = Claims(path, now, NOW)
        outside = Outside(topic, mailbox.open, self.hand_back, lambda: self.now, self.told.append)
        self.mailer = Mailer(outside, self.claims, "shop@example.com", **given)
        self.mailer.start()

    def hand_back(self, line: bytes) -> None:
        self.topic.looked()
        self.handed_back.append(line)

    def turn(self, by: int = 0) -> None:
        self.now += by
        self.mailer.turn(0)

    def end(self) -> None:
        self.claims.__exit__(None, None, None)


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with Mailbox() as mailbox:
        yield mailbox


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "claims"


def test_a_fired_trigger_is_mailed_once_and_handed_back(path: Path, mailbox: Mailbox) -> None:
    run = Run(path, Topic(record(), record()), mailbox)
    run.turn()
    run.turn(times.MINUTE)
    assert mailbox.triggers == [A]
    mail = mailbox.mails[0]
    assert (mail["To"], mail["From"]) == ("eva.294@example.com", "shop@example.com")
    assert "1 x Acme Linen Shirt, 49.90" in str(mail.get_payload())
    (read,) = Reader(Registry(Policy())).read(run.handed_back[0], NOW)
    assert isinstance(read, Touchpoint)
    assert (read.type, read.data.message) == ("message.sent", read.data.message)
    assert A in run.handed_back[0].decode() and read.ids[0].startswith("email:")


def test_it_waits_for_send_not_before_and_drops_what_has_expired(path: Path, mailbox: Mailbox) -> None:
    later, gone = times.text(NOW + times.HOUR), times.text(NOW + times.MINUTE)
    run = Run(path, Topic(record(send_not_before=later)), mailbox)
    run.turn()
    run.turn(times.HOUR - 1)
    assert mailbox.triggers == []
    run.turn(1)
    assert mailbox.triggers == [A]
    run.topic.records.append(record(B, expires_at=gone))
    run.turn()
    run.turn()
    assert mailbox.triggers == [A]


@pytest.mark.parametrize("status", ["retracted", "recovered", "suppressed"])
@pytest.mark.parametrize("swapped", [False, True])
def test_only_the_highest_revision_counts_in_whatever_order(
    path: Path, mailbox: Mailbox, status: str, swapped: bool
) -> None:
    records = [record(), record(status=status, revision=2)]
    run = Run(path, Topic(*(reversed(records) if swapped else records)), mailbox)
    run.turn()
    assert mailbox.triggers == []


def test_what_was_suppressed_first_and_fires_later_is_sent(path: Path, mailbox: Mailbox) -> None:
    none = {"fired_at": None, "send_not_before": None, "expires_at": None, "channels": []}
    run = Run(path, Topic(record(status="suppressed", **none), record(revision=2)), mailbox)
    run.turn()
    assert mailbox.triggers == [A]


def test_a_withdrawal_that_is_readable_before_the_text_goes_out_is_heeded(path: Path, mailbox: Mailbox) -> None:
    run = Run(path, Topic(record()), mailbox)

    def withdraw(step: str) -> str:
        run.topic.records.append(record(status="retracted", revision=2))
        return OK

    mailbox.answer = withdraw
    run.turn()
    run.turn(times.HOUR)
    assert mailbox.triggers == [] and run.handed_back == []


def test_the_newer_contents_are_sent_if_they_come_at_the_last_moment(path: Path, mailbox: Mailbox) -> None:
    run = Run(path, Topic(record()), mailbox)
    mail = [{"channel": "email", "rank": 1, "identifier": {"type": "email", "value": "new@example.com"}}]

    def revise(step: str) -> str:
        if len(run.topic.records) == 1:
            run.topic.records.append(record(revision=2, channels=mail))
        return OK

    mailbox.answer = revise
    run.turn()
    run.turn()
    assert [one["To"] for one in mailbox.mails] == ["new@example.com"]


@pytest.mark.parametrize("step", ["rcpt", "data"])
def test_a_passing_failure_is_tried_again_and_a_refusal_is_not(path: Path, mailbox: Mailbox, step: str) -> None:
    run = Run(path, Topic(record()), mailbox)
    mailbox.answer = lambda at: "451 later" if at == step else OK
    run.turn()
    mailbox.answer = lambda at: OK
    run.turn()
    assert mailbox.triggers == []
    run.turn(times.MINUTE)
    assert mailbox.triggers == [A]
    run.topic.records.append(record(B))
    run.turn()
    mailbox.answer = lambda at: "550 never" if at == step else OK
    run.turn()
    mailbox.answer = lambda at: OK
    run.turn(times.HOUR)
    assert mailbox.triggers == [A]


def test_a_server_that_is_away_stops_nothing(path: Path, mailbox: Mailbox) -> None:
    closed = Mailbox()
    run = Run(path, Topic(record()), closed)
    run.turn()
    assert run.told == [f"{A}: not sent yet: ConnectionRefusedError"]


@pytest.mark.parametrize(
    "identifier",
    [None, {"type": "email_sha256", "value": "ab" * 32}, {"type": "email", "value": "a@b.example\r\nBcc: x@y.example"}],
)
def test_what_has_no_address_is_not_mailed(path: Path, mailbox: Mailbox, identifier: dict[str, str] | None) -> None:
    run = Run(path, Topic(record(channels=[{"channel": "email", "rank": 1, "identifier": identifier}])), mailbox)
    run.turn()
    assert mailbox.triggers == []


def test_where_others_send_too_only_the_best_channel_counts(path: Path, mailbox: Mailbox) -> None:
    push = {"channel": "push", "rank": 1, "identifier": {"type": "device", "value": "d-1"}}
    run = Run(path, Topic(record(channels=[push, *EXAMPLE["channels"]]), record(B)), mailbox, best_only=True)
    run.turn()
    assert mailbox.triggers == [B]


class Moment(NamedTuple):
    """What a kill leaves: the claims on disk, the mails that the server took, what was handed back."""

    claims: bytes
    mails: list[str]
    handed_back: int


def test_killed_at_any_moment_it_sends_each_trigger_at_most_once(path: Path, mailbox: Mailbox) -> None:
    topic = Topic(record(), record(B))
    moments: list[Moment] = []
    run = Run(path, topic, mailbox)

    def note(step: str = "") -> str:
        moments.append(Moment(path.read_bytes(), list(mailbox.triggers), len(run.handed_back)))
        return OK

    topic.looked, mailbox.answer = note, note
    run.turn()
    note()
    run.end()
    assert len({moment.claims for moment in moments}) == 7 and moments[-1].mails == [B, A]
    for number, moment in enumerate(moments):
        after = path.with_name(f"after-{number}")
        after.write_bytes(moment.claims)
        mailbox.mails.clear()
        mailbox.answer = lambda step: OK
        again = Run(after, Topic(*topic.records), mailbox, NOW + times.MINUTE)
        again.turn()
        again.end()
        sent = moment.mails + mailbox.triggers
        assert len(set(sent)) == len(sent), moment
        claimed = {entry for entry in (A, B) if f'"claimed","{entry}"' in moment.claims.decode()}
        assert {A, B} - claimed <= set(sent)
        known = {one for one in (A, B) if f'"sent","{one}"' in after.read_text() + moment.claims.decode()}
        told = {json.loads(line)["id"] for line in run.handed_back[: moment.handed_back] + again.handed_back}
        assert {f"sent-{one}" for one in known} <= told


def test_a_kill_while_a_claim_is_written_claims_nothing_and_harms_nothing(path: Path) -> None:
    with Claims(path, NOW, NOW) as claims:
        before = path.read_bytes()
        claims.claim(A, NOW + times.DAY)
        whole = path.read_bytes()
    for length in range(len(before), len(whole) + 1):
        path.write_bytes(whole[:length])
        with Claims(path, NOW, NOW) as claims:
            assert (A in claims) == (length == len(whole))
            claims.claim(B, NOW + times.DAY)
        with Claims(path, NOW, NOW) as claims:
            assert B in claims


def test_claims_are_one_processs_and_are_forgotten_a_day_after_the_trigger_expired(path: Path) -> None:
    with Claims(path, NOW, NOW) as claims:
        claims.claim(A, NOW + times.DAY)
        with pytest.raises(ClaimsError, match="another process"):
            Claims(path, NOW, NOW)
    with Claims(path, NOW + 2 * times.DAY - 1, NOW) as claims:
        assert A in claims
    with Claims(path, NOW + 2 * times.DAY, NOW) as claims:
        assert A not in claims and claims.since == NOW


def test_what_fired_before_the_claims_begin_is_never_sent(path: Path, mailbox: Mailbox) -> None:
    run = Run(path, Topic(record(fired_at=times.text(NOW - 1)), record(B)), mailbox)
    run.turn()
    assert mailbox.triggers == [B]


def test_what_is_no_file_of_claims_is_refused(path: Path) -> None:
    path.write_text("what\n")
    with pytest.raises(ClaimsError, match="no file of claims"):
        Claims(path, NOW, NOW)


def test_the_link_of_a_mail_says_which_trigger_it_comes_from() -> None:
    assert link("https://shop.example/r/1?a=b", A) == f"https://shop.example/r/1?a=b&trigger={A}"
