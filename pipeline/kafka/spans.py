"""Spans of a worker's work for OpenTelemetry: recover, epoch, commit. Off unless SELVEDGE_TRACES names a collector.

A span of an epoch has links to the traces of the touchpoints that its outputs came of, so that from a touchpoint one
finds when its effects became visible. It says how many, never of whom. What cannot be sent is dropped: tracing delays
nothing and ends nothing. The libraries are an extra (`selvedge[otel]`) and only looked for when they are wanted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from pipeline.core.effects import Output
from pipeline.settings import Settings

LINKS_MAX = 128
"""What the libraries keep of a span."""
FLUSH_MS = 5_000


class ExtraMissing(Exception):
    """Spans are wanted and the libraries are not there; the message says what to do."""


class Spans:
    """`provider`: an OpenTelemetry TracerProvider; None: there are no spans."""

    def __init__(self, provider: Any = None) -> None:
        self._provider = provider
        self._tracer = None if provider is None else provider.get_tracer("selvedge")

    @contextmanager
    def span(self, name: str, began: int, within: Any = None, **figures: int) -> Iterator[Any]:
        """A span that ends with the block; gives what is `within` of others. began: µs since 1970."""
        if self._tracer is None:
            yield None
            return
        from opentelemetry.trace import set_span_in_context

        span = self._tracer.start_span(
            name,
            context=None if within is None else set_span_in_context(within),
            attributes={f"selvedge.{figure}": value for figure, value in figures.items()},
            start_time=began * 1_000,
        )
        try:
            yield span
        finally:
            span.end()

    def link(self, span: Any, outputs: Iterable[Output]) -> None:
        """Links a span to the traces that outputs came of."""
        if span is None:
            return
        for trace in list(dict.fromkeys(output.trace for output in outputs if output.trace is not None))[:LINKS_MAX]:
            span.add_link(_context(trace))

    def close(self) -> None:
        """Sends what is left, for at most FLUSH_MS."""
        if self._provider is not None:
            self._provider.force_flush(FLUSH_MS)


def spans(settings: Settings, worker: str) -> Spans:
    """Spans as the settings want them, in the name of a worker. Raises ExtraMissing."""
    if not settings.traces:
        return Spans()
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.exporter") is None:
        raise ExtraMissing("SELVEDGE_TRACES needs more libraries: pip install 'selvedge[otel]', or unset it")
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    names = {"service.name": "selvedge", "service.instance.id": worker}
    provider = TracerProvider(resource=Resource.create(names), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=settings.traces)))
    return Spans(provider)


def _context(trace: str) -> Any:
    from opentelemetry.trace import SpanContext, TraceFlags, TraceState

    parent, _, state = trace.partition(" ")
    _, trace_id, span_id, flags = parent.split("-")
    return SpanContext(
        int(trace_id, 16),
        int(span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(int(flags, 16)),
        trace_state=TraceState.from_header([state] if state else []),
    )
