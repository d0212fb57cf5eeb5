"""What became of messages: sent, opened, clicked. Known by event; the newest are kept. And which addresses bounced."""

from __future__ import annotations

from typing import Final

from pipeline.core.facts.bounded import drop_oldest
from pipeline.core.fragment import Bounce, Click, Fragment
from pipeline.core.identifiers import Registry
from pipeline.core.touchpoint import MessageRef, Touchpoint

_KEPT: Final = 200
_BOUNCES_MAX: Final = 64
_NO_MESSAGE: Final = MessageRef()
_ADDRESSES: Final = (("email", "phone"), ("device",))
"""Types of what a message is sent to. A device that is named beside an address is not what bounced."""


def fold_message(fragment: Fragment, tp: Touchpoint, registry: Registry) -> None:
    key = f"{tp.source}\n{tp.id}"
    known = fragment.clicks.get(key)
    if known is not None and (known.received, known.time) <= (tp.received, tp.time):
        return
    ref = tp.data.message or _NO_MESSAGE
    fragment.clicks[key] = Click(tp.time, tp.received, tp.type, ref.trigger_id, ref.link, tp.data.session)
    drop_oldest(fragment, "clicks", fragment.clicks, _KEPT, lambda click: click.time)


def fold_bounce(fragment: Fragment, tp: Touchpoint, registry: Registry) -> None:
    """message.bounced: nothing can be sent to the addresses named, whoever is found to own them."""
    typed = [(registry.type(id), str(id)) for id in tp.ids] + [(type, f"{type}:{value}") for type, value in tp.hints]
    for types in _ADDRESSES:
        addresses = [text for type, text in typed if type in types]
        for address in addresses:
            known = fragment.bounces.get(address)
            if known is None or (tp.received, tp.time) < (known.received, known.time):
                fragment.bounces[address] = Bounce(tp.time, tp.received)
        if addresses:
            break
    drop_oldest(fragment, "bounces", fragment.bounces, _BOUNCES_MAX, lambda bounce: bounce.time)
