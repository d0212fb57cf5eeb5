"""Until when the certificates in use are good: our authority's, our own, and the one a broker shows."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline.settings import Settings

CONNECT_S = 5.0
FILES = {"authority": "ssl.ca.location", "client": "ssl.certificate.location"}


def expiries(settings: Settings) -> dict[str, float]:
    """Unix seconds by use (authority, client, broker); what is not to be had is left out. Blocks."""
    return dict(_of_files(settings)) | dict(_of_broker(settings))


def _of_files(settings: Settings) -> Iterator[tuple[str, float]]:
    decode: Any = ssl._ssl._test_decode_cert  # type: ignore[attr-defined]  # the only reader the standard library has
    for use, option in FILES.items():
        path = settings.security.options.get(option)
        if path is not None and Path(path).is_file():
            with suppress(ssl.SSLError, OSError):
                yield use, ssl.cert_time_to_seconds(decode(path)["notAfter"])


def _of_broker(settings: Settings) -> Iterator[tuple[str, float]]:
    with suppress(OSError):
        shown = _shown(settings)
        if shown:
            yield "broker", ssl.cert_time_to_seconds(str(shown["notAfter"]))


def refusal(settings: Settings) -> str:
    """Why the certificate of the first broker is not accepted, in OpenSSL's words; empty: it is, or nobody is there.
    librdkafka tells no more than that it is not. Blocks."""
    try:
        _shown(settings)
    except ssl.SSLCertVerificationError as error:
        return str(error.verify_message)
    except OSError:
        return ""
    return ""


def _shown(settings: Settings) -> Any:
    """The certificate that the first broker shows; None where there is no TLS."""
    context = settings.security.ssl_context()
    if context is None:
        return None
    host, _, port = settings.brokers.partition(",")[0].rpartition(":")
    name = host.strip("[]")
    plain = socket.create_connection((name, int(port)), timeout=CONNECT_S)
    with plain, context.wrap_socket(plain, server_hostname=name) as secured:
        return secured.getpeercert()
