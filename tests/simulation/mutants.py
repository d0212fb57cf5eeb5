"""Mutants of the protocol: the production code with one mistake in it, each of which worlds must notice.

A mutant replaces text in the source of one function, for as long as `planted` lasts. `make mutants` looks for the first
seed that kills each one and prints the table; `seed` or `bag` is what it found. What needs two things to happen within
a moment that worlds hardly ever hit is killed by a test that makes them happen.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from typing import Any, NamedTuple

from tests.core import test_index
from tests.kafka import test_clock, test_commit, test_recovery


class Mutant(NamedTuple):
    """where: `module:Class.method` below `pipeline`, or of `tests` for what only they model. old: text that is there
    once. What kills it: seed: of a world, bag: of a bag of mail, test: that fails. more: (where, old, new) of
    further places."""

    name: str
    where: str
    old: str
    new: str
    seed: int | None = None
    bag: int | None = None
    test: Callable[[], None] | None = None
    more: tuple[tuple[str, str, str], ...] = ()


@contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    with ExitStack() as stack:
        for place in ((mutant.where, mutant.old, mutant.new), *mutant.more):
            stack.enter_context(_replaced(mutant.name, *place))
        yield


@contextmanager
def _replaced(mutant: str, where: str, old: str, new: str) -> Iterator[None]:
    owner, name = _found(where)
    original = inspect.getattr_static(owner, name)
    function = original.fget if isinstance(original, property) else original
    source = getattr(function, "mutated", None) or textwrap.dedent(inspect.getsource(function))
    assert source.count(old) == 1, f"{mutant}: {where} has changed"
    source = source.replace(old, new)
    made: dict[str, Any] = {}
    exec(compile("from __future__ import annotations\n" + source, mutant, "exec"), function.__globals__, made)
    made[name].mutated = source
    setattr(owner, name, made[name])
    try:
        yield
    finally:
        setattr(owner, name, original)


def _found(where: str) -> tuple[Any, str]:
    module, _, path = where.partition(":")
    *classes, name = path.split(".")
    owner: Any = import_module(module if module.startswith("tests.") else f"pipeline.{module}")
    for part in classes:
        owner = getattr(owner, part)
    return owner, name


def on_memory(test: Callable[[test_recovery.Make], None]) -> Callable[[], None]:
    """A test of takeovers, on the broker in memory."""

    def run() -> None:
        test(test_recovery.in_memory())

    run.__name__ = test.__name__
    return run


MUTANTS = (
    # -- the index ---------------------------------------------------------------------------------------------------
    Mutant(
        "linked in the wrong order",
        "core.unionfind:Index.unite",
        "elif parent != smaller:",
        "elif parent != smaller and self._order(smaller) > self._order(parent):",
        seed=3,
    ),
    Mutant(
        "no guard on Point",
        "core.unionfind:Index.point",
        "if masked or self._order(message.root) < self._order(node.parent):",
        "if True:",
        bag=1645,
        test=test_index.test_a_late_point_does_not_lead_back_to_a_former_root,
    ),
    Mutant("a hub is not answered with Shared", "core.unionfind:Index._crowd", "told = [anchor]", "told = []", seed=5),
    Mutant(
        "a hub by fan-out is not answered with Shared",
        "core.unionfind:Index.link",
        "elif node.hub or node.turn:",
        "elif False:",
        seed=16,
    ),
    Mutant(
        "earlier anchors are not told of a hub",
        "core.unionfind:Index._mark",
        "for anchor in node.anchors:",
        "for anchor in ():",
        seed=3,
    ),
    Mutant(
        "what was received before a hub was one is not united",
        "core.unionfind:Index.link",
        "(not node.hub or message.received < node.hub)",
        "not node.hub",
        test=test_index.test_whoever_was_seen_before_a_hub_was_one_is_united_with_it_in_any_order,
    ),
    Mutant(
        "what is seen with a fan-out hub is not told",
        "core.folding:Folding._link",
        "if fragment.hub:\n",
        "if False:\n",
        seed=18,
    ),
    # -- clusters on the move ----------------------------------------------------------------------------------------
    Mutant(
        "an Adopt is dropped",
        "core.moves:Moves._hand_over",
        "self._post(Adopt(",
        "name == members[-1] and self._post(Adopt(",
        seed=3,
    ),
    Mutant(
        "a seat is copied instead of moved",
        "core.moves:Moves._hand_over",
        "roots.seats.drop(name)",
        "pass",
        seed=0,
    ),
    Mutant(
        "a bundle is cut before the drain",
        "core.moves:Moves._hand_over",
        "        roots.seats.drop(name)\n        roots.replicas.drop(name)\n    for",
        "        self.__dict__.setdefault('gone', []).append(name)\n    for",
        seed=1,
        more=(
            ("core.moves:Moves.cut", "members = roots.clusters.pop(old)", "members = roots.clusters[old]"),
            ("core.moves:Moves.cut", "cause = roots.dirty.pop(old, None)", "cause = roots.dirty.get(old)"),
            (
                "core.moves:Moves.cut",
                "self._absorb(root, old, members)",
                "del roots.clusters[old]; roots.dirty.pop(old, None); self._absorb(root, old, members)",
            ),
            (
                "core.group:Group.drain",
                "return self._collect()",
                "for shard in self._shards.values():\n"
                "        for name in shard.moves.__dict__.pop('gone', ()):\n"
                "            shard.roots.seats.drop(name); shard.roots.replicas.drop(name)\n"
                "            shard.roots.clusters.pop(name, None)\n"
                "    return self._collect()",
            ),
        ),
    ),
    Mutant(
        "a cluster is solved while seats are on their way",
        "core.settle:Settler.settle",
        "if seat.waiting:",
        "if False:",
        bag=17,
    ),
    Mutant(
        "a replica without its seat gets a new one",
        "core.roots:Roots.note_orphan",
        "self.orphans.note(name, root)",
        "self.seats.put(name, Seat(name, root)); self.clusters[root].append(name)",
        seed=1,
    ),
    Mutant(
        "seats that arrived at a former root are not counted",
        "core.moves:Moves._hand_over",
        "self._post(Arrived(parent, bundle, arrived, size))",
        "pass",
        bag=80,
    ),
    Mutant(
        "orphans stay behind",
        "core.moves:Moves._hand_over",
        "for name in roots.orphans.at(old):",
        "for name in []:",
        bag=3,
    ),
    Mutant(
        "orphans are forgotten in recovery",
        "core.orphans:Orphans.load",
        "self._enter(name, root)",
        "pass",
        seed=73,
    ),
    Mutant(
        "bundles on their way are forgotten when roots unite",
        "core.moves:Moves._absorb",
        "self._expect(root, bundle, arrived, size)",
        "pass",
        bag=155,
    ),
    Mutant(
        "a fragment does not travel with its seat",
        "core.moves:Moves._row_for",
        "return self._fragments.encoded(name) if self._index.is_here(name) else replica(name)",
        "return None",
        seed=3,
    ),
    Mutant(
        "no guard on the version of a Report",
        "core.roots:Roots.replicate",
        "elif version_of(row) > version_of(self.replicas.encoded(name)):",
        "else:",
        seed=10,
    ),
    Mutant(
        "alarms of changed carts are dropped",
        "core.settle:Settler.settle",
        "roots.sound(cause)",
        "pass",
        seed=2,
    ),
    Mutant(
        "a publication that is due is forgotten in recovery",
        "core.roots:Roots.load_seat",
        "self.timers.arm(root, wake)",
        "pass",
        seed=8,
    ),
    Mutant(
        "redirects do not follow",
        "core.publish:Publisher.identities",
        "if seat.revision and name != group.owner and seat.target != profile_id:",
        "if seat.revision and name != group.owner and seat.target == registry.profile_id(name):",
        seed=11,
    ),
    # -- facts -------------------------------------------------------------------------------------------------------
    Mutant(
        "deduplication rows are not kept",
        "core.shard:Shard.collect",
        'yield b"D" + key, row',
        "pass",
        seed=7,
    ),
    Mutant(
        "deduplication rows are not loaded",
        "core.shard:Shard.load",
        "self.folding.dedup.load",
        "lambda *_: None",
        seed=7,
    ),
    # -- epochs ------------------------------------------------------------------------------------------------------
    Mutant(
        "the state is committed before the outputs",
        "kafka.epoch:Epoch.perform",
        "self._produce_outputs(work)  # 2",
        "self._produce_rows(work); self._produce_positions(work); self._commit(); self._producer.begin_transaction()"
        "; self._produce_outputs(work)",
        seed=10,
    ),
    Mutant(
        "the outputs are committed before the state",
        "kafka.epoch:Epoch.perform",
        "self._produce_mail(work)  # 3",
        "self._commit(); self._producer.begin_transaction(); self._produce_mail(work)",
        seed=8,
    ),
    Mutant(
        "the position is committed after the state",
        "kafka.epoch:Epoch.perform",
        "self._produce_positions(work)  # 5",
        "self._commit(); self._producer.begin_transaction(); self._produce_positions(work)",
        test=test_commit.test_at_every_effect_of_an_epoch_all_of_it_is_visible_or_nothing,
    ),
    Mutant(
        "the position is not committed",
        "kafka.epoch:Epoch._produce_positions",
        "for shard, position in work.positions.items():",
        "for shard, position in ():",
        seed=0,
    ),
    Mutant(
        "the position moves on while it is committed",
        "kafka.committer:Committer._positions",
        "chosen[shard] = copy(lease.position)",
        "chosen[shard] = lease.position",
        seed=6,
    ),
    Mutant(
        "the position is stored before the fold",
        "kafka.owner:Owner.read",
        "records[-1].offset + 1 if first < count else block.end",
        "block.end",
        seed=9,
    ),
    Mutant(
        "a lost answer is taken for a commit",
        "kafka.epoch:retry",
        "if error.fatal()",
        "if error.retriable():\n                return\n            if error.fatal()",
        seed=1,
    ),
    Mutant(
        "a failed epoch does not end the process",
        "kafka.committer:Committer._ordered",
        "fail_stop(error)",
        "pass",
        seed=2,
    ),
    Mutant(
        "dead letters are kept for ever",
        "kafka.intake:Intake.take",
        "letters, self._dead_letters = self._dead_letters, []",
        "letters = list(self._dead_letters)",
        seed=2,
    ),
    Mutant(
        "records are folded again",
        "kafka.intake:_unread",
        "return [record for record in records if record.offset >= position]",
        "return records",
        seed=5,
    ),
    # -- ownership ---------------------------------------------------------------------------------------------------
    Mutant(
        "nobody is fenced",
        "kafka.recovery:Recovery._fence_one",
        "fencing.init_transactions(ANSWER_S)",
        "None",
        seed=33,
    ),
    Mutant(
        "the order of claims is turned round",
        "kafka.recovery:Shard.before",
        "offset < self.claim",
        "offset > self.claim",
        seed=33,
    ),
    Mutant(
        "owners that have just released are fenced",
        "kafka.recovery:Recovery._read",
        "if not there and self._outside.monotonic() - moved < GRACE_S:",
        "if False:",
        seed=3,
    ),
    Mutant(
        "open transactions are not waited for",
        "kafka.recovery:Recovery._read",
        "there = all(shard.at >= target[number] for number, shard in shards.items())",
        "there = self._outside.monotonic() - moved > 0.1",
        test=test_recovery.test_who_reads_slowly_reads_to_the_end_all_the_same,
    ),
    Mutant(
        "claims are not released",
        "kafka.owner:Owner._give_up",
        "return [(shard, self._recovery.own) for shard in self._recovery.release()]",
        "return []",
        seed=2,
    ),
    Mutant(
        "memory is trusted whoever owned the shard",
        "kafka.recovery:Shard.stale",
        "return self.kept and (self.foreign or not self.released)",
        "return False",
        test=on_memory(test_recovery.test_memory_is_dropped_when_somebody_owned_the_shard_meanwhile),
    ),
    Mutant(
        "a release behind a claim is not seen",
        "kafka.recovery:Shard._apply_claim",
        "self.overtaken |= key != own and since < self.claim < offset",
        "pass",
        test=on_memory(test_recovery.test_an_owner_whose_claim_came_before_a_release_is_seen_by_who_released),
    ),
    Mutant(
        "blocks of an earlier lease are read",
        "kafka.owner:Owner.read",
        "if lease is None or lease.number != block.lease:",
        "if lease is None:",
        test=test_commit.test_a_block_of_an_earlier_lease_is_passed_over,
    ),
    Mutant(
        "a shard begins at the end of its sources",
        "kafka.recovery:Shard.apply",
        "self.position = decode_position(value) if value is not None else None",
        "self.position = self.position or decode_position(value)",
        seed=5,
    ),
    # -- the record clock --------------------------------------------------------------------------------------------
    Mutant(
        "the record clock does not wait for mail",
        "kafka.clock:RecordClock.read",
        "self._rise(self._agreed(self._hops))",
        "self._rise(self._agreed(0))",
        seed=35,
    ),
    Mutant(
        "the record clock does not wait for others",
        "kafka.clock:RecordClock._agreed",
        "return min(report.levels[level] for report in self.reports.values()) if self._complete() else 0",
        "return max([report.levels[level] for report in self.reports.values()], default=0)",
        test=test_clock.test_the_record_clock_waits_for_the_slowest_of_all_shards,
    ),
    Mutant(
        "reports are heard of before they are committed",
        "kafka.committer:Committer._perform",
        "seconds = await self._wait(lambda: self._epochs.perform(work))",
        "self.clock.heard(work.progress); seconds = await self._wait(lambda: self._epochs.perform(work))",
        test=test_commit.test_a_report_is_heard_of_once_what_it_says_is_committed,
    ),
)
