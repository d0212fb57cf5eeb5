"""Triggers of a person: judged, put on record, and noted in the seats."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import orjson

from pipeline.core.effects import Output
from pipeline.core.fragment import Fragment
from pipeline.core.grouping import PersonIds
from pipeline.core.identifiers import Registry
from pipeline.core.ledger import Told, outlived
from pipeline.core.person import Person
from pipeline.core.seat import Seat
from pipeline.core.timers import earlier
from pipeline.core.times import SECOND
from pipeline.core.touchpoint import Id
from pipeline.core.trigger import evaluate

HELD_AGAIN = SECOND
"""A trigger that waits for facts to be read is looked at again after that."""

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

    def judge(self, person: Person, group: PersonIds, now: int, caught_up_to: int, as_of: int | None) -> None:
        """Publishes the difference between the triggers that should exist and those in the seats."""
        owner = self._seat_of(group.owner)
        ledger = {name: told for name in group.ids if (told := self._seat_of(name).told)}
        outcome = evaluate(
            person, ledger, now, caught_up_to, self._registry, as_of, owner.revision, hold_from=self.began
        )
        for name in ledger.keys() | outcome.told.keys():
            self._note(name, outcome.told.get(name, {}), now)
        for record in outcome.records:
            self._count(f"triggers.{record['family']}.{record['status']}")
            event = f"{record['trigger_id']}:{record['revision']}"
            self._out(Output("triggers", record["episode_id"], _json(record), event, now))
        self.silence(group.ids, now)
        again = now + HELD_AGAIN if outcome.held is not None else 0
        self.set_alarm(group.owner, earlier(outcome.wake or 0, again))

    def _note(self, name: Id, told: dict[str, Told], now: int) -> None:
        """Puts what was told into the seat; what can matter to nothing any more goes."""
        seat = self._seat_of(name)
        past = [trigger for trigger, one in seat.told.items() if outlived(one, now)]
        if told or past:
            seat.told = {trigger: one for trigger, one in (seat.told | told).items() if trigger not in past}
            self._put(name, seat)

    def alarm(self, names: Iterable[Id]) -> int:
        """The next clock time at which the triggers of these persons can change by time alone; 0: never."""
        return min((alarm for name in names if (alarm := self._seat_of(name).alarm)), default=0)

    def silence(self, names: Iterable[Id], now: int) -> None:
        """Takes back the alarms that have come."""
        for name in names:
            if 0 < self._seat_of(name).alarm <= now:
                self.set_alarm(name, 0)

    def evaluated(self, name: Id, now: int) -> None:
        """Notes that the triggers at this identifier were evaluated up to `now`."""
        seat = self._seat_of(name)
        if seat.evaluated < now:
            seat.evaluated = now
            self._put(name, seat)

    def set_alarm(self, name: Id, alarm: int) -> None:
        seat = self._seat_of(name)
        if seat.alarm != alarm:
            seat.alarm = alarm
            self._put(name, seat)


def instants(fragments: Iterable[Fragment], since: int, now: int, grace: int) -> tuple[list[int], int]:
    """The full seconds after `since` at which a fact that triggers can depend on has just been received: those up to
    `now`, ascending, and the first one after it (0: none)."""
    times = {time for fragment in fragments for time in _received(fragment, grace) if time > since - SECOND}
    seconds = sorted({-(-time // SECOND) * SECOND for time in times})
    known = [second for second in seconds if since < second <= now]
    return known, next((second for second in seconds if second > now), 0)


def _received(fragment: Fragment, grace: int) -> Iterable[int]:
    for time, moment in fragment.activity.items():
        if moment.received - time > grace:
            yield moment.received
    for sighting in fragment.sets.values():
        for _, received in (*sighting.seen, *sighting.observed):
            yield received
        yield sighting.app
    for cart in (*fragment.carts.values(), *fragment.baskets.values()):
        for change in cart.changes:
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
    for seen in fragment.vetoes.values():
        for _, received in seen:
            yield received
    yield from fragment.shared.values()
    yield fragment.hub
