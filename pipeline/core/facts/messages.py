"""What became of messages: sent, opened, clicked. Known by event; the newest are kept."""

from __future__ import annotations

from typing import Final

from pipeline.core.facts.bounded import drop_oldest
from pipeline.core.fragment import Click, Fragment
from pipeline.core.identifiers import Registry
from pipeline.core.touchpoint import MessageRef, Touchpoint

_KEPT: Final = 200
_NO_MESSAGE: Final = MessageRef()


def fold_message(fragment: Fragment, tp: Touchpoint, registry: Registry) -> None:
    key = f"{tp.source}\n{tp.id}"
    known = fragment.clicks.get(key)
    if known is not None and (known.received, known.time) <= (tp.received, tp.time):
        return
    ref = tp.data.message or _NO_MESSAGE
    fragment.clicks[key] = Click(tp.time, tp.received, tp.type, ref.trigger_id, ref.link, tp.data.session)
    drop_oldest(fragment, "clicks", fragment.clicks, _KEPT, lambda click: click.time)
