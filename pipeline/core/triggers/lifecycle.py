"""What becomes of a trigger that was fired, once more is known. Retraction is final.

* An order at or before `fired_at` that closed the cart, or a change that emptied or absorbed it: retracted. So is a
  trigger whose cart never held anything, now that its person was split.
* An order after that, before `send_not_before`: retracted too; within `recovery_window`: recovered.
* A consent withdrawn before the trigger expires: retracted, and recovered ones too, whatever came first.
* Two persons became one and both had been told: the earliest trigger stays.
Activity, additions and another profile id change nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from pipeline.core.episode import Episode, Purchase
from pipeline.core.fragment import Click
from pipeline.core.ledger import KEPT, Told, outlived
from pipeline.core.times import DAY
from pipeline.core.touchpoint import Id
from pipeline.core.triggers.case import Case
from pipeline.core.triggers.connected import connected_since
from pipeline.core.triggers.due import deadlines
from pipeline.core.triggers.reasons import exceeds, is_peer, silences
from pipeline.core.triggers.record import revised


def review(case: Case) -> None:
    """Retracts and recovers what was fired."""
    for told in case.live():
        _follow(case, told)
    _retract_duplicates(case)


def past(case: Case) -> set[str]:
    """Ids of triggers that can matter to nothing any more. Of an episode with younger deadlines the newest entry of
    each step is kept: it says by which id the episode goes, which number comes next, and what was told."""
    found = {told.trigger_id: told for told in case.told.values() if outlived(told, case.now)}
    if not found:
        return set()
    numbered: dict[tuple[str, int], tuple[int, str]] = {}
    for told in case.told.values():
        episode = case.holder(told.covers[0])
        if episode is not None and any(due.deadline > case.now - KEPT for due in deadlines(case, episode)):
            key, number = (told.episode_id, told.step), (told.n, told.trigger_id)
            numbered[key] = max(number, numbered.get(key, number))
    return found.keys() - {trigger for _, trigger in numbered.values()}


def _follow(case: Case, told: Told) -> None:
    episode = case.holder(told.covers[0])
    if episode is None:
        if case.has(told.covers[0]):
            _retract(case, told, "emptied")
        return
    reason = _withdrawn_by(case, told, episode)
    if reason is None and case.now < told.expires_at:
        reason = "consent" if any(case.addressing.refused(channel) for channel in told.channels) else None
    if reason is not None:
        _retract(case, told, reason)
        return
    order = _order_after(case, episode)
    if order is not None and told.fired_at < order.time <= told.fired_at + case.policy.recovery_window:
        via_link = any(_leads_back(told, click, order) for click in _clicks(case))
        if told.status != "recovered" or (via_link and not told.via_link):
            _revise(case, told, "recovered", None, via_link)


def _withdrawn_by(case: Case, told: Told, episode: Episode) -> str | None:
    """Why the cart's facts forbid a trigger that was fired."""
    ended_at = episode.ended_at
    if episode.end in ("emptied", "superseded") and ended_at is not None and ended_at <= told.fired_at:
        return episode.end
    order = _order_after(case, episode)
    if order is None:
        return None
    if order.time <= told.fired_at:
        return _late_by(case, order, told, episode)
    return "purchase_before_send" if order.time < told.send_not_before else None


def _order_after(case: Case, episode: Episode) -> Purchase | None:
    """The order that ended a cart's life, or the first one after the shopper had emptied the cart: who clears a cart on
    the way to the till has bought all the same."""
    heir = case.heir(episode)
    if heir.end != "emptied" or heir.ended_at is None:
        return heir.order
    for order in case.known.orders:
        meant = heir.any_order or heir.key in order.names or order.skus & heir.last.lines.keys()
        if order.time >= heir.ended_at and meant:
            return order
    return None


def _late_by(case: Case, order: Purchase, told: Told, episode: Episode) -> str:
    """By whichever came last: the order's receipt, or that its buyer was found to be the cart's owner."""
    cover = told.covers[0]
    home = next(fragment for ref, fragment in episode.changes if ref == (cover.event, cover.source))
    known = [_known(case, received, fragment, home) for received, fragment in order.facts]
    return min(known)[1]


def _known(case: Case, received: int, fragment: Id, home: Id) -> tuple[int, str]:
    merged = connected_since(case.person.fragments, fragment, home, case.as_of)
    return (merged, "identity_merge") if merged > received else (received, "late_purchase")


def _clicks(case: Case) -> Iterable[Click]:
    for fragment in case.person.fragments:
        for click in fragment.clicks.values():
            if click.kind == "message.clicked" and case.known.has(click.received):
                yield click


def _leads_back(told: Told, click: Click, order: Purchase) -> bool:
    meant = click.trigger == told.trigger_id or (click.link is not None and click.link == told.recovery_url)
    return meant and told.fired_at <= click.time <= order.time


def _retract_duplicates(case: Case) -> None:
    """Earliest deadline first: what would exceed a cap, had both been one person, is withdrawn; but not what fired in
    the knowledge of the others, nor what is the other side's since a split."""
    kept = [told for told in case.live() if told.status == "recovered"]
    for told in case.live():
        if told.status != "fired":
            continue
        unknown = [other for other in kept if _knew_nothing(case, told, other)]
        if unknown and case.has(told.covers[0]) and _is_duplicate(case, told, kept, unknown):
            _retract(case, told, "duplicate_after_merge")
        else:
            kept.append(told)


def _knew_nothing(case: Case, told: Told, other: Told) -> bool:
    """Whether two triggers that count for each other fired as if of two persons."""
    apart = other.trigger_id not in told.peers and told.trigger_id not in other.peers
    return apart and is_peer(other, told.deadline_at, case.policy)


def _is_duplicate(case: Case, told: Told, kept: list[Told], unknown: list[Told]) -> bool:
    deadline, policy = told.deadline_at, case.policy
    return (
        any(silences(other, told.family, deadline, policy) for other in unknown)
        or exceeds(kept, deadline, DAY, policy.cap_24h)
        or exceeds(kept, deadline, 7 * DAY, policy.cap_7d)
    )


def _retract(case: Case, told: Told, reason: str) -> None:
    _revise(case, told, "retracted", reason, told.via_link)


def _revise(case: Case, told: Told, status: str, reason: str | None, via_link: bool | None) -> None:
    new = msgspec.structs.replace(
        told,
        status=status,
        reason=reason,
        reasons=() if reason is None else (reason,),
        via_link=via_link,
        revision=told.revision + 1,
        evaluated_at=case.now,
        record=b"" if status == "retracted" else told.record,
    )
    case.note(new, revised(new, told.record))
