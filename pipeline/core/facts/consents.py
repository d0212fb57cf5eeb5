"""Consents per channel and purpose: a register of the newest, so that an old grant never replaces a revocation.

Order of the law: effective time, then granted < denied < revoked, then event id and source. An unsubscription or a
complaint revokes the marketing consent of the channel of the address.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from pipeline.core.facts.bounded import drop_oldest
from pipeline.core.fragment import Consent, Fragment
from pipeline.core.identifiers import Registry
from pipeline.core.touchpoint import Touchpoint

_KEPT: Final = 8
_PAIRS_MAX: Final = 64
_STATES: Final = {"granted": 0, "denied": 1, "revoked": 2}
_CHANNELS: Final = {"email": "email", "phone": "sms"}
"""The channel by which an address of this type is written to."""


def law(consent: Consent) -> tuple[int, int, str, str, int]:
    """The greatest holds."""
    return consent.effective, _STATES.get(consent.state, 0), consent.event, consent.source, -consent.received


def fold_consent(fragment: Fragment, tp: Touchpoint, registry: Registry) -> None:
    ref = tp.data.consent
    if ref is None:
        return
    effective = tp.time if tp.effective is None else tp.effective
    _keep(fragment, ref.channel, ref.purpose, Consent(effective, ref.state, tp.id, tp.source, tp.received, ref.proof))


def fold_revocation(fragment: Fragment, tp: Touchpoint, registry: Registry) -> None:
    """message.unsubscribed, message.complained: for the channels of all addresses named, else the touchpoint's own."""
    types = [registry.type(id) for id in tp.ids] + [type for type, _ in tp.hints]
    channels = {_CHANNELS[type] for type in types if type in _CHANNELS}
    for channel in channels or {tp.channel}:
        _keep(fragment, channel, "marketing", Consent(tp.time, "revoked", tp.id, tp.source, tp.received))


def _keep(fragment: Fragment, channel: str, purpose: str, consent: Consent) -> None:
    known = fragment.consents.setdefault(f"{channel}\n{purpose}", [])
    place = bisect_left(known, law(consent), key=law)
    if place < len(known) and law(known[place]) == law(consent):
        return
    known.insert(place, consent)
    if len(known) > _KEPT:
        del known[0]
    drop_oldest(fragment, "consents", fragment.consents, _PAIRS_MAX, lambda kept: law(kept[-1]))
