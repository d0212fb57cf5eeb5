"""Mutants of the rules of triggers: the code with one mistake in it, each of which the laws must notice.

`make mutants` looks for the first seed that kills each one and prints the table; `seed` is what it found.
"""

from __future__ import annotations

import sys

from tests.laws.triggers import check, seeds
from tests.simulation.mutants import Mutant, planted

SEEDS = "3000"

MUTANTS = (
    # -- facts -------------------------------------------------------------------------------------------------------
    Mutant(
        "orders of other channels are ignored",
        "core.purchases:_known",
        "return order.placed",
        "return order.placed if order.placed is None or order.placed.channel == 'web' else None",
        17,
    ),
    Mutant(
        "orders of other devices are ignored",
        "core.cart:_walk",
        "times = [order.time for order in orders]",
        "orders = [one for one in orders if {at for _, at in one.facts} & {at for _, at in track.changes}]\n"
        "    times = [order.time for order in orders]",
        3,
    ),
    Mutant(
        "the changes of a cart on two devices are not one cart",
        "core.cart:_join",
        "known.changes = list(distinct.values())",
        "pass",
        10,
    ),
    Mutant(
        "activity on other devices does not put a deadline off",
        "core.quiet:Activities.__init__",
        "[fragment.activity for fragment in fragments if fragment.activity]",
        "[fragment.activity for fragment in list(fragments)[:1]]",
        126,
    ),
    Mutant(
        "a late change does not convert with the order before it",
        "core.basket:Basket.change",
        "if self.lines:\n",
        "if False:\n",
        280,
    ),
    Mutant(
        "what was bought stays on the wish list",
        "core.triggers.families.wishlist:_Walk.order",
        "if len(left) == len(self._lines):",
        "if True:",
        121,
    ),
    Mutant(
        "whoever ordered is asked to come back",
        "core.triggers.families.browse:_episode",
        "if order is not None:",
        "if False:",
        256,
    ),
    # -- when --------------------------------------------------------------------------------------------------------
    Mutant(
        "no hold",
        "core.triggers.due:_ready_at",
        "if case.caught_up_to >= deadline:",
        "if True:",
        47,
    ),
    Mutant(
        "no grace",
        "core.triggers.due:_ready_at",
        "ready_at = deadline + case.policy.grace",
        "ready_at = deadline",
        18,
    ),
    Mutant(
        "a cart that was handed to another shard is not judged there",
        "core.moves:Moves.adopt",
        "roots.joined(root, name, ripe=ripe, told=bool(seat.told))",
        "roots.joined(root, name, ripe=False, told=False)",
        3,
    ),
    Mutant(
        "alarms are not noted",
        "core.folding:Folding._set_alarm",
        "elif wait is not None:",
        "elif False:",
        0,
    ),
    # -- how often ---------------------------------------------------------------------------------------------------
    Mutant(
        "caps per device",
        "core.triggers.reasons:Why.__init__",
        "case.live()",
        "[told for told in case.live() if told.origin == due.point.fragment]",
        5,
    ),
    Mutant(
        "what was retracted counts as live",
        "core.triggers.case:Case.live",
        "if told.live",
        "if told.fired_at",
        17,
    ),
    Mutant(
        "the same contents are told again",
        "core.triggers.firing:_is_told",
        "if meant and due.point.contents in",
        "if False and due.point.contents in",
        641,
    ),
    Mutant(
        "no lower family is silent",
        "core.triggers.reasons:_is_outranked",
        "level, window = LEVEL[due.family], case.policy.family_window",
        "return False",
        54,
    ),
    # -- what was sent -----------------------------------------------------------------------------------------------
    Mutant(
        "an order that becomes known later withdraws nothing",
        "core.triggers.lifecycle:_withdrawn_by",
        "if order.time <= told.fired_at:",
        "if False:",
        572,
    ),
    Mutant(
        "a removal that becomes known later withdraws nothing",
        "core.triggers.lifecycle:_withdrawn_by",
        'if episode.end in ("emptied", "superseded")',
        "if False",
        308,
    ),
    Mutant(
        "two that were told stay told when they are one",
        "core.trigger:review",
        "_retract_duplicates(case)",
        "pass",
        71,
    ),
    Mutant(
        "published triggers do not move with their seat",
        "core.moves:Moves.adopt",
        "seat.wake = seat.hold = 0",
        "seat.wake, seat.hold, seat.told = 0, 0, {}",
        3,
    ),
    Mutant(
        "own mail is not read before a tick",
        "tests.laws.trigger_world:TriggerWorld._tick",
        "self._deliver(now)\n    self._epoch(now)",
        "waiting, self.mail = self.mail, [[] for _ in self.groups]\n    self._epoch(now)\n"
        "    sent, self.mail = self.mail, waiting\n    self._deliver(now)\n    self.mail = sent",
        47,
    ),
)


def killed(mutant: Mutant, wanted: range) -> tuple[int | None, str]:
    """The first seed whose history notices the mistake, and how."""
    with planted(mutant):
        for seed in wanted:
            try:
                check(seed)
            except Exception as error:
                return seed, (str(error).splitlines() or [type(error).__name__])[0]
    return None, ""


def main(text: str = "", *names: str) -> int:
    """Prints the table of seeds to kill, as that of the protocol. names: parts of the names of those to look at."""
    wanted, survivors = seeds(text or SEEDS), 0
    chosen = [mutant for mutant in MUTANTS if not names or any(name in mutant.name for name in names)]
    for mutant in chosen:
        seed, how = killed(mutant, wanted)
        survivors += seed is None
        print(f"{'survives' if seed is None else seed:>8}  {mutant.name}: {how[:100]}", flush=True)
    print(f"{len(chosen)} mutants, {survivors} survive {len(wanted)} seeds")
    return min(1, survivors)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
