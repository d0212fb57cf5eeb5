"""`make timers`: what deadlines cost while they are waited for. CPU time of one process, no Kafka.

Pending carts of one shard, a person with one e-mail address each. 10,000 are made of touchpoints and due at once. The
others are loaded as after a restart: copies, under other names, of the rows (nodes, fragments, seats) of 1,200 made of
touchpoints, due a second apart, because folding a million shoppers would take longer than all the rest; what is kept of
SKUs and for deduplication is not copied. Profiles are published and carts told to be idle before the measuring begins.
"""

from __future__ import annotations

import argparse
import gc
import os
import time
from collections.abc import Callable, Iterator
from decimal import Decimal

from pipeline.core.group import Group
from pipeline.core.identifiers import Registry
from pipeline.core.policy import load
from pipeline.core.timers import Timers
from pipeline.core.times import HOUR, MINUTE, SECOND, parse
from pipeline.core.touchpoint import CartRef, Data, Id, Item, Touchpoint

START = parse("2026-03-02T08:00:00Z")
POLICY = "[triggers]\nrequire_consent = false\n"
AT_ONCE = 10_000
HELD_S = 60
TEMPLATES = 1_200
TICKS = 5 * 3_600
"""In an hour."""
FIRST, OTHERS = START + 5 * MINUTE, START + 10 * MINUTE
"""When the carts that are due at once were filled, and the first of the others."""
QUIET = START + 62 * MINUTE
"""When nothing but deadlines is left."""
COPIED = b"NFS"
"""Kinds of rows."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="timers", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--carts", type=int, default=1_000_000)
    carts: int = parser.parse_args().carts
    _wheel(carts)
    _pending(carts)


# -- the timers by themselves ----------------------------------------------------------------------------------------


def _wheel(count: int) -> None:
    names = [_name(number) for number in range(count)]
    times = [START + HOUR + number % TEMPLATES * SECOND for number in range(count)]
    timers = Timers()
    before = _resident()
    took = _cpu(lambda: [timers.arm(name, at) for name, at in zip(names, times, strict=True)])
    _row("arm a deadline", took / count, "µs")
    _row("memory of a pending deadline beyond its row", (_resident() - before) / count, "bytes")
    took = _cpu(lambda: [timers.arm(name, at + 10 * MINUTE) for name, at in zip(names, times, strict=True)])
    _row("put a deadline off", took / count, "µs")
    took = _cpu(lambda: _take(timers, START, START + HOUR + 10 * MINUTE, 0))
    _row("wait for it for 70 minutes, moved on once", took / count, "µs")
    took = _cpu(lambda: _take(timers, START + HOUR, START + 2 * HOUR, count))
    _row("take it out when it is due", took / count, "µs")


def _take(timers: Timers, start: int, end: int, expected: int) -> None:
    """Takes out what is due, five times a second."""
    taken = sum(1 for now in range(start, end, HOUR // TICKS) for _ in timers.due(now))
    assert taken == expected, taken


# -- a shard with pending carts --------------------------------------------------------------------------------------


def _pending(carts: int) -> None:
    registry = Registry(load(POLICY))
    group = Group(registry)
    group.add(0)
    for number in range(AT_ONCE):
        group.touch(0, _added(number, FIRST))
    _settle(group, FIRST)
    templates = _templates(registry)
    before = _resident()
    group.shard(0).load(_copies(registry, templates, range(AT_ONCE + TEMPLATES, carts + TEMPLATES)))
    _row("memory of a pending cart, all of it", (_resident() - before) / (carts - AT_ONCE), "bytes")
    due = group.next_due
    assert due is not None and due > QUIET, "what is measured waits"
    gc.collect()
    gc.freeze()
    ticks = [QUIET + (due - 1 - QUIET) * tick // TICKS for tick in range(TICKS)]

    def idle() -> None:
        for at in ticks:
            effects = group.drain(at, at)
            assert not effects.outputs and group.next_due == due

    took = _cpu(idle)
    _row("an idle tick", took / TICKS, "µs")
    _row("a pending deadline and hour of waiting, 5 ticks a second", took / carts, "µs")
    at = FIRST + HOUR + 2 * MINUTE + SECOND
    took = _cpu(lambda: _fire(group, at, QUIET, 0))
    _row(f"each of {AT_ONCE:,} due at once, looked at and held", took / AT_ONCE, "µs")
    took = _cpu(lambda: [_fire(group, at + second * SECOND, QUIET, 0) for second in range(1, HELD_S + 1)])
    _row(f"a second in which {AT_ONCE:,} are held", took / HELD_S, "µs")
    at += HELD_S * SECOND
    took = _cpu(lambda: _fire(group, at + SECOND, at + SECOND, AT_ONCE))
    _row(f"each of {AT_ONCE:,} due at once, fired", took / AT_ONCE, "µs")


def _fire(group: Group, now: int, caught_up_to: int, expected: int) -> None:
    outputs = group.drain(now, caught_up_to).outputs
    fired = sum(output.topic == "triggers" and b'"fired"' in (output.value or b"") for output in outputs)
    assert fired == expected, fired


def _templates(registry: Registry) -> list[list[tuple[bytes, bytes]]]:
    """The rows of carts whose deadlines are a second apart, by cart."""
    group = Group(registry)
    group.add(0)
    names = [_name(number) for number in range(AT_ONCE, AT_ONCE + TEMPLATES)]
    place = {registry.key(name): number for number, name in enumerate(names)}
    for number in range(TEMPLATES):
        group.touch(0, _added(AT_ONCE + number, OTHERS + number * SECOND))
    rows = _settle(group, OTHERS + TEMPLATES * SECOND)
    found: list[list[tuple[bytes, bytes]]] = [[] for _ in names]
    for key, row in rows.items():
        if key[:1] in COPIED and key[1:] in place:
            found[place[key[1:]]].append((key[:1], row))
    assert all(len(one) == len(COPIED) for one in found)
    return found


def _copies(
    registry: Registry, templates: list[list[tuple[bytes, bytes]]], numbers: range
) -> Iterator[tuple[bytes, bytes]]:
    for number in numbers:
        which = number % TEMPLATES
        old, new = _digits(AT_ONCE + which), _digits(number)
        key = registry.key(_name(number))
        for kind, row in templates[which]:
            yield kind + key, row.replace(old, new)


def _settle(group: Group, now: int) -> dict[bytes, bytes]:
    """Publishes all until nothing but deadlines is left; the rows."""
    rows: dict[bytes, bytes | None] = {}
    while now <= QUIET:
        rows |= group.drain(now, now).rows.get(0, {})
        due = group.next_due
        if due is None or due > QUIET:
            break
        now = due
    return {key: row for key, row in rows.items() if row is not None}


def _added(number: int, at: int) -> Touchpoint:
    digits = _digits(number).decode()
    item = Item(sku=f"SKU-{number % 1000}", quantity=Decimal(1), price=Decimal("10.00"), currency="EUR")
    return Touchpoint(
        id=f"e-{digits}",
        source="web/shop",
        channel="web",
        type="cart.item_added",
        time=at,
        received=at,
        ids=(_name(number),),
        data=Data(cart=CartRef(id=f"cart-{digits}"), items=[item]),
    )


def _digits(number: int) -> bytes:
    """Nothing else in a row looks like it."""
    return b"%012x" % (0xABC000000000 + number)


def _name(number: int) -> Id:
    return Id("email:" + "7" * 52 + _digits(number).decode())


# -- measuring -------------------------------------------------------------------------------------------------------


def _cpu(run: Callable[[], object]) -> float:
    """Microseconds."""
    gc.collect()
    began = time.process_time()
    run()
    return (time.process_time() - began) * 1e6


def _resident() -> int:
    """Bytes of memory that the process has."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def _row(what: str, figure: float, unit: str) -> None:
    print(f"{what:64} {figure:12,.2f} {unit}", flush=True)


if __name__ == "__main__":
    main()
