"""The story of one trigger, for people: what changed, when the shopper had left, what held it, what became of it.

It is told from the records of the trigger and from what is known of the person now: each record is set beside the facts
that came between it and the one before. What bounds have dropped since is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from pipeline.core.episode import Episode
from pipeline.core.facts.sightings import first_received
from pipeline.core.fragment import Fragment, Line, ids_of
from pipeline.core.identifiers import Registry
from pipeline.core.person import Person
from pipeline.core.times import MINUTE, SECOND, duration_text, parse, text
from pipeline.core.touchpoint import Id
from pipeline.core.triggers.families import ALL
from pipeline.core.triggers.known import Known
from pipeline.core.triggers.words import why

Record = dict[str, Any]
_LATE = 2 * MINUTE
"""Of what was received sooner the delay is not told."""


class Fact(NamedTuple):
    """event, source: of the touchpoint. what: in words. fragment: the identifier that it is kept at."""

    time: int
    received: int
    event: str
    source: str
    what: str
    fragment: Id


def anchor_of(fragments: Iterable[Fragment], record: Record) -> Id | None:
    """The identifier that keeps the newest change that a trigger tells of; None: it is not known any more."""
    event, source = record["evidence"]["last_change"], record["cart"]["source"]
    for fragment in fragments:
        if any((fact.event, fact.source) == (event, source) for fact in _changes(fragment)):
            return fragment.id
    return None


def story(records: Sequence[Record], person: Person | None, registry: Registry) -> Iterator[str]:
    """Lines. records: of one trigger, by revision; at least one. person: None where its facts are not at hand."""
    first, last = records[0], records[-1]
    episode = None if person is None else _episode(last, person, registry)
    cart = last["cart"]["cart_id"]
    yield f"trigger {last['trigger_id']}: {last['family']}, step {last['step']}{f', cart {cart}' if cart else ''}"
    yield f"of profile {first['profile_id']}, episode {last['episode_id']}"
    yield ""
    yield "what it tells of"
    if person is None or episode is None:
        yield f"  {last['evidence']['last_change']} and what came before: these facts are not at hand"
    else:
        refs = {ref for ref, _ in episode.changes}
        own = [fact for one in person.fragments for fact in _changes(one) if (fact.event, fact.source) in refs]
        yield from _told(fact for fact in own if fact.time <= parse(last["deadline_at"]))
    yield ""
    yield from _deadline(last)
    yield ""
    yield "what became of it"
    yield from _course(records, () if person is None else person.fragments, registry)
    if episode is not None and episode.end is not None and episode.ended_at is not None:
        order = "" if episode.order is None else f" by order {episode.order.id}"
        yield f"  {text(episode.ended_at)}  the episode ended: {episode.end}{order}"


def _episode(record: Record, person: Person, registry: Registry) -> Episode | None:
    known = Known(person.fragments, None, registry.policy)
    event, source = record["evidence"]["last_change"], record["cart"]["source"]
    for episode in (episode for family in ALL for episode in family.episodes(known)):
        if any(ref[0] == event and ref[1].partition("\n")[0] == source for ref, _ in episode.changes):
            return episode
    return None


def _deadline(record: Record) -> Iterator[str]:
    anchor, deadline = parse(record["anchor_at"]), parse(record["deadline_at"])
    yield "when it was due"
    yield f"  {record['anchor_at']}  anchor: {record['evidence']['last_activity']}"
    if deadline > anchor:
        waited = f", {duration_text((deadline - anchor) // SECOND * SECOND)} later"
    else:
        waited = ", at once"
    yield f"  {record['deadline_at']}  deadline{waited}"


def _course(records: Sequence[Record], fragments: Sequence[Fragment], registry: Registry) -> Iterator[str]:
    grace = registry.policy.triggers.grace
    since = parse(records[0]["deadline_at"]) + grace
    for record in records:
        evaluated = parse(record["evaluated_at"])
        news = [fact for fact in _facts(fragments) if since < fact.received <= evaluated]
        if record["revision"] == 1 and evaluated >= since + SECOND:
            held = duration_text((evaluated - since) // SECOND * SECOND)
            yield f"  held for {held} after the grace: not everything up to the deadline was read, or known"
        yield from _told(news)
        yield f"  {record['evaluated_at']}  {_said(record)}"
        since = evaluated


def _said(record: Record) -> str:
    status = record["status"]
    if status == "fired":
        channels = ", ".join(one["channel"] for one in record["channels"])
        when = "" if record["send_not_before"] == record["fired_at"] else f", not before {record['send_not_before']}"
        return f"fired, by {channels}{when}, until {record['expires_at']}"
    if status == "recovered":
        return f"recovered: an order followed, {'through' if record['via_link'] else 'not through'} the message's link"
    return f"{status}: {why(record['reasons'])}"


def _told(facts: Iterable[Fact]) -> Iterator[str]:
    for fact in sorted(facts, key=lambda fact: (fact.time, fact.event)):
        late = fact.received - fact.time
        known = f", known at {text(fact.received)}" if late >= _LATE else ""
        yield f"  {text(fact.time)}  {fact.what} ({fact.event}, {fact.source}{known})"


def _facts(fragments: Iterable[Fragment]) -> Iterator[Fact]:
    """What can change what is told of somebody."""
    for one in fragments:
        yield from _changes(one)
        for id, order in one.orders.items():
            if order.placed is not None:
                placed = order.placed
                what = f"order {id} of {_listed(placed.lines)}, {placed.channel}"
                yield Fact(placed.time, placed.received, placed.event, placed.source, what, one.id)
        for name, consents in one.consents.items():
            channel, _, purpose = name.partition("\n")
            for consent in consents:
                what = f"consent to {purpose} by {channel}: {consent.state}"
                yield Fact(consent.effective, consent.received, consent.event, consent.source, what, one.id)
        for key, sighting in one.sets.items():
            types = ", ".join(id.partition(":")[0] for id in ids_of(key))
            if len(ids_of(key)) > 1:
                what, known = f"first seen together: {types}", first_received(sighting)
                yield Fact(sighting.first, known, sighting.first_event, sighting.first_source, what, one.id)
        for key, click in one.clicks.items():
            source, _, event = key.partition("\n")
            yield Fact(click.time, click.received, event, source, click.kind, one.id)


def _changes(fragment: Fragment) -> Iterator[Fact]:
    """What episodes are made of."""
    for carts, noun in ((fragment.carts, "cart"), (fragment.baskets, "basket")):
        for cart in carts.values():
            for change in cart.changes:
                verb = {"add": "added to", "remove": "removed from", "set": "now in"}.get(change.kind, "checkout of")
                what = f"{verb} the {noun}: {_listed(change.lines) or 'nothing'}"
                yield Fact(change.time, change.received, change.event, change.source, what, fragment.id)
    for wish in (*fragment.wished, *fragment.wishes.values()):
        what = f"{'wished' if wish.line is not None else 'taken off the wish list'}: {wish.sku}"
        yield Fact(wish.time, wish.received, wish.event, wish.source, what, fragment.id)
    for view in fragment.views:
        yield Fact(view.time, view.received, view.event, view.source, f"viewed {_listed(view.lines)}", fragment.id)
    for sku, offered in fragment.offers.items():
        for price in offered.prices:
            what = f"price of {sku}: {price.amount} {price.currency or ''}".strip()
            yield Fact(price.time, price.received, price.event, price.source, what, fragment.id)
        for stock in offered.stocks:
            yield Fact(
                stock.time, stock.received, stock.event, stock.source, f"stock of {sku}: {stock.count}", fragment.id
            )


def _listed(lines: Iterable[Line]) -> str:
    return ", ".join(f"{line.quantity} × {line.sku}" for line in lines)
