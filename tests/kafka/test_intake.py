"""Records to the core: none twice, none lost, none that is bad."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from pipeline.core.effects import Effects
from pipeline.core.touchpoint import Data, Id, Rejected, Touchpoint
from pipeline.kafka.dead_letters import SUPPRESSED, Share, Source, dead_letter
from pipeline.kafka.failstop import Stop, describe
from pipeline.kafka.intake import Intake, Lease
from pipeline.kafka.state import Position
from pipeline.kafka.stats import Stats
from pipeline.settings import Settings

SOURCE = Source("selvedge.touchpoints", 3, "group", "worker")


@dataclass
class Record:
    offset: int
    value: bytes | None = b"fine"
    timestamp: int = 1_700_000_000_000
    key: bytes | None = b"key"
    headers: list[tuple[str, bytes | None]] = field(default_factory=list)


class Core:
    """Notes what it is given."""

    next_due = next_held = None
    waiting = 0

    def __init__(self) -> None:
        self.touched: list[str] = []
        self.received: list[bytes] = []

    def add(self, shard: int, /, rows: Iterable[tuple[bytes, bytes]] = ()) -> None: ...

    def remove(self, shard: int, /) -> Any: ...

    def restore(self, shard: int, removed: Any, /) -> None: ...

    def touch(self, shard: int, touchpoint: Touchpoint, /) -> None:
        if touchpoint.id == "bug":
            raise ZeroDivisionError("jane@example.com")
        self.touched.append(touchpoint.id)

    def receive(self, shard: int, mail: bytes, /) -> None:
        self.received.append(mail)

    def drain(self, now: int, caught_up_to: int) -> Effects:
        return Effects()

    def oldest_erasure(self) -> int:
        return 0

    def held(self) -> dict[str, tuple[int, int]]:
        return {}


class Reader:
    """A record's value is the touchpoint's id; what begins with `bad` is rejected with that code."""

    def read(self, value: bytes | None, timestamp: int | None, headers: object = ()) -> list[Touchpoint | Rejected]:
        text = (value or b"").decode()
        if text.startswith("bad"):
            return [Rejected(text, "it is bad")]
        return [Touchpoint(text, "web/s", "web", "page.viewed", 1, timestamp or 0, (Id("cookie:c"),), Data())]


@pytest.fixture
def core() -> Core:
    return Core()


def intake(core: Core, settings: Settings | None = None) -> Intake:
    return Intake(settings or Settings(), core, Reader(), Share(Decimal("0.5")), Stats(), "worker")


def lease(touchpoints: int = 0, mail: int = 0) -> Lease:
    return Lease(3, 1, Position(touchpoints, mail))


def test_records_below_the_position_are_not_folded_again(core: Core) -> None:
    mine = lease(touchpoints=2)
    intake(core).touchpoints(mine, [Record(1, b"a"), Record(2, b"b"), Record(4, b"c")], start=0, end=6)
    assert core.touched == ["b", "c"] and mine.position.touchpoints == 6 and mine.moved


def test_a_block_without_records_moves_the_position_and_nothing_else(core: Core) -> None:
    mine = lease(touchpoints=2)
    intake(core).touchpoints(mine, [], start=2, end=5)
    assert mine.position.touchpoints == 5 and not mine.moved


def test_a_block_that_begins_above_the_position_ends_the_process(core: Core) -> None:
    with pytest.raises(Stop, match="touchpoints:3: offsets 2 to 6 were not delivered"):
        intake(core).touchpoints(lease(touchpoints=2), [Record(7)], start=7, end=8)
    with pytest.raises(Stop, match="mail:3: offsets 2 to 6 were not delivered"):
        intake(core).mail(lease(mail=2), [Record(7)], start=7, end=8)


def test_mail_is_handed_over_as_it_is(core: Core) -> None:
    mine = lease(mail=1)
    intake(core).mail(mine, [Record(1, b"\x00"), Record(3, b"\x01")], start=1, end=5)
    assert core.received == [b"\x00", b"\x01"] and mine.position.mail == 5


def test_the_position_remembers_when_the_newest_touchpoint_was_received(core: Core) -> None:
    """Also where an older one comes after it: else a clock of records would rest before the end."""
    mine = lease()
    source = intake(core)
    source.touchpoints(mine, [Record(0, timestamp=5), Record(1, b"bad", timestamp=9)], start=0, end=2)
    assert mine.position.received == 5_000
    source.touchpoints(mine, [Record(2, timestamp=3)], start=2, end=3)
    assert mine.position.received == 5_000


def test_what_is_rejected_goes_to_the_dead_letters_once(core: Core) -> None:
    source = intake(core)
    source.touchpoints(lease(), [Record(0, b"bad"), Record(1, b"a")], start=0, end=2)
    [letter] = source.take()
    assert letter.value == b"bad" and core.touched == ["a"]
    assert source.take() == []


def test_a_record_that_breaks_the_core_is_named_and_its_contents_are_not(core: Core) -> None:
    with pytest.raises(Stop) as caught:
        intake(core).touchpoints(lease(), [Record(5, b"a"), Record(6, b"bug")], start=0, end=7)
    message = str(caught.value)
    assert "SELVEDGE_SKIP=touchpoints:3:6" in message
    assert "ZeroDivisionError at" in message and "test_intake.py" in message
    assert "jane" not in message and caught.value.__cause__ is None and caught.value.__suppress_context__


def test_a_record_that_the_operator_names_is_passed_over(core: Core) -> None:
    source = intake(core, Settings(skip=frozenset({("touchpoints", 3, 6), ("mail", 3, 0)})))
    mine = lease(touchpoints=5)
    source.touchpoints(mine, [Record(5, b"a"), Record(6, b"bug"), Record(7, b"b")], start=5, end=8)
    source.mail(mine, [Record(0, b"broken"), Record(1, b"fine")], start=0, end=2)
    assert core.touched == ["a", "b"] and core.received == [b"fine"]
    assert [letter.value for letter in source.take()] == [b"bug", b"broken"]


def test_a_dead_letter_keeps_the_record_and_says_why() -> None:
    letter = dead_letter(
        SOURCE, Record(7, headers=[("own", b"1")]), Rejected("bad_field", "data.items", stage="VALIDATE")
    )
    assert (letter.key, letter.value) == (b"key", b"fine")
    assert letter.headers == [
        ("own", b"1"),
        ("__connect.errors.topic", b"selvedge.touchpoints"),
        ("__connect.errors.partition", b"3"),
        ("__connect.errors.offset", b"7"),
        ("__connect.errors.connector.name", b"group"),
        ("__connect.errors.task.id", b"worker"),
        ("__connect.errors.stage", b"VALIDATE"),
        ("__connect.errors.exception.class.name", b"bad_field"),
        ("__connect.errors.exception.message", b"data.items"),
    ]


def test_what_an_erased_person_sent_is_not_kept_again() -> None:
    letter = dead_letter(SOURCE, Record(7, headers=[("own", b"1")]), Rejected(SUPPRESSED, "erased"))
    assert (letter.key, letter.value) == (None, None)
    assert "own" not in dict(letter.headers)


def test_too_large_a_share_of_refused_touchpoints_stops_the_worker() -> None:
    share = Share(Decimal("0.5"))
    share.note(999, 999, now=0)
    with pytest.raises(Stop, match=r"999 of the last 1000 .* max_share"):
        share.note(1, 0, now=1)


def test_only_the_last_minute_counts() -> None:
    share = Share(Decimal("0.5"))
    share.note(999, 999, now=0)
    share.note(900, 0, now=60)
    share.note(100, 100, now=61)


def test_a_share_of_one_switches_the_limit_off() -> None:
    Share(Decimal(1)).note(5_000, 5_000, now=0)


def test_a_description_has_places_and_no_values() -> None:
    try:
        raise KeyError("jane@example.com")
    except KeyError as error:
        assert describe(error).startswith("KeyError at ")
        assert "test_intake.py" in describe(error) and "jane" not in describe(error)
