"""Traces through a worker: what a touchpoint causes carries its trace, and the worker's spans are linked to it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Producer

from pipeline.kafka.spans import ExtraMissing, spans
from pipeline.settings import Settings
from tests.kafka.eventually import eventually
from tests.kafka.fleet import Fleet

ONE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
OTHER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
STATE = "rojo=00f067aa0ba902b7"
TRACED = ("identities", "profiles", "profile-changes")


class Collector:
    """Takes spans by OTLP over HTTP."""

    def __init__(self) -> None:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        self.spans: list[Any] = []
        taken = self.spans

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    taken.extend(span for scope in resource.scope_spans for span in scope.spans)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1/traces"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def named(self, name: str) -> list[Any]:
        return [span for span in self.spans if span.name == name]


@pytest.fixture
def collector() -> Iterator[Collector]:
    pytest.importorskip("opentelemetry.proto")
    collector = Collector()
    yield collector
    collector.close()


def event(name: str, **attributes: str) -> bytes:
    data = {"identifiers": [{"type": "cookie", "value": name}]}
    known = {"specversion": "1.0", "id": f"e-{name}", "source": "web/shop", "type": "page.viewed"}
    return msgspec.json.encode({**known, **attributes, "data": data})


def test_effects_carry_the_trace_of_their_touchpoint_and_spans_link_to_it(
    settings: Settings, tmp_path: Path, collector: Collector
) -> None:
    with Fleet(settings, tmp_path, ("pipeline", "worker")) as fleet:
        producer = Producer(settings.librdkafka())
        topic = settings.topic("touchpoints")
        producer.produce(topic, event("jane-canary", traceparent=ONE, tracestate=STATE), partition=0)
        producer.produce(topic, event("joe"), partition=1, headers={"traceparent": OTHER})
        producer.produce(topic, event("ann", traceparent="garbage"), partition=2)
        producer.flush()
        worker = fleet.start(traces=collector.url, clock="wall")
        eventually(lambda: len(fleet.records("profiles")) == 3)
        for name in TRACED:
            headers = [record.headers for record in fleet.records(name)]
            assert sorted((one.get("traceparent") or b"").decode() for one in headers) == ["", OTHER, ONE]
            assert all(one.get("traceparent") == one.get("ce_traceparent") for one in headers)
            assert {one.get("tracestate") for one in headers if one.get("traceparent") == ONE.encode()} == {
                STATE.encode()
            }
        assert worker.stop() == 0
    assert len(collector.named("recover")) == 1
    linked = {link.trace_id.hex() for span in collector.named("epoch") for link in span.links}
    assert linked == {ONE[3:35], OTHER[3:35]}
    epochs = {span.span_id for span in collector.named("epoch")}
    assert epochs == {span.parent_span_id for span in collector.named("commit")}
    assert "canary" not in str(collector.spans)


def test_a_collector_that_is_not_there_stops_nobody(settings: Settings, tmp_path: Path) -> None:
    pytest.importorskip("opentelemetry.sdk")
    with Fleet(settings, tmp_path, ("pipeline", "worker")) as fleet:
        worker = fleet.start(traces="http://127.0.0.1:9/v1/traces", clock="wall")
        fleet.send_raw([event("jane-canary")])
        eventually(lambda: fleet.records("profiles"))
        assert worker.stop() == 0
    assert "Traceback" not in worker.said and "canary" not in worker.said


def test_libraries_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.kafka.spans.find_spec", lambda _: None)
    with pytest.raises(ExtraMissing, match=r"pip install 'selvedge\[otel\]'"):
        spans(Settings(traces="http://localhost:4318/v1/traces"), "w")
    assert spans(Settings(), "w").close() is None
