"""The laws of triggers, each sentence on random histories. `make simulate SEEDS=20000` runs more of them, `SEEDS=17:18`
one; a failure names the seed, whose history `history(seed)` gives.

a  For every live fired trigger the full history shows its episode open, unempty and unordered up to `fired_at`.
b  Every episode that the full history wants told, and that stays open, is live, suppressed with a reason, covered by a
   live trigger of its person, or was told and retracted.
   Of a person of whom nothing came late, each was due just then, and no lower family followed a higher one.
c  Arrivals up to `grace` late, and partitions read up to `max_hold` late, give the same triggers as arrival in time,
   but for histories with anything right after a deadline, or with persons that merge or split after one.
d  At no instant do fired triggers exceed the caps, save between a merge and its retraction.
e  Nobody is told twice of the same contents and step.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise
from random import Random
from typing import Any

import msgspec

from pipeline.core.effects import Output
from pipeline.core.identifiers import Registry
from pipeline.core.replay import Replay
from pipeline.core.times import DAY, parse
from pipeline.core.touchpoint import Id, Touchpoint
from tests.core.shopper import Facts, World
from tests.laws.trigger_histories import history
from tests.laws.trigger_oracle import Life, lives
from tests.laws.trigger_world import UNTIL, Layout, Record, TriggerWorld

SEEDS = "5000"
LEVELS = {"checkout": 0, "cart": 0, "store_basket": 1, "wishlist": 2, "browse": 3}


def check(seed: int) -> None:
    """Raises AssertionError where a history breaks a law."""
    rnd = Random(seed)
    kind = seed % 4
    if kind == 0:
        facts = history(seed)
        _hold_for_all(facts, _replayed(facts, final=rnd.random() < 0.5))
    elif kind == 1:
        facts = history(seed)
        world = TriggerWorld(facts, Layout.of(rnd), rnd)
        for _ in world.run():
            _capped(world)
        _hold_for_all(facts, world.records)
    elif kind == 2:
        _punctual(seed, rnd)
    else:
        _lagging(seed, rnd)


def _hold_for_all(facts: Facts, records: list[Record]) -> None:
    _final(records)
    known = _lives(facts)
    _borne_out(records, known)
    _accounted_for(facts, records, known)
    _told_once(records)


def _replayed(facts: Facts, *, final: bool) -> list[Record]:
    records: list[Record] = []

    def take(output: Output) -> None:
        if output.topic == "triggers":
            records.append(msgspec.json.decode(output.value or b""))

    run = Replay(facts.registry, take, final=final)
    for tp in sorted(facts.all, key=lambda tp: tp.received):
        run.touch(tp)
    run.finish(UNTIL)
    return records


def _person_of(touchpoints: Iterable[Touchpoint], registry: Registry) -> dict[Id, str]:
    """Identifier -> profile id."""
    world = World(registry)
    for tp in touchpoints:
        world.fold(tp)
    return {id: person.profile_id for person in world.persons() for id in person.ids}


def _lives(facts: Facts) -> dict[str, list[Life]]:
    """The episodes of each person that there is in the end."""
    person_of = _person_of(facts.all, facts.registry)
    told: dict[str, list[Touchpoint]] = defaultdict(list)
    for tp in facts.all:
        if tp.type != "identity.unlinked":
            told[person_of[tp.ids[0]]].append(tp)
    policy = facts.registry.policy.triggers
    return {person: lives(touchpoints, policy) for person, touchpoints in told.items()}


def newest(records: Iterable[Record]) -> dict[str, Record]:
    return {record["trigger_id"]: record for record in records}


def _final(records: Iterable[Record]) -> None:
    """Revisions count up, and nothing follows a retraction."""
    known: dict[str, Record] = {}
    for record in records:
        before = known.get(record["trigger_id"])
        assert record["revision"] == (before["revision"] + 1 if before else 1), "a revision was left out"
        assert before is None or before["status"] != "retracted", "retraction is final"
        known[record["trigger_id"]] = record


# -- a and b ---------------------------------------------------------------------------------------------------------


def _borne_out(records: Iterable[Record], known: dict[str, list[Life]]) -> None:
    by_event = {event: life for told in known.values() for life in told for event in life.events}
    for record in newest(records).values():
        if record["status"] in ("fired", "recovered"):
            life = by_event.get(record["evidence"]["last_change"])
            assert life is not None, f"there never was such an episode: {record}"
            fired_at = parse(record["fired_at"])
            assert life.state(fired_at) is not None, f"it was not open: {record}"
            assert life.ordered_at is None or life.ordered_at > fired_at, f"it had been bought: {record}"


def _accounted_for(facts: Facts, records: Iterable[Record], known: dict[str, list[Life]]) -> None:
    policy = facts.registry.policy.triggers
    told = list(newest(records).values())
    about = {record["evidence"]["last_change"] for record in told}
    for own in known.values():
        events = {event for life in own for event in life.events}
        covered = {
            cart["cart_id"]
            for record in told
            if record["status"] in ("fired", "recovered") and record["evidence"]["last_change"] in events
            for cart in record["other_carts"]
        }
        for life in own:
            wanted = [
                time
                for time in life.due
                if (state := life.state(time)) and state[1] in policy.enabled and time + policy.grace <= UNTIL
            ]
            if wanted and life.end is None:
                assert about & life.events or life.key in covered, f"nothing was said of {life}"


# -- c ---------------------------------------------------------------------------------------------------------------


def equal(records: Iterable[Record]) -> dict[str, tuple[Any, ...]]:
    compared = ("family", "step", "deadline_at", "status", "reason")
    return {id: tuple(record[name] for name in compared) for id, record in newest(records).items()}


def _punctual(seed: int, rnd: Random) -> None:
    """One person, nothing late; then the same up to `grace` late."""
    facts = history(seed, late=False, persons=False, step=10)
    late = Facts()
    late.registry = facts.registry
    grace = facts.registry.policy.triggers.grace
    late.all = [_received(tp, tp.time + rnd.randint(0, grace)) for tp in facts.all]
    in_time = _replayed(facts, final=True)
    _hold_for_all(facts, in_time)
    _in_time(facts, in_time)
    if equal(_replayed(late, final=False)) != equal(in_time):
        assert _any_after_deadline(facts, in_time, grace), "what came within grace shows"


def _lagging(seed: int, rnd: Random) -> None:
    """Nothing late, but partitions are read with a lag."""
    facts = history(seed, late=False, persons=rnd.random() < 0.5, step=20)
    in_time = _replayed(facts, final=True)
    world = TriggerWorld(facts, Layout.of(rnd, lag=True), rnd)
    for _ in world.run():
        _capped(world)
    _hold_for_all(facts, world.records)
    policy, both = facts.registry.policy.triggers, [*in_time, *world.records]
    if equal(world.records) != equal(in_time):
        excepted = _any_after_deadline(facts, both, policy.max_hold + policy.grace) or _regrouped(facts, both)
        assert excepted, "what was read within the hold shows"


def _in_time(facts: Facts, records: Iterable[Record]) -> None:
    """One person of whom nothing came late: what fired was due then, and no lower family followed a higher one."""
    policy = facts.registry.policy.triggers
    (known,) = _lives(facts).values()
    by_event = {event: life for life in known for event in life.events}
    fired = [record for record in newest(records).values() if record["status"] in ("fired", "recovered")]
    for record in fired:
        due = by_event[record["evidence"]["last_change"]].due
        assert parse(record["deadline_at"]) - policy.steps[record["step"] - 1] in due, f"it was not due then: {record}"
    for record in fired:
        higher = [parse(one["deadline_at"]) for one in fired if LEVELS[one["family"]] < LEVELS[record["family"]]]
        deadline = parse(record["deadline_at"])
        assert not any(0 <= deadline - time < policy.family_window for time in higher), f"it was outranked: {record}"


def _any_after_deadline(facts: Facts, records: Iterable[Record], span: int) -> bool:
    deadlines = {parse(record["deadline_at"]) for record in records}
    return any(deadline < tp.time <= deadline + span for tp in facts.all for deadline in deadlines)


def _regrouped(facts: Facts, records: Iterable[Record]) -> bool:
    """Whether persons merged or split after a deadline."""
    first = min((parse(record["deadline_at"]) for record in records), default=UNTIL)
    times = [first, *sorted({tp.received for tp in facts.all if tp.received > first})]
    known = [_person_of([tp for tp in facts.all if tp.received <= time], facts.registry) for time in times]
    return any(
        (before[a] == before[b]) != (after[a] == after[b])
        for before, after in pairwise(known)
        for a in before
        for b in before
    )


def _received(tp: Touchpoint, received: int) -> Touchpoint:
    copied: dict[str, Any] = {name: getattr(tp, name) for name in tp.__struct_fields__}
    return Touchpoint(**{**copied, "received": received})


# -- d and e ---------------------------------------------------------------------------------------------------------


def _capped(world: TriggerWorld) -> None:
    """By the anchor of what it tells of, each trigger is its person's of now; unless a merge is on its way."""
    if any(world.mail):
        return
    live = [record for record in newest(world.records).values() if record["status"] == "fired"]
    if len(live) < 2:
        return
    person_of = _person_of(world.taken, world.registry)
    anchors = {tp.id: tp.ids[0] for tp in world.taken}
    fired: dict[str, list[int]] = defaultdict(list)
    for record in live:
        person = person_of[anchors[record["evidence"]["last_change"]]]
        fired[person].append(parse(record["deadline_at"]))
    policy = world.registry.policy.triggers
    for person, times in fired.items():
        times.sort()
        for window, cap in ((DAY, policy.cap_24h), (7 * DAY, policy.cap_7d)):
            near = zip(times, times[cap:], strict=False)
            assert all(after - time >= window for time, after in near), f"{person} is told too often: {times}"


def _told_once(records: Iterable[Record]) -> None:
    for by in (lambda record: record["episode_id"], lambda record: record["evidence"]["last_change"]):
        told = Counter(
            (
                by(record),
                record["step"],
                tuple(sorted((line["sku"], line["quantity"]) for line in record["cart"]["lines"])),
            )
            for record in records
            if record["status"] == "fired"
        )
        assert not told or max(told.values()) == 1, f"told twice: {told.most_common(1)}"


def seeds(text: str) -> range:
    """A number of seeds (from 0), or FIRST:LAST (without LAST)."""
    first, _, last = text.rpartition(":")
    return range(int(first or 0), int(last))


def main(text: str = "") -> int:
    wanted, failed = seeds(text or SEEDS), 0
    for seed in wanted:
        try:
            check(seed)
        except Exception as error:
            failed += 1
            print(f"seed {seed}: {type(error).__name__}: {error}", flush=True)
    print(f"{len(wanted)} histories of triggers, {failed} failed")
    return min(1, failed)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
