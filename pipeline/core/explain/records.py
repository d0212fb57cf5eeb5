"""What an explanation says. It is JSON as it is; times are RFC 3339, identifiers readable where the policy allows."""

from __future__ import annotations

import msgspec


class Person(msgspec.Struct, frozen=True):
    """identifiers: strongest first. shared: it is one identifier that too many use. oversize: too much hangs together
    to be solved, so that each of its identifiers stands alone."""

    profile_id: str
    identifiers: list[str]
    shared: bool = False
    oversize: bool = False


class Edge(msgspec.Struct, frozen=True, omit_defaults=True):
    """Two identifiers seen together. first and last: RFC 3339, each with the id of the touchpoint that showed it.
    sources: how often each showed them. reasons: every rule that using the edge would break; changes: what would have
    to be different."""

    a: str
    b: str
    count: int
    first: str
    first_touchpoint: str
    last: str
    last_touchpoint: str
    sources: dict[str, int]
    reasons: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()


class Hub(msgspec.Struct, frozen=True, omit_defaults=True):
    """A shared identifier, since when, and with whom of the explained persons it was seen how often. anchors: how many
    distinct ones it was seen with; weaker: how many distinct weaker identifiers were seen with it as anchor. change:
    what would have to be different. both: it was seen with both persons."""

    identifier: str
    since: str
    seen_with: dict[str, int]
    anchors: int = 0
    weaker: int = 0
    change: str = ""
    both: bool = False


class Fate(msgspec.Struct, frozen=True, omit_defaults=True):
    """An edge that another policy would use or not use. before, after: reasons not to; empty: it is used."""

    a: str
    b: str
    before: tuple[str, ...]
    after: tuple[str, ...]


class Difference(msgspec.Struct, frozen=True, omit_defaults=True):
    """What would differ under another policy. policy: its name. same: nothing would. verdict, persons: as they would
    be; joined, left: identifiers that the persons would gain and lose. edges: those with another fate. shared,
    not_shared: identifiers that would become hubs, or would be none any more. absent: those that would be blocked.
    rebuild: changed keys that decide how touchpoints are folded; applying them takes `selvedge rebuild`."""

    policy: str
    same: bool
    verdict: str
    persons: list[Person]
    joined: list[str] = []
    left: list[str] = []
    edges: list[Fate] = []
    shared: list[str] = []
    not_shared: list[str] = []
    absent: list[str] = []
    rebuild: list[str] = []


class Explanation(msgspec.Struct, frozen=True, omit_defaults=True):
    """verdict: person (about one identifier), same, different. persons: of the identifiers asked for, in their order.
    path: from the first identifier to the second. kept and skipped: about one identifier, all edges of its person;
    about two, skipped has the edges between them, or the obstacles on the way from one to the other. difference: under
    another policy, if that was asked for."""

    verdict: str
    asked: list[str]
    persons: list[Person]
    path: list[Edge] = []
    kept: list[Edge] = []
    skipped: list[Edge] = []
    hubs: list[Hub] = []
    difference: Difference | None = None

    def beside(self, difference: Difference) -> Explanation:
        return msgspec.structs.replace(self, difference=difference)


def to_json(explanation: Explanation) -> bytes:
    return msgspec.json.format(msgspec.json.encode(explanation))
