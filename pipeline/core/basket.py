"""A basket walks through the changes and orders of one cart, in order, and leaves episodes behind.

Rules: deltas add and remove, never below nothing; a snapshot replaces the lines; what changes neither lines nor stage
is activity only. An order acts on what is in the basket at its time by the best match: id, all SKUs, some SKUs, any.
A change up to `skew` after an order with its id or all its SKUs came out of order: that order converts it still.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from pipeline.core.episode import CartLine, Episode, Lines, Point, Purchase, Ref, line_of
from pipeline.core.fragment import Change, Line
from pipeline.core.money import ZERO
from pipeline.core.policy import Policy
from pipeline.core.touchpoint import Id


class Basket:
    """names: the cart's key, and the checkout ids it showed with their first times."""

    def __init__(self, key: str, cart_id: str | None, names: dict[str, int], policy: Policy) -> None:
        self.episodes: list[Episode] = []
        self.lines: Lines = {}
        self._key, self._cart_id, self._names = key, cart_id, names
        self._triggers, self._lines_max = policy.triggers, policy.bounds.lines_per_cart
        self._main_currency = policy.profile.currency
        self._open: Episode | None = None
        self._stage = ""
        self._currency: str | None = None
        self._value: str | None = None
        self._recovery_url: str | None = None
        self._expires_at = 0

    def change(self, change: Change, fragment: Id, moved: Iterable[Lines], near: Iterable[Purchase]) -> None:
        """moved: lines that come in from implicit carts. near: orders up to `skew` before."""
        time = change.time
        self.expire(time)
        before = lines = self.lines
        for others in moved:
            lines = _add(lines, others.values(), time, self._lines_max)
        lines = self._apply(lines, change)
        self._learn(change)
        rises = bool(lines) and change.stage == "checkout" and self._stage != "checkout"
        if rises or not _same(before, lines):
            self._changed(change, fragment, lines)
        else:
            self._noticed(change, fragment)
        if self.lines:
            self._late(time, near)

    def order(self, order: Purchase) -> None:
        self.expire(order.time)
        if not self.lines:
            return
        left = {sku: line for sku, line in self.lines.items() if sku not in order.skus}
        if self._is_named(order) or not left:
            self._take({}, "converted", order.time, order)
        elif len(left) < len(self.lines):
            self._take(left, "converted_partial", order.time, order)
        elif self._open is not None and self._triggers.any_order == "cancel":
            self._close("cancelled_by_order", order.time, order)

    def move_out(self, time: int, to: Ref) -> Lines:
        """The lines leave for the cart that was changed by `to`."""
        self.expire(time)
        lines = self.lines
        if self._open is not None:
            self._open.successor = to
        self._take({}, "superseded", time)
        return lines

    def expire(self, time: int) -> None:
        if self.lines and time >= self._expires_at:
            self._take({}, "expired", self._expires_at)

    def finish(self) -> list[Episode]:
        """The episodes; the newest shows what the cart holds now."""
        if self.episodes:
            self.episodes[-1].lines = self.lines
        return self.episodes

    def _apply(self, lines: Lines, change: Change) -> Lines:
        if change.kind == "add":
            return _add(lines, change.lines, change.time, self._lines_max)
        if change.kind == "remove":
            return _remove(lines, change.lines, change.time)
        if change.kind == "set":
            return _replace(lines, change.lines, change.time, self._lines_max)
        return lines

    def _learn(self, change: Change) -> None:
        self._currency = change.currency or _currency_of(change.lines) or self._currency
        self._recovery_url = change.recovery_url or self._recovery_url
        if change.value is not None:
            self._value = change.value

    def _changed(self, change: Change, fragment: Id, lines: Lines) -> None:
        self.lines = lines
        self._expires_at = change.time + self._triggers.episode_expiry
        if not lines:
            self._noticed(change, fragment)
            self._take({}, "emptied", change.time)
            return
        if self._open is None:
            self._stage = change.stage
            cancels = self._triggers.any_order == "cancel"
            self._open = Episode(self._key, self._cart_id, [], [], {}, 0, any_order=cancels)
            self.episodes.append(self._open)
        elif change.stage == "checkout":
            self._stage = "checkout"
        self._noticed(change, fragment)
        self._open.expires_at = self._expires_at
        self._open.points.append(self._point(change, fragment))

    def _point(self, change: Change, fragment: Id) -> Point:
        return Point(
            change.time,
            change.event,
            change.source,
            fragment,
            change.channel,
            change.device or change.channel,
            self._stage,
            self.lines,
            self._currency or self._main_currency,
            self._value,
            self._recovery_url,
        )

    def _noticed(self, change: Change, fragment: Id) -> None:
        """Notes a change with the episode it belongs to: after an end, still the one that ended."""
        if not self.episodes:
            return
        episode = self.episodes[-1]
        episode.changes.append(((change.event, change.source), fragment))
        if change.recovery_url and episode.points:
            episode.last.recovery_url = change.recovery_url

    def _late(self, time: int, near: Iterable[Purchase]) -> None:
        for order in near:
            if self._is_named(order) or order.skus.issuperset(self.lines):
                self._take({}, "converted", time, order)
                return

    def _is_named(self, order: Purchase) -> bool:
        latest = order.time + self._triggers.skew
        return any(name in self._names and self._names[name] <= latest for name in order.names)

    def _take(self, left: Lines, end: str, time: int, order: Purchase | None = None) -> None:
        self.lines = left
        if not left:
            self._stage, self._currency, self._value = "", None, None
        if self._open is not None:
            self._close(end, time, order)

    def _close(self, end: str, time: int, order: Purchase | None = None) -> None:
        episode = self._open
        assert episode is not None
        episode.end, episode.ended_at, episode.order = end, time, order
        self._open = None


def _add(lines: Lines, others: Iterable[Line | CartLine], time: int, most: int) -> Lines:
    """New lines beyond `most` are left out."""
    result = dict(lines)
    for other in others:
        quantity = Decimal(other.quantity)
        known = result.get(other.sku)
        if quantity > 0 and (known is not None or len(result) < most):
            result[other.sku] = _line(known, other, quantity if known is None else known.quantity + quantity, time)
    return result


def _remove(lines: Lines, others: Iterable[Line], time: int) -> Lines:
    result = dict(lines)
    for other in others:
        known, quantity = result.get(other.sku), Decimal(other.quantity)
        if known is None or quantity <= 0:
            continue
        if known.quantity > quantity:
            result[other.sku] = _line(known, other, known.quantity - quantity, time)
        else:
            del result[other.sku]
    return result


def _replace(lines: Lines, others: Iterable[Line], time: int, most: int) -> Lines:
    """The same SKU on several lines counts together."""
    quantities: dict[str, Decimal] = {}
    newest: dict[str, Line] = {}
    for other in others:
        quantities[other.sku] = quantities.get(other.sku, ZERO) + Decimal(other.quantity)
        newest[other.sku] = other
    kept = [sku for sku, quantity in quantities.items() if quantity > 0][:most]
    return {sku: _line(lines.get(sku), newest[sku], quantities[sku], time) for sku in kept}


def _line(known: CartLine | None, new: Line | CartLine, quantity: Decimal, time: int) -> CartLine:
    if known is None:
        return line_of(new, quantity, time, time)
    return CartLine(
        known.sku,
        quantity,
        known.price if new.price is None else new.price,
        new.currency or known.currency,
        new.name or known.name,
        new.variant or known.variant,
        new.url or known.url,
        new.image_url or known.image_url,
        known.added,
        known.changed if quantity == known.quantity else time,
    )


def _currency_of(lines: Iterable[Line]) -> str | None:
    for line in lines:
        if line.currency:
            return line.currency
    return None


def _same(before: Lines, after: Lines) -> bool:
    if before is after:
        return True
    if before.keys() != after.keys():
        return False
    return all(
        line.quantity == (other := after[sku]).quantity
        and line.price == other.price
        and line.currency == other.currency
        for sku, line in before.items()
    )
