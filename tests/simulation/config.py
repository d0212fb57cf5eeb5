"""What a seed decides of its world. `Config.of(seed)` chooses anew, above all which faults there are."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

FAULTS = (
    "crash",  # a process ends between any two of its effects
    "pause",  # a process stands still, for longer than the group waits: it goes on as a zombie
    "slow",  # an answer takes long, or the queue of records is full
    "lost",  # an answer is lost, whether or not what was asked for has been done
    "leave",  # a process is told to stop, and another one comes
    "rebalance",  # the group deals the shards out anew
    "steps",  # a process's time of day is set to another one
    "poison",  # bytes that are no touchpoint
    "bug",  # a record that the core cannot do with: an operator has it passed over
    "again",  # a block of records is delivered a second time
    "repeats",  # a touchpoint is sent again, to any shard
    "holes",  # aborted transactions of producers
    "shuffled",  # mail of one sender in another order
    "compaction",  # the state topic is compacted
)

HARD = ("crash", "pause", "slow", "lost", "bug")
"""Faults of processes and their connections. Without them nobody is taken for dead."""
GENTLE = tuple(fault for fault in FAULTS if fault not in HARD)
FOLD_ALIKE = ("plain", "hubs", "degree", "fanout", "tight", "oversize")
"""Policies of which one may follow the other without a rebuild."""


@dataclass(frozen=True)
class Config:
    """clock: of the workers. processes: alive at once. haste: virtual seconds in which all touchpoints are sent.
    epoch_s, look_s: how often workers do so. lag_s: how late mail is read, at most, until
    all is quiet. block: records read at once, at most. order: of touchpoints; on the record clock as they are received.
    ladder: links make ever smaller roots. new_policy: workers are restarted with it on the way, one after the other;
    empty: none is.
    """

    seed: int
    policy: str
    clock: str
    size: int
    shards: int
    processes: int
    haste: float
    epoch_s: float
    look_s: float
    lag_s: float
    block: int
    order: str
    ladder: bool
    faults: tuple[str, ...]
    new_policy: str = ""

    @property
    def last_policy(self) -> str:
        return self.new_policy or self.policy

    @staticmethod
    def of(seed: int) -> Config:
        rnd = Random(seed)
        policy = rnd.choice(("plain", "plain", "hubs", "hubs", "degree", "fanout", "tight", "loose", "oversize"))
        return Config(
            seed=seed,
            policy=policy,
            clock=rnd.choice(("record", "record", "wall")),
            size=rnd.choice((3, 8, 14, 20, 28)),
            shards=rnd.choice((1, 2, 3, 5, 8)),
            processes=rnd.choice((1, 2, 3, 4)),
            haste=rnd.choice((0.0, 4.0, 8.0)),
            epoch_s=rnd.choice((0.3, 0.6, 1.2)),
            look_s=rnd.choice((0.7, 1.2)),
            lag_s=rnd.choice((0.2, 1.0, 4.0)),
            block=rnd.choice((1, 2, 8)),
            order=rnd.choice(("received", "weakest first", "any")),
            ladder=rnd.random() < 0.4,
            faults=tuple(fault for fault in (FAULTS if rnd.random() < 0.8 else GENTLE) if rnd.random() < 0.35),
            new_policy=rnd.choice(FOLD_ALIKE) if policy in FOLD_ALIKE and rnd.random() < 0.2 else "",
        )
