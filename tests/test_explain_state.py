"""Explaining a running system: from the rows of its state topic, as shards wrote them."""

from __future__ import annotations

from random import Random

import pytest

from pipeline.core.explain.case import explain
from pipeline.core.explain.known import Known
from pipeline.core.group import Group
from pipeline.core.identifiers import Registry
from pipeline.core.policy import Policy, load
from pipeline.core.state import StateError
from pipeline.explain import CannotExplain, from_state, under
from pipeline.kafka import look
from pipeline.settings import Settings
from tests.histories import history, policy

SHARDS = 3


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> Group:
    """Shards that have drained, with their rows in what stands for the state topic."""
    registry = Registry(policy("hubs"), shards=SHARDS)
    group = Group(registry)
    for number in range(SHARDS):
        group.add(number)
    rows: list[look.Rows] = [{} for _ in range(SHARDS)]
    for touchpoint in history(Random(7), 60, registry):
        group.touch(registry.home(touchpoint.ids[0]), touchpoint)
        for shard, changed in group.drain(touchpoint.received, touchpoint.received).rows.items():
            rows[shard].update({key: row for key, row in changed.items() if row is not None})

    def state_rows(_: Settings, shards: int, kinds: bytes | None = None) -> list[look.Rows]:
        assert shards == SHARDS and kinds is not None
        return [{key: row for key, row in shard.items() if key[:1] in kinds} for shard in rows]

    monkeypatch.setattr(look, "state_rows", state_rows)
    return group


def test_state_explains_as_the_shards_themselves(running: Group) -> None:
    registry = Registry(policy("hubs"), shards=SHARDS)
    state, shards = from_state(Settings(), registry), Known(running.fragments(), registry)
    persons = {registry.profile_id(person.owner): person for person in running.persons()}
    for profile_id, person in persons.items():
        found = explain(state, person.ids[0])
        assert found == explain(shards, person.ids[0])
        assert found.persons[0].profile_id == profile_id
        assert found.persons[0].identifiers == [state.label(id) for id in person.ids]


def test_a_policy_that_workers_do_not_have_yet_is_laid_over_their_state(running: Group) -> None:
    registry = Registry(policy("degree"), shards=SHARDS)
    state, shards = from_state(Settings(), registry), Known(running.fragments(), registry).under(registry)
    assert state.hubs == shards.hubs != Known(running.fragments(), registry).hubs
    for person in running.persons():
        assert explain(state, person.ids[0]) == explain(shards, person.ids[0])


def test_state_that_was_folded_with_another_policy_is_refused(running: Group) -> None:
    other = load('[identity]\ndedup_window = "30d"\nfold_case = ["cookie"]')
    with pytest.raises(StateError):
        from_state(Settings(), Registry(other, shards=SHARDS))


@pytest.mark.parametrize("key", ['blocked = ["guest"]', "blocked_defaults = false", 'unique = ["customer"]'])
def test_a_policy_that_reads_touchpoints_in_another_way_is_not_laid_over_what_is_known(key: str) -> None:
    with pytest.raises(CannotExplain, match=rf"identity\.{key.split()[0]}: .* give its files with --input"):
        under(Known([], Registry(Policy())), load(f"[identity]\n{key}"), b"")
