"""Which channel a client library stands for: browsers are web, iOS and Android are app, everything else is a server."""

from __future__ import annotations

from typing import Final

from pipeline.core.events import CHANNELS

_SIGNS: Final = (
    ("app", ("ios", "android", "swift", "kotlin", "flutter", "react-native", "react native", "unity", "mobile")),
    ("web", ("analytics.js", "analytics-next", "javascript sdk", "browser", "web", "gtm", "shopify")),
)
_SERVER: Final = ("node", "python", "ruby", "java/", "-java", "php", "golang", "analytics-go", ".net", "server")


def of_library(name: str | None) -> str:
    """The channel of a library by what it calls itself."""
    lowered = (name or "").lower()
    if lowered in ("js", "web"):
        return "web"
    if not any(sign in lowered for sign in _SERVER):
        for channel, signs in _SIGNS:
            if any(sign in lowered for sign in signs):
                return channel
    return "server"


def said(value: object) -> str | None:
    """A channel that the event names itself."""
    return value if isinstance(value, str) and value in CHANNELS else None
