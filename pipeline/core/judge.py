"""Triggers of a person: judged, put on record, and noted in the seats."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple

import orjson

from pipeline.core.effects import Output
from pipeline.core.facts.sightings import first_received
from pipeline.core.facts.traces import newest_trace
from pipeline.core.fragment import Fragment
from pipeline.core.grouping import PersonIds
from pipeline.core.identifiers import Registry
from pipeline.core.ledger import KEPT, Told
from pipeline.core.person import Person
from pipeline.core.seat import Seat
from pipeline.core.times import SECOND
from pipeline.core.touchpoint import Id
from pipeline.core.trigger import evaluate
from pipeline.core.triggers.families import ALL

_json = orjson.dumps


class Judge:
    """`seat_of` and `put` read and store seats, `out` takes the records, `count` counts them by status."""

    def __init__(
        self,
        registry: Registry,
        out: Callable[[Output], None],
        seat_of: Callable[[Id], Seat],
        put: Callable[[Id, Seat], None],
        count: Callable[[str], None],
    ) -> None:
        self._registry, self._out = registry, out
        self._seat_of, self._put, self._count = seat_of, put, count
        self.began = 0
        """Clock at which this process took the shard over: what is not read yet holds triggers back from then on."""

    def has_carts(self, names: Iterable[Id]) -> bool:
        """Whether there can be a trigger of one of these identifiers."""
        return any(self._seat_of(name).carts for name in names)

    def judge(self, person: Person, group: PersonIds, now: int, caught_up_to: int, as_of: int | None) -> bool:
        """Publishes the difference between the triggers that should exist and those in the seats; whether there was
        one."""
        seats = {name: self._seat_of(name) for name in group.ids}
        ledger = {name: seat.told for name, seat in seats.items() if seat.told}
        forgotten = {name: seat.forgotten for name, seat in seats.items() if seat.forgotten}
        outcome = evaluate(
            person,
            ledger,
            now,
            caught_up_to,
            self._registry,
            as_of,
            seats[group.owner].revision,
            hold_from=self.began,
            forgotten=forgotten,
        )
        for name in ledger.keys() | outcome.told.keys():
            self._note(name, outcome.told.get(name, {}), outcome.past, now)
        for record in outcome.records:
            self._count(f"triggers.{record['family']}.{record['status']}")
            event = f"{record['trigger_id']}:{record['revision']}"
            trace = self._trace(person, outcome.told.values(), record["trigger_id"], as_of)
            self._out(Output("triggers", record["episode_id"], _json(record), event, now, trace))
        for name, seat in seats.items():
            if name == group.owner:
                self._wait(name, outcome.wake or 0, outcome.held or 0)
            else:
                self._wait(name, seat.alarm if as_of is not None and seat.alarm > now else 0, 0)
        return bool(outcome.records)

    def _trace(self, person: Person, told: Iterable[dict[str, Told]], trigger: str, until: int | None) -> str | None:
        """That of the newest touchpoint known by then that was traced, from the cart's last change on."""
        if not any(fragment.traces for fragment in person.fragments):
            return None
        changed = next(one[trigger].covers[0].time for one in told if trigger in one)
        return newest_trace(person.fragments, changed - self._registry.policy.identity.clamp_future, until)

    def has_told(self, names: Iterable[Id]) -> bool:
        """Whether a trigger was published of one of these identifiers."""
        return any(self._seat_of(name).told for name in names)

    def is_asked(self, names: Iterable[Id], now: int, caught_up_to: int, *, changed: bool, moved: bool) -> bool:
        """Whether the triggers of these identifiers are to be judged. changed: a fact that triggers depend on came, so
        that what was told may be wrong. moved: they are a person since this epoch: what seemed closed may be due."""
        seat_of = self._seat_of
        for name in names:
            seat = seat_of(name)
            if (
                0 < seat.alarm <= now
                or 0 < seat.held <= caught_up_to
                or (changed and seat.told)
                or (moved and seat.carts)
            ):
                return True
        return False

    def _note(self, name: Id, told: dict[str, Told], past: Collection[str], now: int) -> None:
        """Puts what was told into the seat; what is past goes, but for until when there was something."""
        seat = self._seat_of(name)
        forgets = not seat.told.keys().isdisjoint(past)
        if told or forgets:
            seat.forgotten = now - KEPT if forgets else seat.forgotten
            seat.told = {trigger: one for trigger, one in (seat.told | told).items() if trigger not in past}
            self._put(name, seat)

    def alarm(self, names: Iterable[Id]) -> int:
        """The next clock time at which the triggers of these persons can change by time alone; 0: never."""
        seat_of, soonest = self._seat_of, 0
        for name in names:
            alarm = seat_of(name).alarm
            if alarm and (not soonest or alarm < soonest):
                soonest = alarm
        return soonest

    def silence(self, names: Iterable[Id], now: int) -> None:
        """Takes back the alarms that have come."""
        for name in names:
            if 0 < self._seat_of(name).alarm <= now:
                self.set_alarm(name, 0)

    def catch_up(self, name: Id, now: int) -> None:
        """An alarm for a time that is evaluated already comes with the next one: what set it may be known only then."""
        if 0 < self._seat_of(name).alarm <= now:
            self.set_alarm(name, now + 1)

    def evaluated(self, name: Id, now: int) -> None:
        """Notes that the triggers at this identifier were evaluated up to `now`."""
        seat = self._seat_of(name)
        if seat.evaluated < now:
            seat.evaluated = now
            self._put(name, seat)

    def _wait(self, name: Id, alarm: int, held: int) -> None:
        """Notes until when the triggers at an identifier wait: for the clock, or for facts to be read."""
        seat = self._seat_of(name)
        if (seat.alarm, seat.held) != (alarm, held):
            seat.alarm, seat.held = alarm, held
            self._put(name, seat)

    def set_alarm(self, name: Id, alarm: int) -> None:
        self._wait(name, alarm, self._seat_of(name).held)


class Instants(NamedTuple):
    """The full seconds in which facts that triggers can depend on were received. known: all of them, ascending. open:
    those at which anything can follow; at the others a cart changed, in time: for who was told nothing, nothing is due
    before a wait is over. joined: the times, ascending, at which persons can have changed. later: the first second
    after now; 0: none."""

    known: list[int]
    open: set[int]
    joined: list[int]
    later: int


def instants(fragments: Sequence[Fragment], since: int, now: int, grace: int, *, contested: bool) -> Instants:
    """After `since`, up to `now`. contested: newer times of known edges can change who is one person."""
    joined = {time for fragment in fragments for time in _joining(fragment)}
    if contested:
        joined.update(time for fragment in fragments for time in _seen(fragment))
    open = _seconds(joined) | _seconds(time for fragment in fragments for time in _decisive(fragment, grace))
    open |= _seconds(time for fragment in fragments for time in _changes(fragment, patient=False))
    changes = _seconds(time for fragment in fragments for time in _changes(fragment, patient=True))
    seconds = sorted(second for second in open | changes if second > since)
    reached = bisect_right(seconds, now)
    return Instants(seconds[:reached], open, sorted(joined), seconds[reached] if reached < len(seconds) else 0)


def _seconds(times: Iterable[int]) -> set[int]:
    return {-(-time // SECOND) * SECOND for time in times}


def _seen(fragment: Fragment) -> Iterable[int]:
    for sighting in fragment.sets.values():
        for _, received in sighting.seen:
            yield received


def _changes(fragment: Fragment, *, patient: bool) -> Iterable[int]:
    """When facts came that deadlines are made of."""
    for family in ALL:
        if family.patient == patient:
            for _, received in family.refs(fragment):
                yield received


def _joining(fragment: Fragment) -> Iterable[int]:
    """When it became known who was seen with whom, or who was not to be."""
    for sighting in fragment.sets.values():
        yield first_received(sighting)
        for _, received in sighting.observed:
            yield received
    for seen in fragment.vetoes.values():
        for _, received in seen:
            yield received
    yield from fragment.shared.values()
    yield fragment.hub


def _decisive(fragment: Fragment, grace: int) -> Iterable[int]:
    """When facts came that can end, allow or forbid something at once, whatever they are: only that somebody known was
    there in time is not among them. Traits do not know when they came: their touchpoint does."""
    for time, moment in fragment.activity.items():
        if moment.received - time > grace:
            yield moment.received
    told = {trait.time for kept in fragment.traits.values() for trait in kept}
    for sighting in fragment.sets.values():
        yield sighting.app
        for time, received in sighting.seen:
            if received - time > grace or time in told:
                yield received
    for hint in fragment.hints.values():
        yield hint.received
    for cart in (*fragment.carts.values(), *fragment.baskets.values()):
        for change in cart.changes:
            if change.received - change.time > grace:
                yield change.received
    for wish in (*fragment.wishes.values(), *fragment.wished):
        yield wish.received
    for order in fragment.orders.values():
        for placed in (order.placed, *order.earlier):
            if placed is not None:
                yield placed.received
    for offered in fragment.offers.values():
        for price in offered.prices:
            yield price.received
        for stock in offered.stocks:
            yield stock.received
    for subscriptions in fragment.subscriptions.values():
        for subscription in subscriptions:
            yield subscription.received
    for consents in fragment.consents.values():
        for consent in consents:
            yield consent.received
    for click in fragment.clicks.values():
        yield click.received
    for bounce in fragment.bounces.values():
        yield bounce.received
