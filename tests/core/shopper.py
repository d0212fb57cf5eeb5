"""Stories for tests of triggers: facts in minutes after NOON, told to `evaluate` as they are received.

`Live` folds each fact when it is received and evaluates at once and whenever it asked to be woken. `Hindsight` folds
everything first and then evaluates at the same instants by what was known then. Both must publish the same records.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from pipeline.core.catalogue.facts import Price, Stock
from pipeline.core.catalogue.said import announced
from pipeline.core.facts.offers import take
from pipeline.core.fold import fold
from pipeline.core.fragment import Fragment, ids_of
from pipeline.core.grouping import PersonIds, grouping
from pipeline.core.identifiers import Registry
from pipeline.core.ledger import Told
from pipeline.core.person import Person
from pipeline.core.policy import load
from pipeline.core.replay import replay
from pipeline.core.solve import text_order
from pipeline.core.times import MINUTE, parse, text
from pipeline.core.touchpoint import (
    CartRef,
    ConsentRef,
    Data,
    Device,
    Id,
    Item,
    MessageRef,
    OrderRef,
    Store,
    Touchpoint,
)
from pipeline.core.trigger import Outcome, evaluate

NOON = parse("2026-03-02T12:00:00Z")
NO_CONSENT_NEEDED = "[triggers]\nrequire_consent = false\n"

Record = dict[str, Any]


def at(minute: float) -> int:
    return NOON + round(minute * MINUTE)


def clock(minute: float) -> str:
    """As records write it."""
    return text(at(minute))


class Facts:
    """Touchpoints of one story. Every method adds one and returns it; `late`: minutes until it is received."""

    def __init__(self, policy: str = NO_CONSENT_NEEDED) -> None:
        self.registry = Registry(load(policy))
        self.all: list[Touchpoint] = []

    def __repr__(self) -> str:
        """One line per fact."""
        minutes = [((tp.time - NOON) / MINUTE, (tp.received - tp.time) / MINUTE, tp) for tp in self.all]
        return "\n".join(
            f"{minute:g} +{late:g} {tp.id} {' '.join(tp.ids)} {tp.data.cart and tp.data.cart.id}"
            f" {[(item.sku, str(item.quantity)) for item in tp.data.items]}"
            for minute, late, tp in minutes
        )

    def ids(self, *who: str) -> tuple[Id, ...]:
        """`type:value` each, as canonical texts, strongest first."""
        found = [self.registry.identify(*one.split(":", 1)).id for one in who]
        ids = [id for id in found if id is not None]
        assert len(ids) == len(who)
        return tuple(sorted(ids, key=lambda id: (self.registry.rank(id), text_order(id))))

    def put(self, type: str, minute: float, who: str, data: Data, *, late: float = 0, **more: Any) -> Touchpoint:
        """who: identifiers with blanks between."""
        names, source = who.split(), more.pop("source", "web/shop")
        if data.cart is not None and data.cart.checkout_id:
            names.append(f"checkout:{data.cart.checkout_id}")
        tp = Touchpoint(
            id=more.pop("id", f"{type}@{len(self.all)}"),
            source=source,
            channel=source.partition("/")[0],
            type=type,
            time=at(minute),
            received=at(minute + late),
            ids=self.ids(*dict.fromkeys(names)),
            data=data,
            plain={self.registry.identify("email", name[6:]).id or Id(""): name[6:] for name in names if "@" in name},
            **more,
        )
        self.all.append(tp)
        return tp

    def view(self, minute: float, who: str, **more: Any) -> Touchpoint:
        return self.put("page.viewed", minute, who, Data(), **more)

    def observe(self, minute: float, who: str, **more: Any) -> Touchpoint:
        return self.put("identity.observed", minute, who, Data(), **more)

    def unlink(self, minute: float, who: str, **more: Any) -> Touchpoint:
        return self.put("identity.unlinked", minute, who, Data(), **more)

    def add(self, minute: float, who: str, skus: str = "A", cart: str | None = "cart-1", **more: Any) -> Touchpoint:
        return self._cart("cart.item_added", minute, who, skus, cart, more)

    def remove(self, minute: float, who: str, skus: str = "A", cart: str | None = "cart-1", **more: Any) -> Touchpoint:
        return self._cart("cart.item_removed", minute, who, skus, cart, more)

    def snapshot(self, minute: float, who: str, skus: str, cart: str | None = "cart-1", **more: Any) -> Touchpoint:
        return self._cart("cart.snapshot", minute, who, skus, cart, more)

    def checkout(self, minute: float, who: str, skus: str = "", cart: str | None = "cart-1", **more: Any) -> Touchpoint:
        return self._cart("checkout.started", minute, who, skus, cart, more)

    def order(self, minute: float, who: str, skus: str = "A", cart: str | None = None, **more: Any) -> Touchpoint:
        ref = CartRef(id=cart, checkout_id=more.pop("checkout", None))
        data = Data(cart=ref, order=OrderRef(id=more.pop("order", f"o-{len(self.all)}")), items=items(skus))
        return self.put("order.placed", minute, who, data, **more)

    def wish(self, minute: float, who: str, skus: str = "A", **more: Any) -> Touchpoint:
        data = Data(items=items(skus, more.pop("price", "10.00")))
        return self.put("wishlist.item_added", minute, who, data, **more)

    def unwish(self, minute: float, who: str, skus: str = "A", **more: Any) -> Touchpoint:
        return self.put("wishlist.item_removed", minute, who, Data(items=items(skus)), **more)

    def look(self, minute: float, who: str, skus: str = "A", **more: Any) -> Touchpoint:
        return self.put(
            "product.viewed", minute, who, Data(items=items(skus), session=more.pop("session", None)), **more
        )

    def scan(self, minute: float, who: str, skus: str = "A", cart: str | None = None, **more: Any) -> Touchpoint:
        return self._cart("store.item_scanned", minute, who, skus, cart, {"source": "store/S-12", **more})

    def save(self, minute: float, who: str, skus: str = "A", cart: str | None = None, **more: Any) -> Touchpoint:
        return self._cart("store.basket_saved", minute, who, skus, cart, {"source": "store/S-12", **more})

    def subscribe(self, minute: float, who: str, skus: str = "A", **more: Any) -> Touchpoint:
        return self.put("stock.subscribed", minute, who, Data(items=items(skus, None)), **more)

    def price(self, minute: float, sku: str, price: str, currency: str = "EUR", **more: Any) -> Touchpoint:
        item = Item(sku=sku, price=Decimal(price), currency=currency)
        return self.put("price.changed", minute, "", Data(items=[item]), **more)

    def stock(self, minute: float, sku: str, count: int, store: str | None = None, **more: Any) -> Touchpoint:
        data = Data(items=[Item(sku=sku, stock=Decimal(count))], store=Store(id=store) if store else None)
        return self.put("stock.changed", minute, "", data, **more)

    def consent(self, minute: float, who: str, state: str, channel: str = "email", **more: Any) -> Touchpoint:
        ref = ConsentRef(channel=channel, state=state, purpose=more.pop("purpose", "marketing"))
        return self.put("consent.changed", minute, who, Data(consent=ref), **more)

    def click(self, minute: float, who: str, trigger: str | None, **more: Any) -> Touchpoint:
        ref = MessageRef(trigger_id=trigger, link=more.pop("link", None))
        return self.put("message.clicked", minute, who, Data(message=ref), **more)

    def traits(self, minute: float, who: str, **traits: Any) -> Touchpoint:
        return self.put("profile.updated", minute, who, Data(traits=traits))

    def _cart(
        self, type: str, minute: float, who: str, skus: str, cart: str | None, more: dict[str, Any]
    ) -> Touchpoint:
        ref = CartRef(
            id=cart,
            checkout_id=more.pop("checkout", None),
            recovery_url=more.pop("url", None),
            currency=more.pop("currency", None),
            value=more.pop("value", None),
        )
        device = more.pop("device", None)
        data = Data(
            cart=ref,
            items=items(skus, more.pop("price", "10.00")),
            session=more.pop("session", None),
            device=Device(os=device) if device else None,
        )
        return self.put(type, minute, who, data, **more)


def items(skus: str, price: str | None = "10.00") -> list[Item]:
    """`A B*3`: SKUs with blanks between, quantities after a star."""
    found = []
    for one in skus.split():
        sku, _, quantity = one.partition("*")
        money = None if price is None else Decimal(price)
        found.append(Item(sku=sku, quantity=Decimal(quantity or 1), price=money, currency="EUR", name=f"Item {sku}"))
    return found


class World:
    """Fragments, seats and clock of a story."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.fragments: dict[Id, Fragment] = {}
        self.catalogue: dict[Id, tuple[list[Price], list[Stock]]] = {}
        self.seats: dict[Id, dict[str, Told]] = {}
        self.records: list[Record] = []
        self.wake: int | None = None

    def fold(self, tp: Touchpoint) -> None:
        """Prices and stocks come to whoever wants them at once, those known before too."""
        for said in announced(tp):
            prices, stocks = self.catalogue.setdefault(said.to, ([], []))
            prices += [said.price] if said.price is not None else []
            stocks += [said.stock] if said.stock is not None and not said.store else []
        if tp.ids:
            self._fold(tp)
        for fragment in self.fragments.values():
            for sku in fragment.offers:
                take(fragment, sku, *self.catalogue.get(Id(sku), ([], [])))

    def _fold(self, tp: Touchpoint) -> None:
        fold(self.fragments.setdefault(tp.ids[0], Fragment(tp.ids[0])), tp, self.registry)

    def persons(self, as_of: int | None = None) -> list[Person]:
        names = {id for fragment in self.fragments.values() for key in fragment.sets for id in ids_of(key)}
        names |= self.fragments.keys()
        return [self._person(group) for group in grouping(sorted(names), self._find, self.registry, as_of).groups]

    def _find(self, id: Id) -> Fragment | None:
        return self.fragments.get(id)

    def _person(self, group: PersonIds) -> Person:
        fragments = [self.fragments[id] for id in sorted(group.ids) if id in self.fragments]
        return Person(group.ids, fragments, self.registry.profile_id(group.owner), group.shared)

    def evaluate(self, now: int, as_of: int | None = None, caught_up_to: int | None = None) -> list[Record]:
        """All persons at one clock; `wake` becomes the earliest of theirs."""
        made: list[Record] = []
        self.wake = None
        for person in self.persons(as_of):
            outcome = self._judge(person, now, now if caught_up_to is None else caught_up_to, as_of)
            made += outcome.records
            assert outcome.wake is None or outcome.wake > now, "woken for what is past"
            if outcome.wake is not None:
                self.wake = min(outcome.wake, self.wake or outcome.wake)
        self.records += made
        return made

    def _judge(self, person: Person, now: int, caught_up_to: int, as_of: int | None) -> Outcome:
        ledger = {id: self.seats[id] for id in person.ids if id in self.seats}
        outcome = evaluate(person, ledger, now, caught_up_to, self.registry, as_of, 1)
        for id, told in outcome.told.items():
            assert id in person.ids, "a trigger in a stranger's seat"
            self.seats.setdefault(id, {}).update(told)
        again = {id: self.seats[id] for id in person.ids if id in self.seats}
        repeated = evaluate(person, again, now, caught_up_to, self.registry, as_of, 1)
        assert not repeated.records and repeated.wake == outcome.wake, "evaluated twice"
        return outcome


def instants(facts: Facts, until: float) -> Iterator[World]:
    """The world after each evaluation, when facts are folded as they are received."""
    world, waiting = World(facts.registry), sorted(facts.all, key=lambda tp: tp.received)
    while instant := _next(waiting, world.wake, at(until)):
        while waiting and waiting[0].received <= instant:
            world.fold(waiting.pop(0))
        world.evaluate(instant)
        yield world


def live(facts: Facts, until: float) -> list[Record]:
    """What is published when facts are folded as they are received."""
    records: list[Record] = []
    for world in instants(facts, until):
        records = world.records
    return records


def hindsight(facts: Facts, until: float) -> list[Record]:
    """What is published when all facts are folded before the first evaluation."""
    world, waiting = World(facts.registry), sorted(facts.all, key=lambda tp: tp.received)
    for tp in waiting:
        world.fold(tp)
    while instant := _next(waiting, world.wake, at(until)):
        waiting = [tp for tp in waiting if tp.received > instant]
        world.evaluate(instant, instant)
    return world.records


def replayed(facts: Facts, until: float, *, times: int = 1) -> list[Record]:
    """What the product's own replay publishes when every fact comes so many times. The revision of the profile is 1, as
    in the other two."""
    received = sorted(facts.all, key=lambda tp: tp.received)
    outputs = replay([tp for tp in received for _ in range(times)], facts.registry, at(until))
    records = [msgspec.json.decode(output.value or b"") for output in outputs if output.topic == "triggers"]
    return [{**record, "profile_revision": 1} for record in records]


def _next(waiting: Sequence[Touchpoint], wake: int | None, until: int) -> int | None:
    instants = [tp.received for tp in waiting[:1]] + ([wake] if wake is not None else [])
    return min((instant for instant in instants if instant <= until), default=None)


def told(records: Iterable[Record]) -> list[tuple[str, str | None, str]]:
    """(status, reason, deadline) of each record."""
    return [(one["status"], one["reason"], one["deadline_at"]) for one in records]


def newest(records: Iterable[Record]) -> list[Record]:
    """The last revision of each trigger, in the order in which they were first published."""
    found: dict[str, Record] = {}
    for record in records:
        known = found.get(record["trigger_id"])
        assert record["revision"] == (known["revision"] + 1 if known else 1), "a revision was left out"
        assert known is None or known["status"] != "retracted", "retraction is final"
        found[record["trigger_id"]] = record
    return list(found.values())
