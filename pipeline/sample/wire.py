"""Events as bytes: CloudEvents in structured mode, or the requests that client libraries of Segment, PostHog and
Snowplow send. A request says when it was sent; here that is when it was received."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid5

import msgspec

from pipeline.core import times
from pipeline.core.times import MILLISECOND
from pipeline.sample.people import Event

_NAMESPACE = UUID("6f1d6a3e-5f0e-4d0c-9a55-3f8f1f0f7f11")
_NAMES = {
    "page.viewed": "Page Viewed",
    "product.viewed": "Product Viewed",
    "cart.item_added": "Product Added",
    "cart.item_removed": "Product Removed",
    "checkout.started": "Checkout Started",
    "order.placed": "Order Completed",
}
_SNOWPLOW_ACTIONS = {
    "product.viewed": "product_view",
    "cart.item_added": "add_to_cart",
    "cart.item_removed": "remove_from_cart",
    "checkout.started": "checkout_step",
    "order.placed": "transaction",
}
_IGLU = "iglu:com.snowplowanalytics.snowplow"

Json = dict[str, Any]


def encode(tracker: str, events: list[Event], received: int) -> bytes:
    """The value of one record. received: microseconds."""
    if tracker == "segment":
        return msgspec.json.encode(_segment(events, received))
    if tracker == "posthog":
        return msgspec.json.encode(_posthog(events, received))
    if tracker == "snowplow":
        return msgspec.json.encode(_snowplow(events, received))
    return msgspec.json.encode(_cloudevent(events[0], received))


def key_of(event: Event) -> bytes:
    """What a producer keys by: the strongest identifier that it knows, as it knows it, or else the SKU."""
    if not event.ids:
        return str(event.data["items"][0]["sku"]).encode()
    type, value = event.ids[0]
    return f"{type}:{value}".encode()


def _cloudevent(event: Event, received: int) -> Json:
    identifiers: list[Json] = [{"type": type, "value": value} for type, value in event.ids]
    identifiers += event.data.get("identifiers", ())
    return {
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "time": times.text(event.time),
        "recordedtime": times.text(received),
        "data": event.data | {"identifiers": identifiers},
    }


def _segment(events: list[Event], received: int) -> Json:
    return {"batch": [_segment_message(event) for event in events], "sentAt": times.text(received), "writeKey": "k"}


def _segment_message(event: Event) -> Json:
    ids = dict(event.ids)
    message: Json = {
        "messageId": _uuid(event),
        "timestamp": times.text(event.time),
        "userId": ids.get("customer"),
        "anonymousId": ids.get("cookie"),
        "integrations": {},
        "context": {
            "library": {"name": "analytics.js" if event.channel == "web" else "analytics-ios", "version": "2.4.0"}
        },
    }
    if "device" in ids:
        message["context"]["device"] = {"id": ids["device"], "type": "ios"}
    if event.type == "identity.observed":
        return message | {"type": "identify", "traits": {"email": ids["email"]} if "email" in ids else {}}
    if event.type == "page.viewed":
        return message | {"type": "page", "properties": event.data["properties"]}
    return message | {"type": "track", "event": _NAMES[event.type], "properties": _ecommerce(event)}


def _ecommerce(event: Event) -> Json:
    """The properties that Segment's specification and PostHog's users give to shop events."""
    order, cart = event.data.get("order", {}), event.data.get("cart", {})
    properties: Json = {"currency": event.data["items"][0]["currency"]}
    if cart.get("id"):
        properties["cart_id"] = cart["id"]
    if cart.get("checkout_id"):
        properties["checkout_id"] = cart["checkout_id"]
    if order:
        properties |= {"order_id": order["id"], "total": float(order["total"])}
    products = [item | {"product_id": item["sku"], "price": float(item["price"])} for item in event.data["items"]]
    return properties | ({"products": products} if event.type in ("order.placed", "checkout.started") else products[0])


def _posthog(events: list[Event], received: int) -> Json:
    batch = [_posthog_event(event) for event in events]
    return {"batch": batch, "historical_migration": False, "sent_at": times.text(received), "api_key": "phc_test"}


def _posthog_event(event: Event) -> Json:
    ids = dict(event.ids)
    anonymous = ids.get("cookie") or ids.get("device")
    properties: Json = {"$lib": "web" if event.channel == "web" else "posthog-ios", "$lib_version": "1.200.0"}
    name = _NAMES.get(event.type, "$identify")
    if event.type == "identity.observed":
        properties |= {"$anon_distinct_id": anonymous}
        properties |= {"$set": {"email": ids["email"]}} if "email" in ids else {}
    elif event.type == "page.viewed":
        name, properties = "$pageview", properties | {"$current_url": "https://shop.example/"}
    else:
        properties |= _ecommerce(event)
    return {
        "uuid": _uuid(event),
        "event": name,
        "distinct_id": ids.get("customer") or anonymous,
        "timestamp": times.text(event.time),
        "properties": properties,
    }


def _snowplow(events: list[Event], received: int) -> Json:
    sent = str(received // MILLISECOND)
    data = [_snowplow_event(event) | {"stm": sent} for event in events]
    return {"schema": f"{_IGLU}/payload_data/jsonschema/1-0-4", "data": data}


def _snowplow_event(event: Event) -> Json:
    ids = dict(event.ids)
    fields = {
        "eid": _uuid(event), "dtm": str(event.time // MILLISECOND), "tv": "js-3.24.0", "tna": "shop", "aid": "shop",
        "p": "web" if event.channel == "web" else "mob", "duid": ids.get("cookie") or ids.get("device"),
    }  # fmt: skip
    if "customer" in ids:
        fields["uid"] = ids["customer"]
    if event.type not in _SNOWPLOW_ACTIONS:
        return fields | {"e": "pv", "url": "https://shop.example/"}
    action = _nested("unstruct_event", _entity("snowplow_ecommerce_action", {"type": _SNOWPLOW_ACTIONS[event.type]}))
    return fields | {"e": "ue", "ue_pr": action, "co": _nested("contexts", _snowplow_entities(event))}


def _snowplow_entities(event: Event) -> list[Json]:
    entities = [
        _entity(
            "product",
            {name: item[name] for name in ("name", "brand", "category", "currency", "quantity", "variant")}
            | {"id": item["sku"], "price": float(item["price"])},
        )
        for item in event.data["items"]
    ]
    cart, order = event.data.get("cart", {}), event.data.get("order")
    if cart.get("id"):
        value = sum(float(item["price"]) * item["quantity"] for item in event.data["items"])
        entities.append(
            _entity("cart", {"cart_id": cart["id"], "total_value": round(value, 2), "currency": cart["currency"]})
        )
    if order:
        total = {"revenue": float(order["total"]), "currency": order["currency"], "payment_method": "card"}
        entities.append(_entity("transaction", {"transaction_id": order["id"]} | total))
    return entities


def _entity(name: str, data: Json) -> Json:
    return {"schema": f"{_IGLU}.ecommerce/{name}/jsonschema/1-0-0", "data": data}


def _nested(kind: str, data: Any) -> str:
    return msgspec.json.encode({"schema": f"{_IGLU}/{kind}/jsonschema/1-0-0", "data": data}).decode()


def _uuid(event: Event) -> str:
    return str(uuid5(_NAMESPACE, event.id))
