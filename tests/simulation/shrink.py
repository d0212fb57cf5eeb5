"""`python -m tests.simulation.shrink SEED`: the fewest faults and touchpoints with which a world fails in the same way.

Faults are taken away and touchpoints left out as long as the same line fails. As leaving one out changes the course of
a world, each attempt is made with several seeds.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from dataclasses import replace

from pipeline.core.times import text
from pipeline.core.touchpoint import Touchpoint
from tests.simulation.checks import check
from tests.simulation.config import Config
from tests.simulation.world import World

ATTEMPTS = 20


def failure(config: Config, touchpoints: list[Touchpoint] | None = None) -> str | None:
    """Where and how the world fails; None: it does not."""
    try:
        check(World(config, touchpoints))
    except Exception as error:
        line = traceback.extract_tb(error.__traceback__)[-1]
        return f"{line.filename}:{line.lineno} {type(error).__name__} {str(error)[:200]}"
    return None


def shrink(config: Config) -> tuple[Config, list[Touchpoint]]:
    touchpoints = World(config).touchpoints
    wanted = failure(config, touchpoints)
    if wanted is None:
        raise SystemExit(f"{config} does not fail")
    print(wanted)
    for calmer in _calmer(config):
        config = _failing(calmer(config), touchpoints, wanted) or config
    size = len(touchpoints)
    while size := size // 2:
        for shorter in _without(touchpoints, size):
            kept = [tp for tp in touchpoints if tp in shorter]
            if kept and (found := _failing(config, kept, wanted)):
                config, touchpoints = found, kept
    return config, touchpoints


def _calmer(config: Config) -> Iterator:
    """Steps towards a quieter world."""
    for fault in config.faults:
        yield lambda config, fault=fault: replace(config, faults=tuple(one for one in config.faults if one != fault))
    for number in range(1, config.processes):
        yield lambda config, number=number: replace(config, processes=min(number, config.processes))
    for number in range(1, config.shards):
        yield lambda config, number=number: replace(config, shards=min(number, config.shards))


def _failing(config: Config, touchpoints: list[Touchpoint], wanted: str) -> Config | None:
    """The configuration with a seed for which the world fails at the same place."""
    tries = (replace(config, seed=config.seed + n) for n in range(ATTEMPTS))
    place = wanted.split()[0]
    return next((one for one in tries if (failure(one, touchpoints) or " ").split(" ")[0] == place), None)


def _without(touchpoints: list[Touchpoint], size: int) -> Iterator[list[Touchpoint]]:
    """The list without each stretch of that size."""
    for start in range(0, len(touchpoints), size):
        yield touchpoints[:start] + touchpoints[start + size :]


def main(seed: int) -> None:
    config, touchpoints = shrink(Config.of(seed))
    print(config)
    for tp in touchpoints:
        print(tp.id, tp.type, f"time {text(tp.time)} received {text(tp.received)}", *tp.ids)


if __name__ == "__main__":
    main(int(sys.argv[1]))
