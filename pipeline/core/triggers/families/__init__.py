"""The families of triggers, the highest first. Where one of them is pending or was told, the lower ones are silent."""

from __future__ import annotations

from typing import Final

from pipeline.core.triggers.families.baskets import STORE_BASKETS
from pipeline.core.triggers.families.browse import BROWSE
from pipeline.core.triggers.families.carts import CARTS
from pipeline.core.triggers.families.offers import BACK_IN_STOCK, LOW_STOCK, PRICE_DROP
from pipeline.core.triggers.families.wishlist import WISHLIST
from pipeline.core.triggers.family import Family

ALL: Final[tuple[Family, ...]] = (
    CARTS,
    STORE_BASKETS,
    WISHLIST,
    BROWSE,
    PRICE_DROP,
    LOW_STOCK,
    BACK_IN_STOCK,
)
LEVEL: Final = {name: level for level, family in enumerate(ALL) for name in family.names}
"""Name of a family -> how far from the top. Carts and checkouts are one group: neither is above the other."""
GROUPED: Final = CARTS.names
"""Of these, what is due together is one message."""
