"""`selvedge watch`: an output topic as one readable line a record, or as JSON for other programs.

The first words of a line say what it is about; colours only on a terminal. A record that is not what its topic should
hold is shown as it is: looking must never fail because of what is seen.
"""

from __future__ import annotations

import base64
import io
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

from rich.console import Console
from rich.text import Text

from pipeline.core.triggers.words import why
from pipeline.kafka.connect import PATIENCE_S, Tell
from pipeline.kafka.follow import Record, follow
from pipeline.settings import Settings

TOPICS = ("profiles", "identities", "profile-changes", "triggers", "products", "dead-letters")
SHOWN_MAX = 200
"""Characters shown of a foreign value."""
IDENTIFIERS_MAX = 6
LISTED_MAX = 3
STORES_MAX = 6

Document = Mapping[str, Any]


def watch(
    settings: Settings,
    topic: str,
    tell: Tell,
    *,
    from_beginning: bool = False,
    as_json: bool = False,
    limit: int | None = None,
    key: str | None = None,
    profile: str | None = None,
    console: Console | None = None,
    patience_s: float = PATIENCE_S,
) -> None:
    """Writes a line a record until `limit` is reached or the operator interrupts. key: only records with that key.
    profile: only records about that profile id. Raises BrokerAbsent and TopicsWrong."""
    console = console or _console()
    records = follow(settings, topic, tell, from_beginning=from_beginning, patience_s=patience_s)
    chosen = (record for record in records if key is None or record.key == key)
    if profile is not None:
        chosen = (record for record in chosen if _is_about(record, profile))
    try:
        for record in islice(chosen, limit):
            console.print(Text(_json(record)) if as_json else line(topic, record), soft_wrap=True)
    except KeyboardInterrupt:
        pass
    finally:
        records.close()


def _is_about(record: Record, profile: str) -> bool:
    try:
        document = json.loads(record.value or b"null")
    except ValueError:
        return False
    return record.key == profile or (isinstance(document, dict) and document.get("profile_id") == profile)


def _console() -> Console:
    """Standard output; what its encoding lacks is replaced rather than refused."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    return Console(highlight=False)


def line(topic: str, record: Record) -> Text:
    """One record for a reader; `topic` without prefix."""
    if topic == "dead-letters":
        return _dead_letter(record)
    if record.value is None:
        return _words(("forgotten" if topic == "products" else "erased", "red"), record.key)
    try:
        document = json.loads(record.value)
        return LINES[topic.partition(".")[0]](record, document)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return _words(("?", "red"), record.key, _shown(record.value))


def _profile(record: Record, document: Document) -> Text:
    head = _words(("profile", "cyan"), record.key, (f"r{document['revision']}", "dim"))
    if document["status"] == "merged":
        return _words(head, ("merged into", "magenta"), document["merged_into"])
    return _words(head, *_about(document))


def _about(document: Document) -> Iterator[str]:
    identifiers = [f"{one['type']}:{one.get('value', '…')}" for one in document.get("identifiers", [])]
    more = len(identifiers) - IDENTIFIERS_MAX
    yield document.get("identity", {}).get("kind", "")
    yield " ".join(identifiers[:IDENTIFIERS_MAX]) + (f" and {more} more" if more > 0 else "")
    commerce = document.get("commerce")
    if commerce:
        yield f"orders {commerce['order_count']}, ltv {commerce['ltv']} {commerce['currency']}"
    for cart in document.get("carts", {}).get("open", []):
        yield f"cart {cart.get('value', '')} {cart.get('currency', '')}{' idle' if cart.get('idle') else ''}"
    yield f"touchpoints {document['lineage']['touchpoints']}" if "lineage" in document else ""


def _identity(record: Record, document: Document) -> Text:
    shared = ("shared", "yellow") if document.get("shared") else ""
    return _words(
        ("identity", "cyan"), f"{document['type']}:{document['value']}", "is of", document["profile_id"], shared
    )


def _change(record: Record, document: Document) -> Text:
    style = "magenta" if document["kind"] in ("merged", "split") else "green"
    moved = [f"from {one}" for one in document.get("merged_from", [])]
    moved += [f"into {one}" for one in document.get("split_into", [])]
    return _words(
        (document["kind"], style),
        document["profile_id"],
        (f"r{document['revision']}", "dim"),
        *moved,
        ", ".join(document.get("changed", [])),
        (f"because of {document['cause']}", "dim"),
    )


def _product(record: Record, document: Document) -> Text:
    together = [f"{one['sku']} ({one['orders']})" for one in document["bought_together"][:LISTED_MAX]]
    stock = [f"{store}:{count}" if store else str(count) for store, count in document.get("stock", {}).items()]
    return _words(
        ("product", "cyan"),
        document["sku"],
        f"{document['price']} {document.get('currency', '')}".strip() if document.get("price") else "",
        f"stock {' '.join(stock[:STORES_MAX])}" if stock else "",
        f"wished {document['wished_90d']}" if document["wished_90d"] else "",
        f"with {', '.join(together)}" if together else "",
    )


STATUS = {"fired": "bold green", "retracted": "yellow", "recovered": "blue", "suppressed": "dim"}


def _trigger(record: Record, document: Document) -> Text:
    cart = document.get("cart") or {}
    channels = [one["channel"] for one in document.get("channels", [])]
    return _words(
        (document["status"], STATUS.get(document["status"], "")),
        f"{document['family']}/{document['step']}",
        (f"because {why(document.get('reasons') or [document['reason']])}", "yellow") if document.get("reason") else "",
        f"cart {cart['cart_id']}" if cart.get("cart_id") else "",
        f"of {', '.join(line['sku'] for line in cart.get('lines', [])[:LISTED_MAX])}" if cart.get("lines") else "",
        f"{cart['value']} {cart.get('currency', '')}" if cart.get("value") else "",
        f"by {', '.join(channels)}" if channels else "",
        f"profile {document['profile_id']}",
        (f"due {document['deadline_at']}", "dim") if document.get("deadline_at") else "",
        (f"not before {document['send_not_before']}", "dim") if document.get("send_not_before") else "",
        (document["trigger_id"], "dim"),
    )


def _dead_letter(record: Record) -> Text:
    errors = {name.removeprefix("__connect.errors."): value for name, value in record.headers.items()}
    at = ":".join(errors.get(name, "?") for name in ("topic", "partition", "offset"))
    reason = errors.get("exception.class.name", "?")
    return _words((reason, "red"), errors.get("exception.message", ""), (at, "dim"), _shown(record.value))


LINES: dict[str, Callable[[Record, Document], Text]] = {
    "profiles": _profile,
    "identities": _identity,
    "profile-changes": _change,
    "triggers": _trigger,
    "products": _product,
}


def _words(*words: Text | str | tuple[str, str]) -> Text:
    """The words that are not empty, with a space between; control characters of foreign data never reach a terminal."""
    texts = [word if isinstance(word, Text) else _text(word) for word in words]
    return Text(" ").join(text for text in texts if text.plain)


def _text(word: str | tuple[str, str]) -> Text:
    content, style = (word, "") if isinstance(word, str) else word
    return Text(_harmless(str(content)), style)


UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, line ends, changes of direction, halves of surrogate pairs."""


def _harmless(text: str) -> str:
    return UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def _shown(value: bytes | None) -> str:
    text = "" if value is None else value.decode("utf-8", "replace")
    return text if len(text) <= SHOWN_MAX else text[:SHOWN_MAX] + "…"


def _json(record: Record) -> str:
    """{"key", "value", "headers", "partition", "offset"}; a value that is not JSON is text, else `value_base64`."""
    return json.dumps(
        {
            "key": record.key,
            **_value(record.value),
            "headers": record.headers,
            "partition": record.partition,
            "offset": record.offset,
        },
        ensure_ascii=True,
    )


def _value(value: bytes | None) -> dict[str, Any]:
    if value is None:
        return {"value": None}
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        return {"value_base64": base64.b64encode(value).decode("ascii")}
    try:
        return {"value": json.loads(text, parse_constant=_refuse)}
    except (ValueError, RecursionError):
        return {"value": text}


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
