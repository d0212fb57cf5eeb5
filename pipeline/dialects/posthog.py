"""PostHog: single captures and batches.

A `distinct_id` may be a browser's or a person's, and `$create_alias` names two of them in either direction (clients for
Python and Node.js differ). So every distinct id is a cookie, by which aliases link without a direction; it is a
customer as well where the event shows that the person is known: `$identify`, `$user_id`, `$is_identified`, or an event
from a server whose id is no generated one.
"""

from __future__ import annotations

import re
from typing import Any, Final

from pipeline.core.touchpoint import RawIdentifier
from pipeline.dialects import channels, members
from pipeline.dialects.draft import Draft, Json, first, identifiers, part, parts, time
from pipeline.dialects.names import type_of
from pipeline.dialects.refused import bad_envelope

NAME: Final = "posthog"
_ALIAS: Final = ("$create_alias", "$merge_dangerously")
_GENERATED: Final = re.compile(r"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}|[0-9a-fA-F-]{40,}")


def recognises(body: Json, headers: Json) -> bool:
    batch = body.get("batch")
    if isinstance(batch, list):
        return any(_is_event(one) for one in parts(batch))
    return _is_event(body)


def _is_event(event: Json) -> bool:
    return isinstance(event.get("event"), str) and _distinct_id(event) is not None


def _distinct_id(event: Json) -> Any:
    found = event.get("distinct_id", event.get("$distinct_id"))
    return part(event, "properties").get("distinct_id") if found is None else found


def events(body: Json) -> list[Any]:
    batch = body.get("batch")
    return batch if isinstance(batch, list) else [body]


def draft(event: Json, body: Json, headers: Json, loyalty: tuple[str, ...]) -> Draft:
    name, properties = first(event, "event"), part(event, "properties")
    if name is None:
        raise bad_envelope("event: absent, or not text")
    channel = channels.said(properties.get("channel")) or channels.of_library(
        first(properties, "$lib") or first(headers, "user-agent")
    )
    type, items = members.products(type_of(name), properties)
    data = members.shop_data(type, properties, items, members.SEGMENT)
    data.device = members.device(
        first(properties, "$device_type"), first(properties, "$device_model"), first(properties, "$os")
    )
    data.campaign = members.campaign(properties, "utm_")
    person = {**part(event, "$set"), **part(properties, "$set")}
    data.traits = members.traits(person, ("email", "phone", *loyalty))
    data.identifiers = _identifiers(name, event, properties, person, channel, loyalty)
    return Draft(
        id=first(event, "uuid") or first(properties, "$insert_id"),
        channel=channel,
        type=type,
        data=data,
        time=time(event, "timestamp") or time(body, "timestamp"),
        sent=_sent(event, body, properties),
    )


def _sent(event: Json, body: Json, properties: Json) -> int | None:
    """When it was sent, unless the client says that this is no use."""
    if properties.get("$ignore_sent_at") is True:
        return None
    return time(event, "sent_at") or time(body, "sent_at")


def _identifiers(
    name: str, event: Json, properties: Json, person: Json, channel: str, loyalty: tuple[str, ...]
) -> list[RawIdentifier]:
    distinct = _distinct_id(event)
    return identifiers(
        [
            ("customer", distinct if _is_known(name, distinct, properties) else None),
            ("customer", properties.get("$user_id")),
            ("cookie", distinct),
            ("cookie", properties.get("$anon_distinct_id")),
            ("cookie", properties.get("alias") if name in _ALIAS else None),
            ("device" if channel == "app" else "cookie", properties.get("$device_id")),
            *((type, source.get(type)) for source in (person, properties) for type in ("email", "phone")),
            *(("loyalty", source.get(card)) for source in (person, properties) for card in loyalty),
        ]
    )


def _is_known(name: str, distinct: Any, properties: Json) -> bool:
    if name in _ALIAS:
        return False
    if name == "$identify" or properties.get("$is_identified") is True:
        return True
    generated = isinstance(distinct, str) and _GENERATED.fullmatch(distinct) is not None
    return properties.get("$is_server") is True and not generated
