"""What becomes of a privacy request at the root: who is meant, what is withdrawn, what is to be forgotten.

An erasure withdraws all that was published of the person (tombstones, retracted triggers without personal data, a
receipt that says how much and of nobody), has its fragments emptied, and its identifiers suppressed: but not shared
ones, and not those weaker than a phone that other persons were seen with, too. An access request is answered with all
that is held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from pipeline.core import times
from pipeline.core.access import held_about
from pipeline.core.blocks.horizon import written
from pipeline.core.blocks.identifiers import key_of_row
from pipeline.core.effects import Output
from pipeline.core.events import ACCESS, ERASURE
from pipeline.core.fragment import Fragment
from pipeline.core.grouping import Grouping, PersonIds
from pipeline.core.identifiers import Registry
from pipeline.core.ledger import Told, newest
from pipeline.core.mail import EVERYBODY, Empty, Mail, Masked, Suppress
from pipeline.core.roots import Roots
from pipeline.core.seat import Claim, Seat
from pipeline.core.solve import edges_of
from pipeline.core.touchpoint import Id

_json = orjson.dumps


class Privacy:
    """`post` sends a message, `out` takes records, `count` counts what metrics show."""

    def __init__(
        self,
        registry: Registry,
        roots: Roots,
        fragment_of: Callable[[Id], Fragment | None],
        post: Callable[[Mail], None],
        out: Callable[[Output], None],
        count: Callable[[str], None],
    ) -> None:
        self._registry, self._roots, self._fragment_of = registry, roots, fragment_of
        self._post, self._out, self._count = post, out, count
        self._trace: str | None = None
        """Of the request that is being answered."""

    def serve(self, root: Id, grouped: Grouping, now: int) -> None:
        """Answers the requests that wait at a root. grouped: its persons as they are."""
        roots = self._roots
        seat = roots.seat(root)
        claims, seat.claims = seat.claims, {}
        roots.seats.put(root, seat)
        roots.claimed.discard(root)
        erased: set[Id] = set()
        for subject, claim in claims.items():
            group = grouped.group_of.get(subject) or PersonIds((subject,), (), subject, False, False, 0)
            if group.owner in erased:
                continue
            if roots.seats.get(group.owner) is None:
                self._keep_out(subject, claim)
                continue
            self._trace = claim.trace
            if claim.kind == ACCESS:
                self._answer(group, claim, now)
            elif claim.kind == ERASURE:
                erased.add(group.owner)
                self._erase(root, group, claim, now)
        self._trace = None

    def _keep_out(self, subject: Id, claim: Claim) -> None:
        """Its time was over while the request climbed: nothing is held that could be withdrawn or shown."""
        if claim.kind == ERASURE:
            self._post(Suppress(EVERYBODY, {self._registry.key(subject): (claim.time, 0)}))

    def _say(self, output: Output) -> None:
        self._out(output if self._trace is None else output._replace(trace=self._trace))

    def withdraw(self, names: Iterable[Id], now: int) -> tuple[int, int]:
        """Takes back all that was published for identifiers that belong to nobody any more: how many triggers and
        profile documents or redirects were withdrawn."""
        seats = {name: self._roots.seat(name) for name in names}
        told = newest(one for seat in seats.values() for one in seat.told.values())
        documents = sum(self._tombstones(name, seat, now) for name, seat in seats.items())
        live = [one for one in told.values() if one.live]
        for one in live:
            self._retract(one, now)
        return len(live), documents

    def _tombstones(self, name: Id, seat: Seat, now: int) -> int:
        """Empties a seat and withdraws what stands in it, but for the revision, which never falls."""
        registry = self._registry
        key = key_of_row(name, seat.shown, registry) if seat.profile_id else None
        if key is not None:
            self._say(Output("identities", key, None, f"{key}@erased", now))
        document = bool(seat.target)
        if document:
            profile_id = registry.profile_id(name)
            for topic in registry.policy.publish.profile_topics:
                self._say(Output(topic, profile_id, None, f"{profile_id}:{seat.revision}:erased", now))
        self._roots.seats.put(
            name,
            Seat(
                name,
                seat.root,
                seat.wake,
                revision=seat.revision,
                evaluated=now,
                waiting=seat.waiting,
                hold=seat.hold,
            ),
        )
        return int(document)

    def _retract(self, told: Told, now: int) -> None:
        fired = orjson.loads(told.record) if told.record else {}
        record = {
            "trigger_id": told.trigger_id,
            "episode_id": told.episode_id,
            "family": told.family,
            "step": told.step,
            "status": "retracted",
            "revision": told.revision + 1,
            "reason": "erasure",
            "reasons": ["erasure"],
            "via_link": told.via_link,
            "profile_id": fired.get("profile_id"),
            "profile_revision": fired.get("profile_revision", 0),
            "anchor_at": written(told.anchor_at),
            "deadline_at": written(told.deadline_at),
            "evaluated_at": written(now),
            "fired_at": written(told.fired_at) if told.fired_at else None,
            "send_not_before": written(told.send_not_before) if told.send_not_before else None,
            "expires_at": written(told.expires_at) if told.expires_at else None,
            "addressable": False,
            "channels": [],
            "excluded_channels": [],
            "cart": None,
            "other_carts": [],
            "devices": [],
            "evidence": None,
        }
        self._count(f"triggers.{told.family}.retracted")
        event = f"{told.trigger_id}:{told.revision + 1}"
        self._say(Output("triggers", told.episode_id, _json(record), event, now))

    def _erase(self, root: Id, group: PersonIds, claim: Claim, now: int) -> None:
        registry = self._registry
        cluster = [found for name in self._roots.clusters[root] if (found := self._fragment_of(name)) is not None]
        suppressed = to_suppress(group, cluster, registry)
        touchpoints = sum(map(touchpoints_in, self._fragments(group)))
        triggers, documents = self.withdraw(group.ids, now)
        counts = {
            "identifiers": len(group.ids),
            "suppressed": len(suppressed),
            "touchpoints": touchpoints,
            "documents": documents,
            "triggers": triggers,
        }
        self._receipt(group.owner, claim, counts, now)
        self._forget(root, group, suppressed, claim.time)

    def _forget(self, root: Id, group: PersonIds, suppressed: list[Id], time: int) -> None:
        """Has the shards forget a person. In this shard, too, nothing of it is known from now on."""
        registry, roots = self._registry, self._roots
        gone = set(suppressed)
        masks = [registry.masked(name) for name in suppressed]
        since = {registry.key(name): (time, roots.seat(name).revision) for name in suppressed}
        self._post(Suppress(EVERYBODY, since))
        for name in group.ids:
            roots.empty_replica(name)
            if name not in gone:
                self._post(Empty(name))
        for name in roots.clusters[root] if masks else ():
            if name not in gone:
                self._post(Masked(name, masks))

    def _receipt(self, owner: Id, claim: Claim, counts: Mapping[str, int], now: int) -> None:
        seat = self._roots.seat(owner)
        seat.revision += 1
        self._roots.seats.put(owner, seat)
        profile_id = self._registry.profile_id(owner)
        row: dict[str, Any] = {
            "profile_id": profile_id,
            "revision": seat.revision,
            "kind": "erased",
            "changed": [],
            "cause": "erasure",
            "time": times.text(now),
            "erased": {"request": claim.event, **counts},
        }
        self._count("erased")
        self._say(Output("profile-changes", profile_id, _json(row), f"{profile_id}:{seat.revision}:erased", now))

    def _answer(self, group: PersonIds, claim: Claim, now: int) -> None:
        seats = [self._roots.seat(name) for name in group.ids]
        row = {
            "request": claim.event,
            "time": times.text(now),
            **held_about(self._registry, group, self._fragments(group), seats, now),
        }
        self._count("access_answered")
        self._say(Output("access-reports", claim.event, _json(row), f"{claim.event}:{group.owner}", now))

    def _fragments(self, group: PersonIds) -> list[Fragment]:
        return [found for name in group.anchors if (found := self._fragment_of(name)) is not None]


def to_suppress(group: PersonIds, cluster: Iterable[Fragment], registry: Registry) -> list[Id]:
    """What an erasure of a person keeps out from then on: all but shared identifiers and weak ones that were seen with
    somebody else, too. cluster: the fragments that may belong together with it."""
    if group.shared:
        return []
    own = set(group.ids)
    edges = edges_of(cluster, registry).edges
    elsewhere = {name for two in edges if len(own.intersection(two)) == 1 for name in two}
    return [name for name in group.ids if registry.names_somebody(name) or name not in elsewhere]


def touchpoints_in(fragment: Fragment) -> int:
    """How many touchpoints were folded into a fragment."""
    own = fragment.rest.get(fragment.id)
    return sum(sighting.count for sighting in fragment.sets.values()) + (own.count if own else 0)
