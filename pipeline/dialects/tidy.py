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
from pipeline.dialects.refused import bad_field
from pipeline.dialects.rules import Rule

_ADJUSTED: Final = range(-9, 16)
"""Place of an amount's first digit: below 10^16, and not so small that its plain text would be long."""
_DIGITS_MAX: Final = 40
_STATES: Final = ("granted", "denied", "revoked")
_INTEGERS: Final = range(-(2**63), 2**64)


def _currency(code: str) -> str:
    code = code.strip().upper()
    if len(code) != 3 or not (code.isascii() and code.isalpha()):
        raise ValueError
    return code


class Tidy:
    """The rules of data under the policy's bound `value_chars`. Raises Refused."""

    def __init__(self, chars_max: int, clamp_future: int) -> None:
        self._chars_max, self._future = chars_max, clamp_future
        self._currencies: Cache[str, str] = Cache(_currency)

    def tidy(self, data: Data, rule: Rule, received: int) -> int | None:
        """Checks the members and brings them into one form; returns the effective time of a consent."""
        if data.items:
            self._items(data, rule)
        elif rule.least:
            raise bad_field("data.items", f"{rule.type} needs one")
        if data.session is not None:
            data.session = self._key("data.session", data.session)
        if data.cart is not None:
            self._cart(data.cart)
        if data.order is not None:
            self._order(data.order)
        if rule.order and (data.order is None or data.order.id is None):
            raise bad_field("data.order.id", f"{rule.type} needs one")
        if data.store is not None:
            data.store.id = self._key("data.store.id", data.store.id)
        if data.shared_list is not None:
            data.shared_list.id = self._key("data.list.id", data.shared_list.id)
        if rule.list and (data.shared_list is None or data.shared_list.id is None):
            raise bad_field("data.list.id", f"{rule.type} needs one")
        if data.traits:
            self._traits(data.traits)
        if data.consent is not None:
            return self._consent(data.consent, received)
        if rule.consent:
            raise bad_field("data.consent", f"{rule.type} needs one")
        return None

    def _key(self, field: str, value: str | None) -> str | None:
        """A value that things are known by: None if it is empty."""
        if not value:
            return None
        if len(value) > self._chars_max:
            raise bad_field(field, f"longer than {self._chars_max} characters")
        return value

    def _items(self, data: Data, rule: Rule) -> None:
        currencies, chars_max = self._currencies, self._chars_max
        for index, item in enumerate(data.items):
            sku = item.sku
            if not sku or len(sku) > chars_max or item.product_id is not None:
                self._product(index, item, rule)
            quantity, price, currency = item.quantity, item.price, item.currency
            if quantity is not ONE:
                _amount(f"data.items[{index}].quantity", quantity)
                if not quantity and rule.delta:
                    raise bad_field(f"data.items[{index}].quantity", "not above 0")
            if price is not None:
                _amount(f"data.items[{index}].price", price)
            if currency is not None:
                try:
                    item.currency = currencies[currency]
                except ValueError:
                    raise bad_field(f"data.items[{index}].currency", "not three letters") from None
            if item.stock is not None and not _fits(item.stock.copy_abs()):
                raise bad_field(f"data.items[{index}].stock", "not a finite number of sane size")
            if rule.fact and getattr(item, rule.fact) is None:
                raise bad_field(f"data.items[{index}].{rule.fact}", f"{rule.type} needs it")
        if rule.lines:
            data.items = [item for item in data.items if item.quantity]

    def _product(self, index: int, item: Item, rule: Rule) -> None:
        """An item without SKU goes by its product id, else by its name."""
        item.product_id = self._key(f"data.items[{index}].product_id", item.product_id)
        item.sku = self._key(
            f"data.items[{index}].sku", item.sku or item.product_id or (item.name if rule.items else None)
        )
        if rule.items and item.sku is None:
            raise bad_field(f"data.items[{index}].sku", f"{rule.type} needs it, or product_id")

    def _cart(self, cart: CartRef) -> None:
        cart.id = self._key("data.cart.id", cart.id)
        cart.checkout_id = self._key("data.cart.checkout_id", cart.checkout_id)
        if cart.value is not None:
            _amount("data.cart.value", cart.value)
        if cart.currency is not None:
            cart.currency = self._currency("data.cart.currency", cart.currency)

    def _order(self, order: OrderRef) -> None:
        order.id = self._key("data.order.id", order.id)
        for name in ("total", "amount", "tax", "shipping"):
            amount = getattr(order, name)
            if amount is not None:
                _amount(f"data.order.{name}", amount)
        if order.discount is not None:
            order.discount = order.discount.copy_abs()
            _amount("data.order.discount", order.discount)
        if order.currency is not None:
            order.currency = self._currency("data.order.currency", order.currency)

    def _currency(self, field: str, code: str) -> str | None:
        if not code:
            return None
        try:
            return self._currencies[code]
        except ValueError:
            raise bad_field(field, "not three letters") from None

    def _traits(self, traits: dict[str, Any]) -> None:
        for name, value in traits.items():
            if not name or len(name) > self._chars_max:
                raise bad_field("data.traits", f"a name is empty or longer than {self._chars_max} characters")
            if not _storable(value):
                raise bad_field("data.traits", "a number is out of range")

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


def _amount(field: str, amount: Decimal) -> None:
    if not _fits(amount):
        raise bad_field(field, "not a finite number of sane size, 0 or more")


def _fits(amount: Decimal) -> bool:
    return (
        amount.is_finite()
        and amount.adjusted() in _ADJUSTED
        and (not amount.is_signed() or not amount)
        and (len(str(amount)) <= _DIGITS_MAX)
    )


def _storable(value: Any) -> bool:
    """Whether the value can be written into a row and into JSON."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return True
    if isinstance(value, int):
        return value in _INTEGERS
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, list):
        return all(_storable(one) for one in value)
    return isinstance(value, dict) and all(_storable(one) for one in value.values())
