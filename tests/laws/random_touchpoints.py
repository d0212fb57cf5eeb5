"""Random touchpoints of one shopper, for laws."""

from __future__ import annotations

from hypothesis import strategies as st

from pipeline.core.events import CATALOGUE, KNOWN, NO_LINK
from pipeline.core.times import MINUTE
from pipeline.core.touchpoint import (
    Campaign,
    CartRef,
    ConsentRef,
    Data,
    Device,
    Id,
    Item,
    ListRef,
    MessageRef,
    OrderRef,
    Store,
    Touchpoint,
)
from tests.core.touchpoints import COOKIE, CUSTOMER, NOON, OTHER_COOKIE

FOLDED = (*sorted(KNOWN - NO_LINK - CATALOGUE), "quiz.finished")
TIMES = st.sampled_from([-2900, -1440, -1, 0, 1, 2, 1440])
"""Few minutes over a few days, so that ties are everyday."""
OPTIONAL_ID = st.sampled_from([None, "1", "2"])
MONEY = st.none() | st.decimals("0", "99.99", places=2)

ITEMS = st.lists(
    st.builds(
        Item,
        sku=st.sampled_from([None, "A", "B"]),
        quantity=st.decimals("1", "3", places=0),
        price=MONEY,
        currency=st.sampled_from([None, "EUR", "USD"]),
        size=st.sampled_from([None, "42", "43"]),
        category=st.sampled_from([None, "Shoes", "Bags"]),
        brand=st.sampled_from([None, "Acme", "Ada"]),
    ),
    max_size=3,
)
DATA = st.builds(
    Data,
    session=OPTIONAL_ID,
    device=st.none() | st.builds(Device, os=st.sampled_from([None, "iOS", "Android"])),
    cart=st.none() | st.builds(CartRef, id=OPTIONAL_ID, checkout_id=OPTIONAL_ID, value=MONEY),
    order=st.none()
    | st.builds(
        OrderRef,
        id=OPTIONAL_ID,
        total=MONEY,
        amount=MONEY,
        store=st.sampled_from([None, "S-1"]),
        fulfilment=st.sampled_from([None, "pickup"]),
    ),
    items=ITEMS,
    shared_list=st.none() | st.builds(ListRef, id=OPTIONAL_ID),
    store=st.none() | st.builds(Store, id=st.sampled_from([None, "S-1", "S-2"])),
    campaign=st.none() | st.builds(Campaign, source=st.sampled_from([None, "google", "crm"]), medium=OPTIONAL_ID),
    consent=st.none()
    | st.builds(
        ConsentRef,
        channel=st.sampled_from(["email", "sms", "*"]),
        purpose=st.sampled_from(["marketing", "profiling"]),
        state=st.sampled_from(["granted", "denied", "revoked"]),
    ),
    traits=st.dictionaries(st.sampled_from(["name", "city"]), st.sampled_from([None, "x", 1, ["y"]]), max_size=2),
    message=st.none() | st.builds(MessageRef, trigger_id=OPTIONAL_ID),
)


@st.composite
def touchpoints(draw: st.DrawFn, max_size: int = 12, types: tuple[str, ...] = FOLDED) -> list[Touchpoint]:
    """Distinct events anchored at one customer, many at the same time."""
    found = []
    for number in range(draw(st.integers(1, max_size))):
        type = draw(st.sampled_from(types))
        weaker = draw(st.sets(st.sampled_from([COOKIE, OTHER_COOKIE, Id("email:" + "0" * 64)]), max_size=2))
        source = draw(st.sampled_from(["web/shop", "app/ios", "server/crm", "store/12"]))
        time = NOON + draw(TIMES) * MINUTE
        found.append(
            Touchpoint(
                id=f"e{number}",
                source=source,
                channel=source.partition("/")[0],
                type=type,
                time=time,
                received=time + draw(st.integers(0, 20)) * MINUTE,
                ids=(CUSTOMER, *sorted(weaker)),
                data=draw(DATA),
                hints=draw(st.sampled_from([(), (("email", "x@y.z"),)])),
                trace=draw(st.sampled_from([None, "00-" + "1" * 32 + "-" + "2" * 16 + "-01"])),
            )
        )
    vetoes = draw(st.lists(st.tuples(TIMES, st.integers(0, 20)), max_size=3))
    for number, (minute, late) in enumerate(vetoes):
        time = NOON + minute * MINUTE
        veto = Touchpoint(
            id=f"v{number}",
            source="call/desk",
            channel="call",
            type="identity.unlinked",
            time=time,
            received=time + late * MINUTE,
            ids=(CUSTOMER, COOKIE),
            data=Data(),
        )
        found.append(veto)
    return found
