"""traits: of each name the newest value; at one time the source with the higher priority, then the greater event id.
A null that is newest unsets the name. A trait by the name of a type of identifier is seen only where the policy shows
that type as it is. consents: per channel and purpose what holds over the whole person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from pipeline.core.blocks.horizon import written
from pipeline.core.facts.consents import law
from pipeline.core.fragment import Consent, Fragment, Trait
from pipeline.core.policy import Policy

_REFUSED: Final = ("denied", "revoked")


def traits(fragments: Iterable[Fragment], policy: Policy) -> dict[str, Any] | None:
    priority, shown = policy.profile.source_priority, policy.publish.identifiers

    def order(trait: Trait) -> tuple[int, int, str, str]:
        return trait.time, priority.get(trait.source, 0), trait.event, trait.source

    best: dict[str, Trait] = {}
    for fragment in fragments:
        for name, kept in fragment.traits.items():
            trait = kept[0] if len(kept) == 1 else max(kept, key=order)
            known = best.get(name)
            if known is None or order(trait) > order(known):
                best[name] = trait
    block = {}
    for name in sorted(best):
        trait = best[name]
        if trait.value is not None and shown.get(name.lower(), "raw") == "raw":
            block[name] = {"value": trait.value, "time": written(trait.time), "source": trait.source}
    return block or None


def consents(fragments: Iterable[Fragment]) -> dict[str, Any] | None:
    best: dict[str, Consent] = {}
    for fragment in fragments:
        for key, kept in fragment.consents.items():
            known = best.get(key)
            if known is None or law(kept[-1]) > law(known):
                best[key] = kept[-1]
    block: dict[str, Any] = {}
    for key in sorted(best):
        channel, _, purpose = key.partition("\n")
        consent = best[key]
        block.setdefault(channel, {})[purpose] = {
            "state": consent.state,
            "since": written(consent.effective),
            "source": consent.source,
            "proof": consent.proof,
        }
    return block or None


def refuses_profiling(consents: Mapping[str, Any] | None) -> bool:
    """consents: the block."""
    state = (consents or {}).get("*", {}).get("profiling", {}).get("state")
    return state in _REFUSED
