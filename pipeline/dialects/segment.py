"""Segment and RudderStack: single events and batches, as clients send them and as destinations deliver them.

The two name their clients alike, so they are one dialect. Event time = arrived - (sent - original time).
"""

from __future__ import annotations

from typing import Any, Final

from pipeline.core.touchpoint import Data, RawIdentifier
from pipeline.dialects import channels, members
from pipeline.dialects.draft import Draft, Json, first, identifiers, part, parts, text, time
from pipeline.dialects.names import type_of
from pipeline.dialects.refused import bad_envelope

NAME: Final = "segment"
_KINDS: Final = frozenset({"track", "identify", "page", "screen", "alias", "group"})
_TYPES: Final = {
    "identify": "identity.observed",
    "alias": "identity.observed",
    "page": "page.viewed",
    "screen": "screen.viewed",
    "group": "group.joined",
}
_EXTERNAL: Final = {
    "user_id": "customer",
    "anonymous_id": "cookie",
    "ios.id": "device",
    "android.id": "device",
    "ios.idfa": "device",
    "android.idfa": "device",
}
_CHANNELS: Final = {"web": "web", "mobile": "app", "server": "server", "sources": "server"}


def recognises(body: Json, headers: Json) -> bool:
    batch = body.get("batch")
    if isinstance(batch, list):
        return any(one.get("type") in _KINDS for one in parts(batch) if isinstance(one.get("type"), str))
    kind = body.get("type")
    return (
        isinstance(kind, str) and kind in _KINDS and not body.keys().isdisjoint(("messageId", "anonymousId", "userId"))
    )


def events(body: Json) -> list[Any]:
    batch = body.get("batch")
    return batch if isinstance(batch, list) else [body]


def draft(event: Json, body: Json, headers: Json, loyalty: tuple[str, ...]) -> Draft:
    kind = event.get("type")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise bad_envelope("type: none of " + ", ".join(sorted(_KINDS)))
    context, properties = part(event, "context") or part(body, "context"), part(event, "properties")
    type, items = members.products(_type(kind, event), properties)
    data = members.shop_data(type, properties, items, members.SEGMENT)
    _surroundings(data, context)
    traits = {} if kind == "group" else {**part(context, "traits"), **part(event, "traits")}
    data.traits = members.traits(traits, ("email", "phone", *loyalty))
    data.identifiers = _identifiers(event, context, traits, properties, loyalty)
    return Draft(
        id=first(event, "messageId"),
        channel=_channel(event, context, properties, headers),
        type=type,
        data=data,
        time=time(event, "originalTimestamp", "timestamp") or time(body, "originalTimestamp", "timestamp"),
        sent=_sent(event, body),
        arrived=time(event, "receivedAt") or time(body, "receivedAt"),
    )


def _type(kind: str, event: Json) -> str:
    if kind != "track":
        return _TYPES[kind]
    name = text(event.get("event"))
    if name is None:
        raise bad_envelope("event: absent, or not text")
    return type_of(name)


def _sent(event: Json, body: Json) -> int | None:
    """None if the event carries a corrected timestamp and no original one."""
    if "receivedAt" in event and "originalTimestamp" not in event and "timestamp" in event:
        return None
    return time(event, "sentAt") or time(body, "sentAt")


def _channel(event: Json, context: Json, properties: Json, headers: Json) -> str:
    own = channels.said(properties.get("channel"))
    if own:
        return own
    named = event.get("channel")
    if isinstance(named, str) and named in _CHANNELS:
        return _CHANNELS[named]
    return channels.of_library(first(part(context, "library"), "name") or first(headers, "user-agent"))


def _surroundings(data: Data, context: Json) -> None:
    device, os = part(context, "device"), part(context, "os")
    data.device = members.device(first(device, "type"), first(device, "model"), first(os, "name"))
    data.campaign = members.campaign(part(context, "campaign"))
    data.session = data.session or first(context, "sessionId", "session_id")


def _identifiers(
    event: Json, context: Json, traits: Json, properties: Json, loyalty: tuple[str, ...]
) -> list[RawIdentifier]:
    external = [
        (_EXTERNAL.get(type, type), one.get("id"))
        for one in parts(context.get("externalIds"))
        if (type := first(one, "type")) is not None
    ]
    named = [(name, source.get(name)) for source in (traits, properties) for name in ("email", "phone")]
    cards = [("loyalty", source.get(name)) for source in (traits, properties) for name in loyalty]
    return identifiers(
        [
            ("customer", event.get("userId")),
            ("cookie", event.get("anonymousId")),
            ("cookie", event.get("previousId")),
            ("device", part(context, "device").get("id")),
            *named,
            *cards,
            *external,
        ]
    )
