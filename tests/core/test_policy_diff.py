"""Two outcomes side by side: who was merged, split and moved, what became of triggers, which keys need a rebuild."""

from __future__ import annotations

from typing import Any

from pipeline.core.policy import load
from pipeline.core.policy_changes import changes
from pipeline.core.policy_diff import Difference, Outcome, compare, text
from pipeline.core.touchpoint import Id


def outcome(persons: dict[str, str], triggers: dict[str, str] | None = None, shared: str = "") -> Outcome:
    """persons: profile id -> identifiers, one letter each. triggers: id -> status and reasons."""
    return Outcome(
        {person: frozenset(map(Id, ids)) for person, ids in persons.items()},
        set(map(Id, shared)),
        {id: _trigger(id, *said.split()) for id, said in (triggers or {}).items()},
        {},
        {},
    )


def _trigger(id: str, status: str, *reasons: str) -> dict[str, Any]:
    times = dict.fromkeys(("deadline_at", "send_not_before"), "2026-03-02T08:00:00Z")
    return {
        "trigger_id": id,
        "episode_id": f"e-{id}",
        "family": "cart",
        "step": 1,
        "status": status,
        "reasons": list(reasons),
        "channels": [],
        "profile_id": "1",
        **times,
    }


def diff(old: Outcome, new: Outcome, samples: int = 5) -> Difference:
    return compare(old, new, [], 0, samples)


def test_many_before_and_one_after_are_merged() -> None:
    found = diff(outcome({"1": "a", "2": "bc", "3": "d"}), outcome({"1": "abc", "3": "d"})).persons
    assert (found.merged, found.split, found.moved) == (2, 0, 0)
    assert [group.profile_id for group in found.merged_samples[0].before] == ["1", "2"]


def test_one_before_and_many_after_is_split() -> None:
    found = diff(outcome({"1": "abc"}), outcome({"1": "ab", "2": "c"})).persons
    assert (found.merged, found.split, found.moved) == (0, 1, 0)
    assert [group.identifiers for group in found.split_samples[0].after] == [["a", "b"], ["c"]]


def test_an_identifier_that_goes_from_one_person_to_another_has_moved() -> None:
    found = diff(outcome({"1": "abx", "2": "cd"}), outcome({"1": "ab", "2": "cdx"})).persons
    assert (found.merged, found.split, found.moved) == (0, 0, 1)
    assert (found.moved_samples[0].identifier, found.moved_samples[0].after) == ("x", "2")


def test_another_profile_id_of_the_same_identifiers_is_a_new_name() -> None:
    found = diff(outcome({"1": "ab"}), outcome({"2": "ab"})).persons
    assert (found.renamed, found.merged, found.split) == (1, 0, 0)


def test_identifiers_that_only_one_policy_knows_and_hubs_are_told() -> None:
    found = diff(outcome({"1": "ab", "2": "h"}), outcome({"1": "a", "2": "h", "3": "n"}, shared="h")).persons
    assert (found.gone_samples, found.new_samples, found.shared_samples) == (["b"], ["n"], ["h"])


def test_triggers_are_told_by_what_they_were_and_are_with_all_reasons() -> None:
    old = outcome({}, {"1": "fired", "2": "fired", "3": "suppressed consent", "4": "fired"})
    new = outcome({}, {"1": "suppressed shared cap_24h", "2": "fired", "3": "fired"})
    found = diff(old, new)
    assert [(one.before, one.after, one.reasons) for one in found.triggers] == [
        ("fired", "none", {}),
        ("fired", "suppressed", {"shared": 1, "cap_24h": 1}),
        ("suppressed", "fired", {"consent": 1}),
    ]
    assert found.triggers_same == 1
    assert "deadline 2026-03-02T08:00:00Z: fired -> suppressed (shared, cap_24h)" in text(found)


def test_totals_count_all_and_samples_are_few() -> None:
    old = outcome({str(n): f"{n}{chr(97 + n)}" for n in range(9)})
    new = outcome({f"{n}{end}": (f"{n}", chr(97 + n))[end] for n in range(9) for end in (0, 1)})
    found = diff(old, new, samples=2).persons
    assert (found.split, len(found.split_samples)) == (9, 2)


def test_equal_outcomes_say_that_nothing_would_differ() -> None:
    same = outcome({"1": "ab"}, {"1": "fired"})
    assert diff(same, same).nothing
    assert "Nothing would differ." in text(diff(same, same))


def test_changed_keys_say_which_of_them_need_a_rebuild() -> None:
    old = load("")
    new = load('[identity]\norder = ["email", "cookie"]\nperson_max = 7\nblocked = ["x"]\n[triggers]\ncap_24h = 2\n')
    found = {change.key: change for change in changes(old, new)}
    assert found["identity.order"].fold and found["identity.blocked"].fold
    assert (found["identity.person_max"].old, found["identity.person_max"].new) == ("1000", "7")
    assert not found["triggers.cap_24h"].fold
    assert not changes(old, old)
