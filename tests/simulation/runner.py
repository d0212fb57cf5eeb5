"""`make simulate SEEDS=…` and `make mutants`: many worlds and bags on all cores, with a line that says how far it is.

SEEDS is a number of seeds (from 0), or FIRST:LAST (without LAST). A failure is told with its seed, the whole
configuration, what happened to the processes, and the command that replays and shrinks it.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from functools import partial
from itertools import islice
from typing import NamedTuple

import pytest

from tests.simulation import bag as bags
from tests.simulation.bag import Bag
from tests.simulation.checks import check, compare
from tests.simulation.config import Config
from tests.simulation.mutants import MUTANTS, Mutant, planted
from tests.simulation.world import World

PART = 25
"""Seeds that a process is given at once."""
NOTE_S = 1.0
TOLD_MAX = 3
"""Failures told in full."""
SEEDS = 2_000


def seeds(text: str) -> range:
    first, _, last = text.rpartition(":")
    return range(int(first or 0), int(last))


def failed(seed: int) -> str | None:
    """What is to be told of a world that fails; None: it does not."""
    world = World(Config.of(seed))
    try:
        check(world)
    except Exception as error:
        return told(world, error)
    return None


def failed_bag(seed: int) -> str | None:
    """The same of a bag of mail."""
    bag = Bag(bags.Config.of(seed))
    try:
        bag.run()
        bag.check()
    except Exception as error:
        return "\n".join([f"bag {_headline(bag.config.seed, error)}", str(bag.config), *_trace(error), _replay(seed)])
    return None


def told(world: World, error: BaseException) -> str:
    seed = world.config.seed
    lines = [_headline(seed, error), str(world.config)]
    lines += [f"  {time:7.2f} s  {name}: {what}" for time, name, what in world.log]
    lines += [*_trace(error), _replay(seed), f"shrink: python -m tests.simulation.shrink {seed}"]
    return "\n".join(lines)


def _headline(seed: int, error: BaseException) -> str:
    return f"seed {seed}: {traceback.format_exception_only(error)[-1].strip()}"


def _trace(error: BaseException) -> list[str]:
    return [line.rstrip() for line in traceback.format_tb(error.__traceback__, -3)]


def _replay(seed: int) -> str:
    return f"replay: make simulate SEEDS={seed}:{seed + 1}"


def _part(part: range) -> list[str]:
    return [failure for seed in part for fails in (failed, failed_bag) if (failure := fails(seed))]


def simulate(wanted: range) -> int:
    """The number of failures."""
    failures, done = 0, 0
    begun = noted = time.monotonic()
    with ProcessPoolExecutor() as pool:
        for part in _done(pool, _part, [wanted[start : start + PART] for start in range(0, len(wanted), PART)]):
            done = min(done + PART, len(wanted))
            for failure in part.result():
                failures += 1
                print(failure if failures <= TOLD_MAX else failure.partition("\n")[0], flush=True)
            if time.monotonic() - noted > NOTE_S or done == len(wanted):
                noted = time.monotonic()
                print(f"{done} of {len(wanted)} seeds in {noted - begun:.0f} s, {failures} failed", flush=True)
    return failures


class Kill(NamedTuple):
    """by: what noticed the mutant, empty if nothing did; how it did."""

    mutant: Mutant
    by: str
    how: str


def killed(mutant: Mutant, wanted: Iterable[int]) -> Kill:
    """The first of these seeds that notices the mutant, or else its test. Raises AssertionError where the code to plant
    it in has changed."""
    with planted(mutant):
        pass
    tries: list[tuple[str, Callable[[Mutant], None]]] = []
    if mutant.bag is not None:
        tries += [(f"bag {seed}", partial(_fails_a_bag, seed)) for seed in wanted]
    elif mutant.seed is not None or mutant.test is None:
        tries += [(str(seed), partial(_fails_a_world, seed)) for seed in wanted]
    if mutant.test is not None:
        tries.append((mutant.test.__name__, _fails_a_test))
    for by, attempt in tries:
        try:
            attempt(mutant)
        except (Exception, pytest.fail.Exception) as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            return Kill(mutant, by, (str(error).splitlines() or [str(place.line)])[0])
    return Kill(mutant, "", "")


def _fails_a_world(seed: int, mutant: Mutant) -> None:
    world = World(Config.of(seed))
    with planted(mutant):
        world.run()
    compare(world)


def _fails_a_bag(seed: int, mutant: Mutant) -> None:
    bag = Bag(bags.Config.of(seed))
    with planted(mutant):
        bag.run()
    bag.check()


def _fails_a_test(mutant: Mutant) -> None:
    assert mutant.test is not None
    with planted(mutant):
        mutant.test()


def mutants(wanted: range, names: list[str]) -> int:
    """Prints the table of what kills which; the number of survivors."""
    survivors = 0
    chosen = [n for n, mutant in enumerate(MUTANTS) if not names or any(name in mutant.name for name in names)]
    with ProcessPoolExecutor() as pool:
        for answer in _done(pool, _killed, chosen, wanted):
            name, by, how = answer.result()
            survivors += not by
            print(f"{by if len(by) < 9 else 'a test' if by else 'survives':>8}  {name}: {how[:100]}", flush=True)
    print(f"{len(chosen)} mutants, {survivors} survive {len(wanted)} seeds")
    return survivors


def _killed(number: int, wanted: range) -> tuple[str, str, str]:
    kill = killed(MUTANTS[number], wanted)
    return kill.mutant.name, kill.by, kill.how


def _done(pool: ProcessPoolExecutor, call: object, parts: list, *args: object) -> Iterator[Future]:
    """Answers as they come; no more parts are given out at once than there are cores to work on them."""
    waiting, rest = set(), iter(parts)
    for part in islice(rest, 2 * (os.cpu_count() or 1)):
        waiting.add(pool.submit(call, part, *args))
    while waiting:
        done = next(as_completed(waiting))
        waiting.remove(done)
        for part in islice(rest, 1):
            waiting.add(pool.submit(call, part, *args))
        yield done


def main(what: str, text: str, *names: str) -> int:
    wanted = seeds(text or str(SEEDS))
    return min(1, simulate(wanted) if what == "simulate" else mutants(wanted, list(names)))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
