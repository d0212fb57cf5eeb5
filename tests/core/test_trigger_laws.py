"""Laws of triggers on random stories."""

from __future__ import annotations

from hypothesis import given, settings

from tests.core.shopper import Facts, Record, hindsight, live, newest
from tests.core.stories import stories

UNTIL = 8 * 24 * 60


@settings(max_examples=200, deadline=None)
@given(stories())
def test_what_is_published_depends_on_what_was_known_and_not_on_what_was_folded(facts: Facts) -> None:
    assert _judged(live(facts, UNTIL)) == _judged(hindsight(facts, UNTIL))


def _judged(records: list[Record]) -> list[Record]:
    """Without the profile's id: it is made from the oldest anchor, however late that was received."""
    return [{**record, "profile_id": None} for record in records]


@settings(max_examples=100, deadline=None)
@given(stories())
def test_revisions_count_up_and_retraction_is_final(facts: Facts) -> None:
    newest(live(facts, UNTIL))
