"""The worker's window for operators: /metrics, /healthz, /readyz over HTTP, and nothing else.

On 127.0.0.1 unless a setting says otherwise; it only reads figures. Alive: the timer of epochs comes round. Ready: the
group has told which shards are this worker's, and each is recovered and owned.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from pipeline.kafka.metrics import generate
from pipeline.kafka.stats import Stats
from pipeline.settings import Settings

PORTS = 100
REQUEST_S = 10.0
Answer = tuple[int, str, bytes]
"""(HTTP status, content type, body)."""


class PortTaken(Exception):
    """The address cannot be listened on; the message is one line with what to do."""


class Window:
    """Listens on `settings.http`, or the first free one of the PORTS ports from there on: a machine may have many
    workers. `alive_s`: how long an epoch may take before the worker counts as stuck."""

    def __init__(self, settings: Settings, stats: Stats, registry: CollectorRegistry) -> None:
        assert settings.http is not None
        self._stats, self._registry = stats, registry
        self._alive_s = settings.transaction_timeout_ms / 1000 + 2 * settings.session_timeout_ms / 1000
        self._pages: dict[str, Callable[[], Answer]] = {
            "/metrics": self._metrics,
            "/healthz": self._healthz,
            "/readyz": self._readyz,
        }
        self._server = _listen(*settings.http, _handler(self._pages))
        self.address = "{}:{}".format(*self._server.server_address[:2])
        threading.Thread(target=self._server.serve_forever, name="selvedge-http", daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _metrics(self) -> Answer:
        return 200, CONTENT_TYPE_LATEST, generate(self._registry)

    def _healthz(self) -> Answer:
        age = time.monotonic() - self._stats.turned
        return _said(age < self._alive_s, f"the epochs came round {age:.1f} s ago")

    def _readyz(self) -> Answer:
        stats = self._stats
        if not stats.assigned:
            return _said(False, "waiting for the group to assign shards")
        if stats.recovering:
            done, end = (sum(part) for part in zip(*stats.recovering.values(), strict=True))
            return _said(False, f"taking over {len(stats.recovering)} shards, {done} of {end} rows read")
        return _said(True, f"{len(stats.shards)} shards owned")


def _said(good: bool, line: str) -> Answer:
    return 200 if good else 503, "text/plain; charset=utf-8", f"{'ok' if good else 'not ok'}: {line}\n".encode()


def _listen(host: str, first: int, handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    for port in range(first, min(first + PORTS, 65_536)):
        try:
            return _Server((host, port), handler)
        except OSError as error:
            reason = error.strerror
    raise PortTaken(f"cannot listen on {host}:{first} to {host}:{port}: {reason}; set SELVEDGE_HTTP to another, or off")


class _Server(ThreadingHTTPServer):
    daemon_threads = True


def _handler(pages: dict[str, Callable[[], Answer]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = REQUEST_S
        server_version = "selvedge"
        sys_version = ""

        def do_GET(self) -> None:
            page = pages.get(self.path.partition("?")[0])
            status, kind, body = page() if page else (404, "text/plain", b"/metrics, /healthz, /readyz\n")
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Scrapes are not news."""

    return Handler
