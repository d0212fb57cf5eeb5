"""The journeys of the sample shop: each story is what one shopper does, in the order of their own clock.

A story is short enough to be read; how the world delivers it (late, twice, broken) is told in `arrival`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pipeline.core.times import HOUR, MINUTE
from pipeline.sample.people import WINDOW_END, Event, Shopper, shopper, showcase
from pipeline.sample.visits import StoreVisit, Visit


def journeys(seed: int, shoppers: int, touchpoints: int) -> Iterator[Event]:
    """The events of shopper 0, 1, …, not in the order of time."""
    told = 0
    for number in range(shoppers):
        who = showcase(seed) if number == 0 else shopper(seed, number)
        budget = touchpoints * (number + 1) // shoppers - told
        if number == 0:
            defne(who)
        elif budget < 3:
            web(who).browse(1)
        else:
            who.random.choices(STORIES, WEIGHTS)[0](who)
            _linger(who, budget)
        events = [event for event in who.events if event.time < WINDOW_END]
        told += len(events)
        yield from events


def _linger(who: Shopper, budget: int) -> None:
    """Comes back to look around until the budget is used up."""
    while len(who.events) < budget and who.now < WINDOW_END:
        later(who, 1, 9)
        back = web(who, known=who.known and who.random.random() < 0.5)
        back.browse(who.random.randrange(1, 4)).view(who.random.randrange(1, 5))


def later(who: Shopper, least: float, most: float) -> None:
    """Some hours pass."""
    who.now += int(who.random.uniform(least, most) * 60) * MINUTE


def web(who: Shopper, known: bool = False) -> Visit:
    visit = Visit(
        who, f"web/shop-{'tr' if who.currency == 'TRY' else 'de'}", ("customer", "cookie") if known else ("cookie",)
    )
    if who.random.random() < 0.1:
        visit.cart_id = None
    return visit


def app(who: Shopper, known: bool = False) -> Visit:
    return Visit(who, "app/shop", ("customer", "device") if known else ("device",))


def till(who: Shopper, store: str | None = None) -> StoreVisit:
    return StoreVisit(who, "store", store)


def register(visit: Visit) -> Visit:
    """Signs up: from an anonymous visitor to a customer with an address."""
    visit.login("customer", "email", visit.ids[-1])
    visit.traits(first_name=visit.who.first_name)
    if visit.who.random.random() < 0.65:
        visit.consent("email")
    visit.ids = ("customer", visit.ids[-1])
    return visit


def window_shopper(who: Shopper) -> None:
    visit = web(who).browse(2).view(who.random.randrange(1, 6))
    if who.random.random() < 0.4:
        visit.add(who.random.randrange(1, 3))


def member_abandons(who: Shopper) -> None:
    register(web(who).view(3)).view(1).add(2)
    if who.random.random() < 0.4:
        web(who, known=True).view(1).add(1).checkout()


def member_recovers(who: Shopper) -> None:
    register(web(who).view(2)).add(2).checkout()
    later(who, 1.5, 8)
    newsletter(who, clicks=True)
    back = web(who, known=True).view(1).add(1)
    back.buy()


def member_buys(who: Shopper) -> None:
    visit = register(web(who).search().view(4)).add(2).checkout()
    order = visit.buy(fulfilment=who.random.choice(("ship", "pickup")))
    if who.random.random() < 0.3:
        gives_back(who, visit, order)
    elif who.random.random() < 0.15:
        visit.say("order.cancelled", ("customer",), order={"id": order})
    else:
        collects(who, order)


def gives_back(who: Shopper, bought: Visit, order: str) -> None:
    """Returns an online order in the store."""
    later(who, 4, 30)
    desk = till(who)
    product, _ = bought.lines[0]
    desk.say("order.returned", ("customer",), order={"id": order}, items=[{"sku": product.sku, "quantity": 1}])


def collects(who: Shopper, order: str) -> None:
    later(who, 2, 6)
    desk = till(who)
    desk.say("order.ready_for_pickup", ("customer",), order={"id": order, "store": who.store})
    later(who, 1, 5)
    desk.say("order.picked_up", ("loyalty", "customer"), order={"id": order, "store": who.store})


def research_then_store(who: Shopper) -> None:
    visit = register(web(who).browse(1).view(4)).add(1)
    links_card(who)
    who.now += who.random.randrange(15, 180) * MINUTE
    shelf = till(who).scan()
    shelf.pick([product for product, _ in visit.lines]).sell()


def links_card(who: Shopper) -> None:
    Visit(who, "server/crm", ("loyalty", "customer"), session=False).login("loyalty", "customer", "email")


def guest(who: Shopper) -> None:
    """Buys without an account; the checkout is what holds the two halves together."""
    visit = web(who).view(3).add(2)
    if who.random.random() < 0.3:
        typed = {"type": "email", "value": who.email, "verified": False}
        visit.checkout(("cookie",), identifiers=[typed])
        return
    visit.checkout(("email", "cookie"))
    if who.random.random() < 0.7:
        visit.buy(("email", "phone") if who.random.random() < 0.5 else ("email",))


def guest_registers(who: Shopper) -> None:
    visit = web(who).view(2).add(1).checkout()
    visit.login("customer", "email")
    visit.buy(("customer", "email"))


def two_devices(who: Shopper) -> None:
    register(web(who).view(2)).add(1)
    phone = app(who).browse(1).view(2).login("customer", "device").consent("push")
    phone.add(1).checkout()
    if who.random.random() < 0.5:
        phone.buy()


def anonymous_then_app(who: Shopper) -> None:
    """The cart is anonymous until the login on another device."""
    cart = web(who).view(2).add(2)
    phone = app(who).login("loyalty", "customer", "device").consent("push").consent("email")
    cart.login("customer", "email", "cookie")
    later(who, 3, 9)
    phone.view(2)


def store_regular(who: Shopper) -> None:
    for _ in range(who.random.randrange(2, 4)):
        shelf = till(who).scan()
        shelf.pick([shelf._wanted() for _ in range(who.random.randrange(1, 4))]).sell()
        later(who, 5, 20)
    kiosk = StoreVisit(who, "kiosk")
    kiosk.login("loyalty", "email").view(1)
    Visit(who, "store/basket", ("loyalty",), session=False).say("store.item_scanned", items=[{"sku": "SKU-1-0"}])


def caller(who: Shopper) -> None:
    """The call centre matches the number with an account and takes the order."""
    call = Visit(who, "call/centre", ("phone",), session=False)
    call.login("customer", "phone").view(1).add(1)
    call.buy()


def speaks_and_scrolls(who: Shopper) -> None:
    social = Visit(who, "social/insta", ("cookie",))
    social.say("page.viewed", campaign={"source": "insta", "medium": "paid", "name": "spring"})
    register(web(who).view(2))
    voice = Visit(who, "voice/assistant", ("customer",))
    voice.search().view(1).add(1)


def changes_mind(who: Shopper) -> None:
    """Empties one cart, abandons another and takes the consent back after the message."""
    visit = register(web(who).view(2)).add(2).remove(2)
    visit.consent("email")
    web(who, known=True).add(1)
    later(who, 1.5, 4)
    visit.consent("email", "revoked")


def wishes(who: Shopper) -> None:
    """Wishes, makes a list with the staff of a store and goes on with it at home, and leaves a basket behind."""
    visit = register(web(who).view(3))
    visit.say("wishlist.item_added", items=visit._items([(product, 1) for product in visit.seen[:2]]))
    visit.say("wishlist.item_removed", items=visit._items([(visit.seen[0], 1)]))
    visit.say("stock.subscribed", items=visit._items([(product, 1) for product in visit.seen[1:]]))
    size = {"sku": "SKU-1-3", "category": "Shoes", "size": "42"}
    for _ in range(2):
        visit.say("size.recorded", items=[size])
    later(who, 3, 9)
    shelf = till(who).scan()
    shelf.say("identity.observed", ("loyalty", "customer"))
    listed = {"id": f"list-{who.name}", "name": "Home"}
    shelf.say("list.shared", list=listed, items=[visit._item(visit.seen[1], 1)], store={"id": who.store})
    shelf.say("store.basket_saved", items=visit._items([(visit.seen[2], 1)]), store={"id": who.store})
    later(who, 2, 5)
    web(who, known=True).say("list.shared", list=listed, items=visit._items([(one, 2) for one in visit.seen[1:]]))


def newsletter(who: Shopper, clicks: bool) -> None:
    mail = Visit(who, "email/crm", ("email",), session=False)
    link = "https://shop.example/n/7"
    mail.say("message.sent", message={"link": link})
    mail.say("message.opened", message={"link": link})
    if clicks:
        mail.say("message.clicked", message={"link": link}, campaign={"source": "crm", "medium": "email", "name": "n7"})


def unsubscribes(who: Shopper) -> None:
    register(web(who).view(1)).add(1)
    newsletter(who, clicks=False)
    Visit(who, "email/crm", ("email",), session=False).say("message.unsubscribed")


def family_tablet(who: Shopper) -> None:
    """Two customers on one device: the newest login owns it until the other one comes back."""
    partner = _relative(who)
    app(who).login("customer", "email", "device").view(2).add(1)
    partner.now = who.now + 2 * HOUR
    app(partner).login("customer", "email", "device").view(3).add(1)
    who.events += partner.events
    who.now = partner.now + 3 * HOUR
    app(who, known=True).view(2)


def wrong_match(who: Shopper) -> None:
    """The call centre takes one for the other, and an operator sets it right."""
    partner = _relative(who)
    register(web(who).view(2)).add(1)
    partner.now = who.now
    caller(partner)
    who.events += partner.events
    desk = Visit(who, "call/centre", ("customer",), session=False)
    desk.say("identity.observed")
    mistaken = who.events[-1]
    who.events[-1] = mistaken._replace(ids=(*mistaken.ids, ("phone", partner.phone)))
    later(who, 2, 6)
    desk.say("identity.unlinked")
    veto = who.events[-1]
    who.events[-1] = veto._replace(ids=(*veto.ids, ("phone", partner.phone)))


def _relative(who: Shopper) -> Shopper:
    """Somebody of the same household: another person at the same device."""
    relative = shopper(who.seed, int(who.name) + 1_000_000)
    relative.device, relative.now, relative.tracker = who.device, who.now, who.tracker
    return relative


def two_addresses(who: Shopper) -> None:
    """Abandons under one address, buys as a guest under another, and later shows that both are one person."""
    first = Visit(who, "web/shop-de", ("email", "cookie")).view(1).add(2)
    first.consent("email")
    other = _relative(who)
    other.now = who.now + 10 * MINUTE
    second = Visit(other, "web/shop-de", ("email",))
    second.lines = list(first.lines)
    second.buy()
    who.events += other.events
    who.now = other.now
    later(who, 3, 8)
    both = Visit(who, "server/crm", ("email",), session=False)
    both.say("identity.observed")
    seen = who.events[-1]
    who.events[-1] = seen._replace(ids=(*seen.ids, ("email", other.email)))


def unfinished_values(who: Shopper) -> None:
    """A site that sends what its variables hold: `null` and `anonymous` are not people."""
    visit = web(who)
    for blocked in (("customer", "null"), ("customer", "anonymous"), ("email", "undefined")):
        visit.view(1)
        event = who.events[-1]
        who.events[-1] = event._replace(ids=(blocked, *event.ids), tracker="cloudevents")


def defne(who: Shopper) -> None:
    """The shopper whom the demo follows, from an anonymous cookie to a loyalty member."""
    cart = Visit(who, "web/shop-de", ("cookie",)).browse(1).view(3).add(1)
    later(who, 3, 4)
    cart.login("email", "cookie").consent("email")
    later(who, 12, 13)
    back = Visit(who, "web/shop-de", ("email", "cookie")).view(2).add(2)
    later(who, 2, 3)
    newsletter(who, clicks=True)
    back.login("customer", "email", "cookie").traits(first_name=who.first_name)
    order = back.checkout().buy()
    later(who, 5, 6)
    phone = app(who).login("customer", "device").consent("push").view(2).add(1)
    who.now += 30 * MINUTE
    shelf = till(who).scan().pick([product for product, _ in phone.lines])
    shelf.say("identity.observed", ("loyalty", "customer"))
    shelf.sell()
    later(who, 3, 4)
    shelf.say("order.returned", ("loyalty",), order={"id": order}, items=[{"sku": back.lines[0][0].sku, "quantity": 1}])


_WEIGHTED: dict[Callable[[Shopper], None], int] = {
    window_shopper: 230,
    member_abandons: 140,
    member_recovers: 90,
    member_buys: 100,
    research_then_store: 100,
    guest: 80,
    guest_registers: 20,
    two_devices: 70,
    anonymous_then_app: 30,
    store_regular: 60,
    caller: 20,
    speaks_and_scrolls: 20,
    changes_mind: 15,
    unsubscribes: 10,
    family_tablet: 12,
    wrong_match: 4,
    two_addresses: 8,
    unfinished_values: 10,
    wishes: 25,
}
STORIES, WEIGHTS = tuple(_WEIGHTED), tuple(_WEIGHTED.values())
