"""One shopper's profile in a line, and how it grew: what the demo shows of the person whom it follows."""

from __future__ import annotations

from typing import Any

from pipeline.sample import SHOWCASE

Document = dict[str, Any]
FOLLOWED = f"cookie:{SHOWCASE.cookie}"
"""The identifier that she is known by from the beginning to the end."""


class Growth:
    """Remembers each state of the profile that reads differently."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def see(self, document: Document | None) -> str | None:
        """The new line, if the profile says something that it did not say before."""
        if document is None:
            return None
        line = in_a_line(document)
        if self.lines and _story(self.lines[-1]) == _story(line):
            return None
        self.lines.append(line)
        return line


def in_a_line(document: Document) -> str:
    """`Mar 12 17:05  anonymous: cookie · 3 views · cart 1`."""
    time = f"{document['updated_at'][5:10]} {document['updated_at'][11:16]}"
    return f"{time}  {_who(document)}: {' · '.join((_types(document), *_facts(document)))}"


def _story(line: str) -> str:
    return line.partition("  ")[2]


def _who(document: Document) -> str:
    name = document.get("traits", {}).get("first_name")
    return name["value"] if name else str(document["identity"]["kind"])


def _types(document: Document) -> str:
    return ", ".join(dict.fromkeys(one["type"] for one in document["identifiers"]))


def _facts(document: Document) -> list[str]:
    carts = document.get("carts", {}).get("open", ())
    commerce = document.get("commerce", {})
    facts = [f"{document['lineage']['touchpoints']} touchpoints"]
    facts += [f"cart {cart['value']} {cart['currency']}{' idle' if cart['idle'] else ''}" for cart in carts]
    if commerce.get("order_count"):
        facts.append(f"orders {commerce['order_count']}, {commerce['ltv']} {commerce['currency']}")
    if commerce.get("returns", {}).get("count"):
        facts.append(f"returned {commerce['returns']['count']}")
    facts += [f"{channel} consent" for channel, granted in _consents(document) if granted]
    return facts


def _consents(document: Document) -> list[tuple[str, bool]]:
    return [
        (channel, purposes.get("marketing", {}).get("state") == "granted")
        for channel, purposes in document.get("consents", {}).items()
    ]
