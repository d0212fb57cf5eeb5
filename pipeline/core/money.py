"""Money: exact decimals inside, text with the currency's number of decimals outside.

Sums are exact (no binary fractions, no silent rounding); only published text is rounded, half up.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import lru_cache
from typing import Final

ZERO: Final = Decimal(0)
EXACT: Final = Context(prec=120, rounding=ROUND_HALF_UP)
"""Enough digits for any sum and product of amounts as the reader accepts them."""

_CENTS: Final = Decimal("0.01")
_ONES: Final = ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF")
_THOUSANDTHS: Final = ("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND")
_UNITS: Final = {
    **dict.fromkeys((*_ONES, "XOF", "XPF"), Decimal(1)),
    **dict.fromkeys(_THOUSANDTHS, Decimal("0.001")),
    **dict.fromkeys(("CLF", "UYW"), Decimal("0.0001")),
}
"""ISO 4217 currencies whose smallest unit is not a hundredth."""


def plain(amount: Decimal) -> str:
    """Decimal text without an exponent, digits as given."""
    text = str(amount)
    return format(amount, "f") if "E" in text else text


@lru_cache(maxsize=16_384)
def published(amount: Decimal, currency: str) -> str:
    """`amount` with the decimals of `currency` (unknown currencies: 2)."""
    rounded = amount.quantize(_UNITS.get(currency, _CENTS), context=EXACT)
    return format(rounded if rounded else abs(rounded), "f")


def product(quantity: str, price: str) -> Decimal:
    return EXACT.multiply(Decimal(quantity), Decimal(price))


def plus(a: Decimal, b: Decimal) -> Decimal:
    return EXACT.add(a, b)


def total(amounts: Iterable[Decimal]) -> Decimal:
    sum = ZERO
    for amount in amounts:
        sum = EXACT.add(sum, amount)
    return sum


def minus(a: Decimal, b: Decimal) -> Decimal:
    return EXACT.subtract(a, b)


def share(amount: Decimal, parts: int, currency: str) -> str:
    """`amount` divided by `parts`, as published."""
    return published(EXACT.divide(amount, Decimal(parts)), currency)


def ratio(part: int, whole: int) -> float:
    """Rounded to 2 digits, half up."""
    return float(EXACT.divide(Decimal(part), Decimal(whole)).quantize(_CENTS, context=EXACT))


def number(quantity: Decimal) -> int | float:
    """A quantity as a number of JSON: whole where it is."""
    whole = int(quantity)
    return whole if whole == quantity else float(quantity)
