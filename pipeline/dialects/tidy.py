"""The data of a touchpoint, checked and brought into one form.

Amounts are finite, of sane size and not negative, currencies three capital letters, empty keys absent. One malformed
item, consent or trait refuses the whole: half a touchpoint is never folded.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any, Final

from pipeline.core import times
from pipeline.core.identifiers import Cache
from pipeline.core.touchpoint import ONE, CartRef, ConsentRef, Data, Item, OrderRef
from pipeline.dialects.payload import DEPTH_MAX
from pipeline.dialects.refused import bad_field
from pipeline.dialects.rules import Rule

_ADJUSTED: Final = range(-9, 16)
"""Place of an amount's first digit: below 10^16, and not so small that its plain text would be long."""
_DIGITS_MAX: Final = 40
_STATES: Final = ("granted", "denied", "revoked")
_INTEGERS: Final = range(-(2**63), 2**64)


class _Amounts(Cache[str, bool]):
    """Text of an amount -> whether it is finite, of sane size and not negative. Long ones are not, and not kept."""

    def __init__(self) -> None:
        super().__init__(lambda text: _fits(Decimal(text)))

    def __missing__(self, text: str) -> bool:
        return len(text) <= _DIGITS_MAX and super().__missing__(text)


def _fits(amount: Decimal) -> bool:
    return amount.is_finite() and amount.adjusted() in _ADJUSTED and (not amount.is_signed() or not amount)


class Tidy:
    """The rules of data under the policy's bound `value_chars`. Raises Refused."""

    def __init__(self, chars_max: int, clamp_future: int) -> None:
        self._chars_max, self._future = chars_max, clamp_future
        self._currencies: set[str] = set()
        self._fits = _Amounts()

    def tidy(self, data: Data, rule: Rule, received: int) -> int | None:
        """Checks the members and brings them into one form; returns the effective time of a consent."""
        if data.items:
            self._items(data, rule)
        elif rule.least:
            raise bad_field("data.items", f"{rule.type} needs one")
        if data.session is not None and not 0 < len(data.session) <= self._chars_max:
            data.session = self._key("data.session", data.session)
        if data.cart is not None:
            self._cart(data.cart)
        if data.order is not None:
            self._order(data.order)
        if data.store is not None:
            data.store.id = self._key("data.store.id", data.store.id)
        if data.shared_list is not None:
            data.shared_list.id = self._key("data.list.id", data.shared_list.id)
        if data.traits:
            self._traits(data.traits)
        if rule.member is not None:
            self._check_member(data, rule.member, rule.type)
        return None if data.consent is None else self._consent(data.consent, received)

    def _check_member(self, data: Data, name: str, type: str) -> None:
        member = getattr(data, name)
        if member is None or (name != "consent" and member.id is None):
            raise bad_field(f"data.{name.removeprefix('shared_')}", f"absent or without id, {type} needs it")

    def _key(self, field: str, value: str | None) -> str | None:
        """A value that things are known by: None if it is empty."""
        if not value:
            return None
        if len(value) > self._chars_max:
            raise bad_field(field, f"longer than {self._chars_max} characters")
        return value

    def _items(self, data: Data, rule: Rule) -> None:
        """The usual item needs no more than a look; `_item` mends or refuses the others."""
        fits, currencies, chars_max, nothing = self._fits, self._currencies, self._chars_max, False
        for index, item in enumerate(data.items):
            sku, product_id, quantity, price = item.sku, item.product_id, item.quantity, item.price
            if (
                not sku
                or len(sku) > chars_max
                or (product_id is not None and not 0 < len(product_id) <= chars_max)
                or (quantity is not ONE and not (quantity and fits[str(quantity)]))
                or (price is not None and not fits[str(price)])
                or (item.currency is not None and item.currency not in currencies)
                or item.stock is not None
                or rule.fact
            ):
                self._item(f"data.items[{index}]", item, rule)
                nothing = nothing or not item.quantity
        if nothing and rule.lines:
            data.items = [item for item in data.items if item.quantity]

    def _item(self, where: str, item: Item, rule: Rule) -> None:
        """An item without SKU goes by its product id, else by its name."""
        item.product_id = self._key(f"{where}.product_id", item.product_id)
        item.sku = self._key(f"{where}.sku", item.sku or item.product_id or (item.name if rule.items else None))
        if rule.items and item.sku is None:
            raise bad_field(f"{where}.sku", f"{rule.type} needs it, or product_id")
        self._amount(f"{where}.quantity", item.quantity)
        if rule.delta and not item.quantity:
            raise bad_field(f"{where}.quantity", "not above 0")
        self._amount(f"{where}.price", item.price)
        if item.currency is not None:
            item.currency = self._currency(f"{where}.currency", item.currency)
        if item.stock is not None:
            self._amount(f"{where}.stock", item.stock)
        if rule.fact and getattr(item, rule.fact) is None:
            raise bad_field(f"{where}.{rule.fact}", f"{rule.type} needs it")

    def _cart(self, cart: CartRef) -> None:
        if cart.id is not None and not 0 < len(cart.id) <= self._chars_max:
            cart.id = self._key("data.cart.id", cart.id)
        if cart.checkout_id is not None:
            cart.checkout_id = self._key("data.cart.checkout_id", cart.checkout_id)
        if cart.value is not None:
            self._amount("data.cart.value", cart.value)
        if cart.currency is not None:
            cart.currency = self._currency("data.cart.currency", cart.currency)

    def _order(self, order: OrderRef) -> None:
        order.id = self._key("data.order.id", order.id)
        if order.discount is not None:
            order.discount = order.discount.copy_abs()
        for name in ("total", "amount", "tax", "shipping", "discount"):
            self._amount(f"data.order.{name}", getattr(order, name))
        if order.currency is not None:
            order.currency = self._currency("data.order.currency", order.currency)

    def _amount(self, field: str, amount: Decimal | None) -> None:
        if amount is not None and not self._fits[str(amount)]:
            raise bad_field(field, "not a finite number of sane size, 0 or more")

    def _currency(self, field: str, code: str) -> str | None:
        """Capital letters; None for empty text."""
        if code in self._currencies:
            return code
        code = code.strip().upper()
        if not code:
            return None
        if len(code) != 3 or not (code.isascii() and code.isalpha()):
            raise bad_field(field, "not three letters")
        self._currencies.add(code)
        return code

    def _traits(self, traits: dict[str, Any]) -> None:
        for name, value in traits.items():
            if not name or len(name) > self._chars_max:
                raise bad_field("data.traits", f"a name is empty or longer than {self._chars_max} characters")
            if not _storable(value):
                raise bad_field("data.traits", "a number out of range, or nested too deep")

    def _consent(self, consent: ConsentRef, received: int) -> int | None:
        consent.channel, consent.purpose = consent.channel.strip().lower(), consent.purpose.strip().lower()
        for field in ("channel", "purpose"):
            value = getattr(consent, field)
            if not value or len(value) > self._chars_max or not value.isprintable():
                raise bad_field(f"data.consent.{field}", f"not 1 to {self._chars_max} printable characters")
        if consent.state not in _STATES:
            raise bad_field("data.consent.state", "none of " + ", ".join(_STATES))
        if consent.effective is None:
            return None
        try:
            return max(1, min(times.parse(consent.effective), received + self._future))
        except ValueError as error:
            raise bad_field("data.consent.effective", str(error)) from None


def _storable(value: Any, depth: int = DEPTH_MAX) -> bool:
    """Whether the value can be written into a row and into JSON, and nests no deeper."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return True
    if isinstance(value, int):
        return value in _INTEGERS
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, list):
        return depth > 0 and all(_storable(one, depth - 1) for one in value)
    return isinstance(value, dict) and depth > 0 and all(_storable(one, depth - 1) for one in value.values())
