"""Snowplow trackers: POST bodies (`data[]`) and query strings of GET. Nested JSON comes as text or as base64url.

Domain user id -> cookie; network user id -> network_cookie, another type, since it is set by another site; user id ->
customer. A true timestamp is taken as it is, others are corrected by when the event was sent.
"""

from __future__ import annotations

from typing import Any, Final

from pipeline.core.events import CART, ORDER
from pipeline.core.touchpoint import CartRef, Data, OrderRef, RawIdentifier
from pipeline.dialects import channels, members
from pipeline.dialects.draft import Draft, Json, amount, first, identifiers, part, parts, time
from pipeline.dialects.names import type_of
from pipeline.dialects.payload import parse, parse_base64
from pipeline.dialects.refused import Refused, bad_envelope, bad_field

NAME: Final = "snowplow"
_KINDS: Final = {"pv": "page.viewed", "pp": "page.pinged", "tr": "order.placed", "ti": "transaction.item"}
_SCHEMAS: Final = {
    "link_click": "link.clicked",
    "screen_view": "screen.viewed",
    "site_search": "search.performed",
    "add_to_cart": "cart.item_added",
    "remove_from_cart": "cart.item_removed",
}
_TRACKERS: Final = {"js": "web", "ios": "app", "andr": "app", "rn": "app", "flutter": "app", "kotlin": "app"}


def recognises(body: Json, headers: Json) -> bool:
    if isinstance(body.get("data"), list):
        return any("e" in one for one in parts(body["data"]))
    return "e" in body and not body.keys().isdisjoint(("eid", "tv"))


def events(body: Json) -> list[Any]:
    data = body.get("data")
    return data if isinstance(data, list) else [body]


def draft(event: Json, body: Json, headers: Json, loyalty: tuple[str, ...]) -> Draft:
    entities = _entities(event)
    name, payload = _named(event)
    type = _SCHEMAS.get(name) or type_of(name)
    products = [members.item(one, members.SNOWPLOW) for one in entities.get("product", [])]
    if type in _SCHEMAS.values() and not products and type in CART:
        products = [members.item(payload, members.SNOWPLOW)]
    if type == "cart.snapshot" and not products:
        type = "cart.viewed"
    session = _entity(entities, "client_session")
    data = Data(
        session=first(event, "sid") or first(session, "sessionId"),
        cart=_cart(type, entities),
        order=_order(type, event, entities),
        items=products,
        query=_query(payload),
        device=_device(entities),
    )
    data.identifiers = _identifiers(event, entities, loyalty)
    true_time = time(event, "ttm")
    return Draft(
        id=first(event, "eid"),
        channel=_channel(event),
        type=type,
        data=data,
        time=true_time or time(event, "dtm"),
        sent=None if true_time else time(event, "stm"),
    )


def _named(event: Json) -> tuple[str, Json]:
    """(name of the event, its own payload)"""
    kind = event.get("e")
    if kind == "se":
        return first(event, "se_ac") or "structured", {}
    if kind != "ue":
        return _KINDS.get(kind, f"snowplow.{kind}") if isinstance(kind, str) else _no_kind(), {}
    outer = part(_nested(event, "ue_pr", "ue_px"), "data")
    schema, payload = _schema_name(outer), part(outer, "data")
    if schema == "snowplow_ecommerce_action":
        return first(payload, "type") or schema, payload
    return schema or "unstructured", payload


def _no_kind() -> str:
    raise bad_envelope("e: absent, or not text")


def _nested(event: Json, plain: str, encoded: str) -> Json:
    """A member with JSON as text, or as base64url."""
    for name in (plain, encoded):
        value = event.get(name)
        if isinstance(value, dict):
            return value
        if isinstance(value, str) and value:
            try:
                found = parse(value.encode()) if name == plain else parse_base64(value)
            except Refused as refused:
                raise bad_field(name, refused.message) from None
            if not isinstance(found, dict):
                raise bad_field(name, "not an object")
            return found
    return {}


def _schema_name(value: Json) -> str:
    """iglu:vendor/NAME/jsonschema/1-0-0"""
    schema = (first(value, "schema") or "").split("/")
    return schema[1] if len(schema) > 1 else ""


def _entities(event: Json) -> dict[str, list[Json]]:
    """Name of the schema -> entities attached to the event."""
    found: dict[str, list[Json]] = {}
    for one in parts(_nested(event, "co", "cx").get("data")):
        found.setdefault(_schema_name(one), []).append(part(one, "data"))
    return found


def _entity(entities: dict[str, list[Json]], name: str) -> Json:
    return entities[name][0] if name in entities else {}


def _cart(type: str, entities: dict[str, list[Json]]) -> CartRef | None:
    cart, transaction = _entity(entities, "cart"), _entity(entities, "transaction")
    checkout = _entity(entities, "checkout_step")
    id, checkout_id = first(cart, "cart_id"), first(checkout, "checkout_id") or first(transaction, "checkout_id")
    if not id and not checkout_id:
        return None
    value = amount(cart, "total_value") if type not in ("cart.item_added", "cart.item_removed") else None
    return CartRef(id=id, checkout_id=checkout_id, currency=first(cart, "currency"), value=value)


def _order(type: str, event: Json, entities: dict[str, list[Json]]) -> OrderRef | None:
    if type not in ORDER:
        return None
    if type == "order.returned":
        refund = _entity(entities, "refund")
        back = amount(refund, "refund_amount")
        return OrderRef(
            id=first(refund, "transaction_id"),
            amount=None if back is None else back.copy_abs(),
            currency=first(refund, "currency"),
        )
    sale = _entity(entities, "transaction")
    return OrderRef(
        id=first(sale, "transaction_id") or first(event, "tr_id"),
        total=amount(sale, "revenue") if sale else amount(event, "tr_tt"),
        currency=first(sale, "currency") or first(event, "tr_cu"),
        tax=amount(sale, "tax"),
        shipping=amount(sale, "shipping"),
        discount=amount(sale, "discount_amount"),
        coupon=first(sale, "discount_code"),
    )


def _query(payload: Json) -> str | None:
    """What was searched for."""
    terms = payload.get("terms")
    return " ".join(one for one in terms if isinstance(one, str)) or None if isinstance(terms, list) else None


def _device(entities: dict[str, list[Json]]) -> Any:
    mobile = _entity(entities, "mobile_context")
    return members.device(None, first(mobile, "deviceModel"), first(mobile, "osType"))


def _channel(event: Json) -> str:
    """By the tracker's name and version, `js-3.1.0`."""
    tracker = (first(event, "tv") or "").lower()
    name = tracker.partition("-")[0]
    return _TRACKERS.get(name) or channels.of_library(tracker)


def _identifiers(event: Json, entities: dict[str, list[Json]], loyalty: tuple[str, ...]) -> list[RawIdentifier]:
    user, mobile = _entity(entities, "user"), _entity(entities, "mobile_context")
    return identifiers(
        [
            ("customer", event.get("uid")),
            ("email", user.get("email")),
            ("phone", user.get("phone")),
            *(("loyalty", user.get(name)) for name in loyalty),
            ("device", mobile.get("appleIdfv")),
            ("device", mobile.get("androidIdfa")),
            ("cookie", event.get("duid")),
            ("network_cookie", event.get("nuid")),
            ("network_cookie", event.get("tnuid")),
        ]
    )
