"""Any engine against the kit: `python -m tests.conformance.run [--orders N] PROGRAM [ARGUMENT…]`.

The program is started once. It reads one run per line from standard input, `{"policy": …, "touchpoints": […]}` as in
the cases, and answers each at once with one line on standard output: `{"persons": [[[namespace, value], …], …]}`, and
if it can, `shared`, `rejected`, `removed` and `reasons`. What it answers is compared with `expect`, in any order of
groups and identifiers; what it leaves out is not. Exit status 1 if anything differs.
"""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import REMAINDER, ArgumentParser
from collections.abc import Callable, Iterable, Iterator
from itertools import zip_longest
from random import Random
from typing import Any, NamedTuple

from tests.conformance.kit import Case, cases

Engine = Callable[[Case], Case]
"""A run (policy and touchpoints) -> what the engine says of it."""

COMPARED = ("persons", "rejected", "shared", "removed")


class Difference(NamedTuple):
    case: str
    order: str
    member: str
    expected: Any
    answered: Any


def orders(case: Case, number: int) -> Iterator[tuple[str, list[Case]]]:
    """Ways in which the touchpoints of a case may come, by name: as given, reversed, each twice, and `number` random
    ones, every other with repeats."""
    given = case["touchpoints"]
    yield "as given", given
    yield "reversed", given[::-1]
    yield "each twice", [each for each in given for _ in range(2)]
    for n in range(number):
        name = f"{case['id']} {n}"
        many = given * (1 + n % 2)
        yield f"Random({name!r})", Random(name).sample(many, len(many))


def differences(engine: Engine, number: int, known: Iterable[Case]) -> Iterator[Difference]:
    for case in known:
        for order, touchpoints in orders(case, number):
            answer = engine({"policy": case["policy"], "touchpoints": touchpoints})
            yield from compared(case, order, answer)


def compared(case: Case, order: str, answer: Case) -> Iterator[Difference]:
    """What an answer to a case has wrong."""
    expected = case["expect"]
    for member in COMPARED:
        if member == "persons" or member in answer:
            wanted, found = _sorted(member, expected), _sorted(member, answer)
            if wanted != found:
                yield Difference(case["id"], order, member, wanted, found)


def _sorted(member: str, outcome: Case) -> Any:
    """Comparable whatever the order; removed pairs with their reasons, where these are told."""
    rows = outcome.get(member)
    if rows is None:
        return None
    if member == "persons":
        return sorted(map(sorted, rows))
    if member == "rejected":
        return sorted(set(rows))
    if member == "removed" and "reasons" in outcome:
        return sorted([sorted(pair), sorted(why)] for pair, why in zip_longest(rows, outcome["reasons"], fillvalue=()))
    return sorted(rows) if member == "shared" else sorted(map(sorted, rows))


class Program:
    """A process that answers line by line."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Program:
        return self

    def __call__(self, run: Case) -> Case:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(run) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"the program ended with {self._process.wait()} and did not answer: {json.dumps(run)}")
        answer: Case = json.loads(line)
        return answer

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


def main(arguments: list[str]) -> int:
    parser = ArgumentParser(prog="python -m tests.conformance.run", description="Runs an engine against the kit.")
    parser.add_argument("--orders", type=int, default=3, help="random orders of each case besides the fixed ones")
    parser.add_argument("command", nargs=REMAINDER, metavar="PROGRAM [ARGUMENT…]", help="the engine")
    given = parser.parse_args(arguments)
    if not given.command:
        parser.error("which program?")
    known, wrong = cases(), set()
    with Program(given.command) as program:
        for one in differences(program, given.orders, known):
            wrong.add(one.case)
            print(f"{one.case}, {one.order}: {one.member} should be {one.expected}, not {one.answered}")
    print(f"{len(known) - len(wrong)} of {len(known)} cases as expected")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
