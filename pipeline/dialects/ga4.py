"""GA4 Measurement Protocol: `client_id` and `events[]`. Events have no id: it is made from the content."""

from __future__ import annotations

from typing import Any, Final

from pipeline.core.touchpoint import RawIdentifier
from pipeline.dialects import channels, members
from pipeline.dialects.draft import Draft, Json, content_id, first, identifiers, part, parts, text, time
from pipeline.dialects.names import type_of
from pipeline.dialects.refused import bad_envelope

NAME: Final = "ga4"


def recognises(body: Json, headers: Json) -> bool:
    return isinstance(body.get("events"), list) and not body.keys().isdisjoint(
        ("client_id", "app_instance_id", "user_id")
    )


def events(body: Json) -> list[Any]:
    found: list[Any] = body["events"]
    return found


def draft(event: Json, body: Json, headers: Json, loyalty: tuple[str, ...]) -> Draft:
    name, params = first(event, "name"), part(event, "params")
    if name is None:
        raise bad_envelope("events[].name: absent, or not text")
    type, items = type_of(name), parts(params.get("items"))
    if type == "cart.snapshot" and not isinstance(params.get("items"), list):
        type = "cart.viewed"
    data = members.shop_data(type, params, items, members.GA4)
    person = {key: one.get("value") for key, one in part(body, "user_properties").items() if isinstance(one, dict)}
    data.traits = members.traits(person, ("email", "phone", *loyalty))
    data.campaign = members.campaign(params)
    device = part(body, "device")
    data.device = members.device(first(device, "category"), first(device, "model"), first(device, "operating_system"))
    data.identifiers = _identifiers(body, person, params, loyalty)
    stamped = time(event, "timestamp_micros") or time(body, "timestamp_micros")
    return Draft(
        id=first(params, "event_id") or content_id(_who(body), stamped, event),
        channel=channels.said(params.get("channel")) or ("app" if "app_instance_id" in body else "server"),
        type=type,
        data=data,
        time=stamped,
    )


def _who(body: Json) -> list[Any]:
    return [text(body.get(name)) for name in ("client_id", "app_instance_id", "user_id")]


def _identifiers(body: Json, person: Json, params: Json, loyalty: tuple[str, ...]) -> list[RawIdentifier]:
    hashed = part(body, "user_data")
    return identifiers(
        [
            ("customer", body.get("user_id")),
            ("device", body.get("app_instance_id")),
            ("cookie", body.get("client_id")),
            *(("email_sha256", one) for one in _several(hashed.get("sha256_email_address"))),
            *(("phone_sha256", one) for one in _several(hashed.get("sha256_phone_number"))),
            *((type, source.get(type)) for source in (person, params) for type in ("email", "phone")),
            *(("loyalty", source.get(card)) for source in (person, params) for card in loyalty),
        ]
    )


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
