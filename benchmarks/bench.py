"""`make bench`: all contestants in turn, round after round in one run, so that what disturbs the machine disturbs all.

The ratios are what holds; the absolute figures are of the machine. Options: `make bench ARGS="--rounds 3"`.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import state
from benchmarks.runs import CONTESTANTS, Run, Stalled, backlog, live
from pipeline.sample import SampleRecord, generate
from tests.kafka.brokers import start

PER_SHOPPER = 13
LIVE_S = 20
STATE_OF = 20_000
"""Touchpoints whose state is looked at."""
BASELINE, PIPELINE = CONTESTANTS[0].name, CONTESTANTS[-1].name


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--touchpoints", type=int, default=60_000, help="of the sample shop")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--live-rate", type=int, default=1_000, help="touchpoints per second")
    given = parser.parse_args()
    shop = _shop(given.touchpoints)
    print(f"{_machine()}; {len(shop):,} touchpoints of {_mean_bytes(shop):.0f} bytes, {PER_SHOPPER} a shopper, 3 days")
    print("each contestant reads: " + ", ".join(f"{one.name} {len(one.share(shop)):,}" for one in CONTESTANTS))
    _replay(shop)
    state.tell(shop[:STATE_OF])
    with start() as broker:
        runs = _backlogs(broker.bootstrap, shop, given.rounds)
        _tell(runs)
        _live(broker.bootstrap, shop[: given.live_rate * LIVE_S], given.live_rate)
    print(f"load of the machine at the end: {os.getloadavg()[0]:.1f}")


def _shop(touchpoints: int) -> list[SampleRecord]:
    """Touchpoints of persons alone: a price concerns all who hold the product, which no contestant beside us tells."""
    return list(generate(1, max(1, touchpoints // PER_SHOPPER), touchpoints, cloudevents_only=True, wares=False))


def _backlogs(brokers: str, shop: Sequence[SampleRecord], rounds: int) -> dict[str, list[Run]]:
    runs: dict[str, list[Run]] = {contestant.name: [] for contestant in CONTESTANTS}
    for number in range(rounds):
        for contestant in CONTESTANTS:
            try:
                run = backlog(contestant, brokers, contestant.share(shop))
            except Stalled as stalled:
                print(f"round {number + 1}, {contestant.name}: {stalled}; it does not count", flush=True)
                continue
            runs[contestant.name].append(run)
            print(f"round {number + 1}, {contestant.name}: {run.rate:,.0f}/s", flush=True)
    return runs


def _tell(runs: dict[str, list[Run]]) -> None:
    for name, done in runs.items():
        if not done:
            raise SystemExit(f"{name} could not be measured")
    rates = {name: statistics.median(run.rate for run in done) for name, done in runs.items()}
    cpus = {name: statistics.median(run.cpu for run in done) for name, done in runs.items()}
    heads = f"{'touchpoints/s':>14} {'ratio':>7} {'us of CPU':>10} {'ratio':>7} {'peak MB':>8}"
    print(f"\n{'backlog, one process, 8 partitions':36} {heads}")
    for name, rate in rates.items():
        peak = max(run.peak for run in runs[name]) / 1e6
        by_time, by_cpu = rate / rates[BASELINE], cpus[BASELINE] / cpus[name]
        print(f"{name:36} {rate:14,.0f} {by_time:7.1f} {cpus[name] * 1e6:10.1f} {by_cpu:7.1f} {peak:8.0f}")
    _tell_epochs(runs[PIPELINE][-1])


def _tell_epochs(run: Run) -> None:
    commits = sorted(run.commits)
    if commits:
        p50, p99 = commits[len(commits) // 2], commits[len(commits) * 99 // 100]
        print(f"commit of an epoch: p50 {p50 * 1e3:.0f} ms, p99 {p99 * 1e3:.0f} ms, {len(commits)} epochs")
    print(f"from the last touchpoint read to the last effect committed: {run.rest:.1f} s")
    documents = run.counts.get("documents")
    if documents:
        print(f"touchpoints of a person in an epoch: {run.touchpoints / documents:.1f} (per published document)")


def _live(brokers: str, shop: Sequence[SampleRecord], rate: int) -> None:
    run = live(CONTESTANTS[-1], brokers, shop, rate)
    print(f"\nlive, {rate:,}/s offered: {run.rate:,.0f}/s read, peak {run.peak / 1e6:.0f} MB")
    _tell_epochs(run)


def _replay(shop: Sequence[SampleRecord]) -> None:
    """`selvedge replay` alone, on one core, from a file."""
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "touchpoints.jsonl"
        file.write_bytes(b"".join(record.value + b"\n" for record in shop))
        for options in (["--final"], []):
            command = [
                sys.executable,
                "-m",
                "pipeline",
                "replay",
                "--shards",
                "1",
                "--output",
                name,
                *options,
                str(file),
            ]
            began, used = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
            subprocess.run(command, check=True, capture_output=True)
            cpu = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - used
            rate = len(shop) / (time.monotonic() - began)
            print(f"replay {' '.join(options):8} {rate:,.0f} touchpoints/s, {len(shop) / cpu:,.0f} per second of CPU")


def _mean_bytes(shop: Sequence[SampleRecord]) -> float:
    return sum(len(record.value) for record in shop) / len(shop)


def _machine() -> str:
    return f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"


if __name__ == "__main__":
    main()
