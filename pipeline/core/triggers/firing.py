"""Fires what is due, or says why not.

Of one deadline the highest family comes first. Carts due at one deadline are a group: the lead (highest stage, then
latest change, then highest value) is tried first, then the next; once one fires, the others travel with it. The same
contents are never told twice for the same step, and what a live trigger covers is told. A suppressed trigger is revised
under its id when the facts change; it never fires because time passed. A consent or an address that comes later has its
grace, too: they often come with an order.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha1
from itertools import groupby
from typing import Final, NamedTuple

import msgspec

from pipeline.core.episode import Episode, Point
from pipeline.core.ledger import Cover, Told
from pipeline.core.money import ZERO
from pipeline.core.touchpoint import Id
from pipeline.core.triggers.case import Case
from pipeline.core.triggers.due import Due, is_open, too_old
from pipeline.core.triggers.families import GROUPED, LEVEL
from pipeline.core.triggers.reasons import Reach, Why, is_peer
from pipeline.core.triggers.record import Others, record
from pipeline.core.triggers.sending import first_allowed, is_zone

_NAMESPACE: Final = bytes.fromhex("2a5f0f6c8f0e5a5db1f4f5a3c0f3d7e2")
_json: Final = msgspec.json.Encoder().encode


class Name(NamedTuple):
    """What a trigger goes by. origin: see the ledger. n: how often the episode was re-armed before."""

    trigger_id: str
    episode_id: str
    origin: Id
    n: int


def fire(case: Case, due: Sequence[Due]) -> None:
    """due: by deadline. What fires may be one more reason for what was suppressed before it."""
    while True:
        before = len(case.records)
        _fire_once(case, due)
        if not any(record["status"] == "fired" for record in case.records[before:]):
            return


def _fire_once(case: Case, due: Sequence[Due]) -> None:
    for _, group in groupby(due, key=lambda one: one.deadline):
        members = list(group)
        if len(members) > 1:
            members.sort(key=lambda one: (-LEVEL[one.family], *_rank(one.episode, one.point)), reverse=True)
        for lead in members:
            if not _is_told(case, lead):
                _judge(case, lead)


def _others(case: Case, due: Due) -> Others:
    """The other carts that were open at the deadline and still are, best first; for carts only."""
    deadline = due.deadline
    if due.family not in GROUPED:
        return []
    found = [
        (episode, point)
        for episode in case.episodes
        if episode is not due.episode
        and is_open(episode)
        and (point := episode.at(deadline)) is not None
        and point.stage in GROUPED
        and point.stage in case.policy.enabled
        and deadline < point.time + case.policy.episode_expiry
    ]
    found.sort(key=lambda one: _rank(*one), reverse=True)
    return found[: case.registry.policy.bounds.carts]


def _rank(episode: Episode, point: Point) -> tuple[object, ...]:
    return point.stage == "checkout", point.time, point.worth or ZERO, point.event, episode.key


def _is_told(case: Case, due: Due) -> bool:
    """Whether the person was told of this cart, for this step or at this deadline: of these contents, or by a live
    trigger no older than its change."""
    for told in case.told.values():
        if not told.fired_at or (told.step != due.step and told.deadline_at != due.deadline):
            continue
        covers = told.covers if told.live else told.covers[:1]
        meant = [cover for cover in covers if _covers(case, cover, due.episode)]
        if meant and told.live and due.point.time <= told.fired_at:
            return True
        if told.episode_id == _episode_named(case, due)[0]:
            meant.append(told.covers[0])
        if meant and due.point.contents in [cover.contents for cover in meant]:
            return True
    return False


def _covers(case: Case, cover: Cover, episode: Episode) -> bool:
    holder = case.holder(cover)
    return holder is not None and case.heir(holder) is episode


def _judge(case: Case, due: Due) -> None:
    name = _named(case, due)
    known = case.told.get(name.trigger_id)
    again = known is not None and known.deadline_at == due.deadline
    if again and too_old(case, due.deadline):
        return
    why, cover = Why(case, due), _cover(due.point)
    if known is not None and again and known.covers == (cover,) and known.reason == why.first:
        return
    settled_at = case.addressing.changed_at + case.policy.grace
    if again and case.now < settled_at:
        case.wake_at(settled_at)
        return
    told = _proposed(case, due, name, known)
    if reasons := why.all:
        told = msgspec.structs.replace(told, reason=reasons[0], reasons=reasons)
        case.note(told, record(case, told, due, [], why.reach), due.point.fragment)
    else:
        _fire(case, told, due, why.reach)


def _fire(case: Case, told: Told, due: Due, reach: Reach) -> None:
    others = _others(case, due)
    told = _fired(case, told, due, others, reach)
    made = record(case, told, due, others, reach)
    case.note(msgspec.structs.replace(told, record=_json(made)), made, due.point.fragment)


def _proposed(case: Case, due: Due, name: Name, known: Told | None) -> Told:
    """The trigger as suppressed for no reason yet. known: what was published under its id."""
    return Told(
        name.trigger_id,
        name.episode_id,
        due.family,
        due.step,
        name.n,
        "suppressed",
        None,
        (),
        None,
        1 if known is None else known.revision + 1,
        due.quiet.anchor_at,
        due.deadline,
        case.now,
        name.origin,
        (_cover(due.point),),
    )


def _fired(case: Case, told: Told, due: Due, others: Others, reach: Reach) -> Told:
    policy, zone = case.policy, case.addressing.timezone
    if zone is None or not is_zone(zone):
        zone = case.registry.policy.profile.timezone
    send_not_before = first_allowed(case.now, zone, policy.quiet_hours, policy.send_window)
    return msgspec.structs.replace(
        told,
        status="fired",
        covers=(_cover(due.point), *(_cover(point) for _, point in others)),
        fired_at=case.now,
        send_not_before=send_not_before,
        expires_at=send_not_before + policy.expires_after,
        recovery_url=due.point.recovery_url,
        peers=tuple(live.trigger_id for live in case.live() if is_peer(live, due.deadline, policy)),
        channels=tuple(one["channel"] for one in reach.used),
    )


def _cover(point: Point) -> Cover:
    return Cover(point.time, *point.ref, point.contents)


def _named(case: Case, due: Due) -> Name:
    """n: one more than that of the last one fired."""
    episode_id, origin = _episode_named(case, due)
    n = max(
        (
            told.n + (told.fired_at > 0)
            for told in case.told.values()
            if told.episode_id == episode_id and told.step == due.step
        ),
        default=0,
    )
    return Name(_uuid(due.family, episode_id, str(due.step), str(n)), episode_id, origin, n)


def _episode_named(case: Case, due: Due) -> tuple[str, Id]:
    """Id and origin of an episode. It keeps those under which it was published, as long as the origin is one of the
    person; where facts joined several, those that fired first. New ones come of the cart, the fragment that holds the
    newest change, and the first change there that nothing forgotten can have been named after."""
    episode, home = due.episode, due.point.fragment
    published = [
        (told.fired_at == 0, told.fired_at, told.episode_id, told.origin)
        for told in case.told.values()
        if case.holder(told.covers[0]) is episode and told.origin in case.person.ids
    ]
    if published:
        return min(published)[2:]
    first = next(ref for ref, fragment in episode.changes if fragment == home)
    until = case.forgotten.get(home, 0)
    if until >= episode.points[0].time:
        first = next((one.ref for one in episode.points if one.fragment == home and one.time > until), due.point.ref)
    return _uuid(episode.key, *first), home


def _uuid(*names: str) -> str:
    """UUIDv5 of these names."""
    made = bytearray(sha1(_NAMESPACE + "\n".join(names).encode(), usedforsecurity=False).digest()[:16])
    made[6] = made[6] & 0x0F | 0x50
    made[8] = made[8] & 0x3F | 0x80
    text = made.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
