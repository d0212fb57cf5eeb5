"""`make simulate SEEDS=…` and `make mutants`: many worlds on all cores, with a line that says how far it is.

SEEDS is a number of seeds (from 0), or FIRST:LAST (without LAST). A failure is told with its seed, the whole
configuration, what happened to the processes, and the command that replays and shrinks it.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from itertools import islice

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


def told(world: World, error: BaseException) -> str:
    seed = world.config.seed
    lines = [f"seed {seed}: {traceback.format_exception_only(error)[-1].strip()}", str(world.config)]
    lines += [f"  {time:7.2f} s  {name}: {what}" for time, name, what in world.log]
    lines += [line.rstrip() for line in traceback.format_tb(error.__traceback__, -3)]
    lines.append(f"replay: make simulate SEEDS={seed}:{seed + 1}")
    lines.append(f"shrink: python -m tests.simulation.shrink {seed}")
    return "\n".join(lines)


def _part(part: range) -> list[str]:
    return [failure for seed in part if (failure := failed(seed))]


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
                print(f"{done} of {len(wanted)} worlds in {noted - begun:.0f} s, {failures} failed", flush=True)
    return failures


def killed(mutant: Mutant, wanted: Iterable[int]) -> tuple[Mutant, int | None, str]:
    """The first of these seeds whose world notices the mutant, and how."""
    for seed in wanted:
        world = World(Config.of(seed))
        try:
            with planted(mutant):
                world.run()
            compare(world)
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            return mutant, seed, (str(error).splitlines() or [str(place.line)])[0]
    return mutant, None, ""


def mutants(wanted: range, names: list[str]) -> int:
    """Prints the table of seeds to kill; the number of survivors."""
    survivors = 0
    chosen = [mutant for mutant in MUTANTS if not names or any(name in mutant.name for name in names)]
    with ProcessPoolExecutor() as pool:
        for answer in _done(pool, killed, chosen, wanted):
            mutant, seed, how = answer.result()
            survivors += seed is None
            print(f"{'survives' if seed is None else seed:>8}  {mutant.name}: {how[:100]}", flush=True)
    print(f"{len(chosen)} mutants, {survivors} survive {len(wanted)} seeds")
    return survivors


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
