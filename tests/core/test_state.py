"""Whether a process may go on with a state: the same folding keys, the same secret, the same shards."""

from __future__ import annotations

import pytest

from pipeline.core import state
from pipeline.core.group import Group
from pipeline.core.identifiers import Registry
from pipeline.core.policy import load
from pipeline.core.state import Outdated, StateError


def check(old: Registry, new: Registry) -> bool:
    return state.check(state.encode(state.made_with(old)), new)


def ruled(text: str) -> Registry:
    return Registry(load(text))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("", 'identity.blocked = ["n/a"]', 'identity.blocked is ["n/a"], the state has []'),
        ("", "identity.blocked_defaults = false", "identity.blocked_defaults is false, the state has true"),
        (
            'identity.blocked_patterns = { "*" = ["x"] }',
            "",
            'identity.blocked_patterns is {}, the state has { "*" = ["x"] }',
        ),
        ("", 'identity.fold_case = ["cookie"]', 'identity.fold_case is ["cookie"], the state has []'),
    ],
)
def test_a_key_that_touchpoints_are_read_by_is_refused_with_both_values(old: str, new: str, told: str) -> None:
    with pytest.raises(StateError) as refused:
        check(ruled(old), ruled(new))
    assert told in str(refused.value)
    assert str(refused.value).endswith("run: selvedge rebuild")


@pytest.mark.parametrize(
    ("new", "archived", "rebuilding", "topic_has_all"),
    [
        ('identity.blocked = ["n/a"]', False, False, True),
        ('identity.blocked = ["n/a"]\nidentity.fold_case = ["cookie"]', False, False, False),
        ('identity.blocked = ["n/a"]', True, False, False),
        ("", False, True, True),
        ("", True, True, False),
    ],
)
def test_what_is_blocked_takes_a_reading_of_the_topic_unless_an_archive_was_read(
    new: str, archived: bool, rebuilding: bool, topic_has_all: bool
) -> None:
    made = state.encode(state.made_with(ruled(""), archived=archived, rebuilding=rebuilding))
    with pytest.raises(StateError) as refused:
        state.check(made, ruled(new))
    assert isinstance(refused.value, Outdated) == topic_has_all


def test_that_an_archive_was_read_is_known_under_every_later_policy() -> None:
    made = state.encode(state.made_with(ruled(""), archived=True))
    group = Group(ruled("identity.person_max = 5"))
    group.add(0, [(state.KEY, made)])
    assert state.readable(group.drain(0, 0).rows[0][state.KEY], ruled("")).archived


def test_any_other_key_has_everybody_grouped_anew() -> None:
    assert not check(ruled(""), ruled("identity.person_max = 5"))
    assert check(ruled(""), ruled(""))


def test_another_secret_or_number_of_shards_is_refused() -> None:
    with pytest.raises(StateError, match="SELVEDGE_HASH_KEY_FILE"):
        check(ruled(""), Registry(load(""), b"another secret"))
    with pytest.raises(StateError, match="shards are fixed for life"):
        check(ruled(""), Registry(load(""), shards=2))
