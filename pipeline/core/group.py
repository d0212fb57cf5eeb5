"""The shards that one process owns, run as one: mail among them is a function call, other mail is an effect."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from functools import reduce
from typing import Final

from pipeline.core import mail, state
from pipeline.core.catalogue.products import Pace
from pipeline.core.catalogue.said import announced
from pipeline.core.cause import Watched
from pipeline.core.effects import Effects, Output
from pipeline.core.events import ERASURE, LIFTED, PRIVACY
from pipeline.core.fragment import Fragment
from pipeline.core.grouping import PersonIds
from pipeline.core.identifiers import Registry
from pipeline.core.mail import EVERYBODY, Empty, Lift, Mail, Request, Suppress, Touch
from pipeline.core.settle import Clock, Settler
from pipeline.core.shard import Shard
from pipeline.core.timers import earlier
from pipeline.core.times import DAY
from pipeline.core.touchpoint import Id, Rejected, Touchpoint

SWEEP_AFTER: Final = 1_000
"""Drains and touchpoints."""


class Group:
    """`clock`: wall, record or replay, on which products are published by `finish` alone. durable: drain collects state
    rows. documents: persons are published each epoch; else only triggers are, until `finish`."""

    def __init__(
        self, registry: Registry, clock: str = "wall", *, durable: bool = True, documents: bool = True
    ) -> None:
        self._registry, self._clock = registry, Clock(clock)
        self._durable, self._documents = durable, documents
        self._shards: dict[int, Shard] = {}
        self._settlers: dict[int, Settler] = {}
        self._watched = Watched()
        self._local: deque[tuple[int, Mail]] = deque()
        self._effects = Effects()
        self._touched = 0
        self._unmarked: dict[int, bool] = {}
        """Shards whose state is to say what it is made with; whether it holds what an archive held."""
        self._outdated: list[int] = []
        """Shards whose state was made with another policy."""
        self._claimed = False
        self._tomorrow = 0
        """When the day ends on which all shards have last forgotten what is not to be kept."""
        self._timed: int | None = None
        """When the first cluster or product is due, 0: never; None: to be asked, as nothing but draining moves it."""
        self._unswept = 0
        """Drains and touchpoints since the caches were last swept, where no rows are wanted."""

    @property
    def shards(self) -> tuple[int, ...]:
        return tuple(self._shards)

    def home(self, name: Id) -> Shard:
        """The shard at which an identifier is at home, to look at."""
        return self._shards[self._registry.home(name)]

    def fragments(self) -> Iterator[Fragment]:
        """All fragments of these shards, to look at."""
        for shard in self._shards.values():
            yield from shard.fragments()

    def persons(self) -> Iterator[PersonIds]:
        """All persons of these shards, to look at."""
        for settler in self._settlers.values():
            yield from settler.persons()

    def shard(self, number: int) -> Shard:
        """An owned shard, to look at."""
        return self._shards[number]

    def add(self, number: int, rows: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """Takes over a shard from its state rows. Raises StateError if they were made with another hash key or with
        another policy as far as that decides how touchpoints are folded."""
        shard = Shard(
            number, self._registry, self._post, self._count, self._watched, self._reject, durable=self._durable
        )
        made = None
        others = []
        for key, row in rows:
            if key == state.KEY:
                made = row
            else:
                others.append((key, row))
        same = made is not None and state.check(made, self._registry)
        shard.load(others)
        if not same:
            shard.roots.regroup_all()
            self._unmarked[number] = made is not None and state.readable(made, self._registry).archived
        if made is not None and not same:
            self._outdated.append(number)
        self._shards[number], self._tomorrow, self._timed = shard, 0, None
        self._settlers[number] = Settler(shard, self._clock, self._out, documents=self._documents)

    def remove(self, number: int) -> tuple[Shard, Settler]:
        """Gives a shard up; nothing of it may be undrained. What is returned `restore` takes, as long as nobody else
        has owned the shard meanwhile."""
        self._timed = None
        return self._shards.pop(number), self._settlers.pop(number)

    def restore(self, number: int, removed: tuple[Shard, Settler]) -> None:
        """Takes a shard back as `remove` gave it up. Others may not come back with it, so that orders of SKUs that were
        at home in this process are to be asked for."""
        shard, settler = removed
        shard.catalogue.products.review_lifts()
        self._shards[number], self._settlers[number] = shard, settler
        self._tomorrow, self._timed = 0, None

    def touch(self, shard: int, touchpoint: Touchpoint) -> Rejected | None:
        """A touchpoint read from a shard's partition; why not, if it may not come in."""
        if not touchpoint.ids:
            self._announce(shard, touchpoint)
            return None
        suppressions = self._shards[shard].suppressions
        if suppressions.since:
            self._lift(suppressions.lifted_by(touchpoint))
            if (rejected := suppressions.refused(touchpoint)) is not None:
                return rejected
        if touchpoint.type in PRIVACY:
            self._claim(shard, touchpoint)
            return None
        self._touched += 1
        home = self._registry.home(touchpoint.ids[0])
        if home == shard:
            self._shards[shard].touch(touchpoint)
        elif home in self._shards:
            self._shards[home].take(touchpoint)
        else:
            self._post(Touch(touchpoint.ids[0], touchpoint))
        return None

    def _claim(self, shard: int, touchpoint: Touchpoint) -> None:
        """A privacy request goes to each of the identifiers it names."""
        self._count(touchpoint.type)
        self._claimed = True
        if touchpoint.type != LIFTED:
            suppressions = self._shards[shard].suppressions
            known = [name for name in touchpoint.ids if name in suppressions]
            if known and touchpoint.type == ERASURE:
                self._post_all(Suppress(EVERYBODY, {self._registry.key(name): (touchpoint.time, 0) for name in known}))
            for name in (name for name in touchpoint.ids if name not in known):
                self._post(
                    Request(
                        name,
                        name,
                        touchpoint.type,
                        touchpoint.id,
                        touchpoint.source,
                        touchpoint.time,
                        touchpoint.received,
                        touchpoint.trace,
                    )
                )

    def _lift(self, keys: list[bytes]) -> None:
        """At once for all shards here, so that it makes no difference where the next touchpoint arrives."""
        if keys:
            self._post_all(Lift(EVERYBODY, keys))
            for shard in self._shards.values():
                shard.suppressions.lift(keys)

    def _announce(self, shard: int, touchpoint: Touchpoint) -> None:
        """A fact without a person goes to its SKUs. A trigger may depend on it at once."""
        self._count("catalogue_facts")
        for message in announced(touchpoint):
            self._post(message)
        self._watched.announced = max(self._watched.announced, touchpoint.time)
        self._shards[shard].folding.urgent = True

    def receive(self, shard: int, message: bytes) -> None:
        """A message read from a shard's mail partition. Who is suppressed or no more is so for all shards here at once,
        so that no short-cut among them overtakes it."""
        read = mail.decode(message)
        for number in self._shards if isinstance(read, (Suppress, Lift)) else (shard,):
            self._local.append((number, read))

    def drain(self, now: int, caught_up_to: int) -> Effects:
        """Ends an epoch at clock `now` (microseconds; never goes back) and returns all that it has to make durable."""
        self._claimed = False
        if self._outdated:
            self._review()
        if now >= self._tomorrow:
            self._expire(now)
        self._run()
        self._settle(now, caught_up_to)
        while self._local:
            self._run()
            self._settle(now, caught_up_to)
        return self._collect()

    def _review(self) -> None:
        for number in self._outdated:
            if number in self._shards:
                self._shards[number].folding.review()
        self._outdated.clear()

    def _expire(self, now: int) -> None:
        """Once a day, as of its start (a restart changes nothing): what the policy does not keep is forgotten."""
        today = now // DAY
        self._tomorrow = (today + 1) * DAY
        for shard in self._shards.values():
            if shard.expired < today:
                shard.expired = today
                for name in shard.folding.outlived(today * DAY):
                    self._count("expired")
                    self._post(Empty(name))
                shard.catalogue.orders.expire(today * DAY)

    def _settle(self, now: int, caught_up_to: int) -> None:
        for settler in self._settlers.values():
            settler.settle(now, caught_up_to)
        if self._documents and self._clock is not Clock.REPLAY:
            self._publish_products(now)

    def gather(self) -> Effects:
        """Handles what is on its way and returns the rows that changed; nobody is solved or published."""
        self._run()
        return self._collect()

    def finish(self, now: int) -> Effects:
        """Views every profile and every product once more."""
        self._run()
        for settler in self._settlers.values():
            settler.finish(now)
        self._publish_products(now, last=True)
        return self._collect()

    @property
    def next_due(self) -> int | None:
        """The next clock time at which drain has something to do without input."""
        due = self._timed
        if due is None:
            due = self._timed = reduce(earlier, self._times(), 0)
        for shard in self._shards.values():
            alarm = shard.folding.next_alarm
            if alarm and (alarm < due or not due):
                due = alarm
        return due or None

    def _times(self) -> Iterator[int]:
        for shard in self._shards.values():
            yield shard.roots.timers.next()
            yield shard.catalogue.products.next

    @property
    def next_held(self) -> int | None:
        """Smallest deadline that waits for facts to be read; once they are up to then, drain has something to do."""
        held = 0
        for shard in self._shards.values():
            held = earlier(held, shard.roots.holds.next())
        return held or None

    @property
    def waiting(self) -> int:
        """Clusters in which a deadline waits for facts to be read."""
        return sum(len(shard.roots.holds) for shard in self._shards.values())

    def held(self) -> dict[str, tuple[int, int]]:
        """Rows held and their bytes, by kind."""
        held: dict[str, tuple[int, int]] = {}
        for shard in self._shards.values():
            for kind, count, size in shard.held():
                counted, sized = held.get(kind, (0, 0))
                held[kind] = counted + count, sized + size
        return held

    def oldest_erasure(self) -> int:
        """When the oldest erasure that was read and waits for its cluster to be whole was asked for; 0: none waits."""
        times = (shard.roots.oldest_request(ERASURE) for shard in self._shards.values())
        return min(filter(None, times), default=0)

    @property
    def urgent(self) -> bool:
        """Whether a touchpoint since the last drain concerns a person that a trigger was published for, or is a privacy
        request."""
        if self._claimed:
            return True
        for shard in self._shards.values():  # noqa: SIM110, asked at each touchpoint
            if shard.folding.urgent:
                return True
        return False

    def _run(self) -> None:
        """Handles local mail, reports and bundles until nothing is on its way inside this process."""
        local, shards = self._local, self._shards
        while True:
            while local:
                number, message = local.popleft()
                shards[number].receive(message)
            for shard in shards.values():
                shard.report()
            if not local:
                for shard in shards.values():
                    shard.cut()
                if not local:
                    return

    def _post(self, message: Mail) -> None:
        if message.to == EVERYBODY:
            self._post_all(message)
            return
        home = self._registry.home(message.to)
        if home in self._shards:
            self._local.append((home, message))
        else:
            self._effects.mail.append((home, mail.encode(message)))

    def _post_all(self, message: Mail) -> None:
        for number in range(self._registry.shards):
            if number in self._shards:
                self._local.append((number, message))
            else:
                self._effects.mail.append((number, mail.encode(message)))

    def _reject(self, rejected: Rejected) -> None:
        self._effects.rejected.append(rejected)

    def _publish_products(self, now: int, *, last: bool = False) -> None:
        products = [shard.catalogue.products for shard in self._shards.values()]
        rests = not self._touched and not any(one.changed for one in products)
        pace = Pace.STEADY if self._clock is Clock.WALL else Pace.REST if rests else Pace.BUSY
        if any(one.news for one in products):
            for one in products:
                one.review_lifts()
        for one in products:
            one.publish(now, self._out, self._orders_of, pace, last=last)

    def _orders_of(self, sku: str) -> int | None:
        shard = self._shards.get(self._registry.home(Id(sku)))
        return None if shard is None else shard.catalogue.products.orders(sku)

    def _out(self, output: Output) -> None:
        self._effects.outputs.append(output)

    def _count(self, what: str) -> None:
        counts = self._effects.counts
        counts[what] = counts.get(what, 0) + 1

    def _collect(self) -> Effects:
        effects, self._effects, self._timed = self._effects, Effects(), None
        touched, self._touched = self._touched, 0
        if touched:
            effects.counts["touchpoints"] = touched
        if self._durable:
            self._collect_rows(effects)
        else:
            self._sweep(touched)
        return effects

    def _sweep(self, touched: int) -> None:
        """Keeps the caches within their bounds; each look at them is for many drains or touchpoints."""
        self._unswept += 1 + touched
        if self._unswept >= SWEEP_AFTER:
            self._unswept = 0
            for shard in self._shards.values():
                shard.forget()

    def _collect_rows(self, effects: Effects) -> None:
        for number, shard in self._shards.items():
            rows = dict(shard.collect())
            if rows:
                effects.rows[number] = rows
        for number, archived in self._unmarked.items():
            if number in self._shards:
                made = state.encode(state.made_with(self._registry, archived=archived))
                effects.rows.setdefault(number, {})[state.KEY] = made
        self._unmarked.clear()
