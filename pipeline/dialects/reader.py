"""The Reader: bytes of one record in, touchpoints or the reasons why there are none out. It raises for no bytes at all.

1. Usual case: a CloudEvents event in structured JSON, one typed decode.
2. Otherwise the bytes become plain JSON, and headers and shape tell: binary mode, structured mode, a recorded HTTP
   request, a batch, or one of the DIALECTS. Each event of a batch is judged alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import parse_qsl, urlsplit

import msgspec

from pipeline.core import times
from pipeline.core.identifiers import Registry
from pipeline.core.touchpoint import Data, Rejected, Touchpoint
from pipeline.dialects import cloudevents, ga4, posthog, segment, shopify, snowplow
from pipeline.dialects.admission import Admission
from pipeline.dialects.draft import Draft, Json, content_id, text
from pipeline.dialects.payload import bare, parse, too_deep
from pipeline.dialects.refused import DECODE, NOT_JSON, TOO_LARGE, Refused, bad_envelope, bad_field
from pipeline.dialects.tracing import trace, trace_of

Result = Touchpoint | Rejected


class Dialect(Protocol):
    """What a dialect's module has."""

    @property
    def NAME(self) -> str: ...
    def recognises(self, body: Json, headers: Json) -> bool: ...
    def events(self, body: Json) -> list[Any]: ...
    def draft(self, event: Json, body: Json, headers: Json, loyalty: tuple[str, ...]) -> Draft: ...


class Arrival(NamedTuple):
    """How a record came: the transport's timestamp, the header `ce_recordedtime`, what to take where there is none;
    all in microseconds. Names of headers in lower case."""

    timestamp: int | None
    recorded: int | None
    fallback: int | None
    headers: Mapping[str, str] = {}


_SHALLOW: Final = 1024
"""Records this small cannot nest so deep that decoding them is a danger."""
_UNDECODED: Final = (msgspec.DecodeError, UnicodeDecodeError, ArithmeticError, RecursionError)
DIALECTS: Final[tuple[Dialect, ...]] = (segment, posthog, snowplow, ga4, shopify)


class Reader:
    """Reads records under one policy. Results depend on nothing but the arguments of `read`."""

    def __init__(self, registry: Registry) -> None:
        self._admission = Admission(registry)
        self._bytes_max = registry.policy.bounds.touchpoint_bytes
        self._loyalty = registry.policy.identity.loyalty_properties

    def read(
        self,
        value: bytes | None,
        timestamp: int | None,
        headers: Sequence[tuple[str, bytes]] = (),
        *,
        fallback: int | None = None,
    ) -> list[Result]:
        """All events of a record. timestamp: of the transport, µs; None for a line of a file, which was received at its
        own recorded or sent time, else its event time, else at `fallback`."""
        if not headers and value is not None and len(value) <= self._bytes_max:
            read = self._typed(value, timestamp, None, fallback)
            if read is not None:
                return [read]
        try:
            return self._any(value or b"", timestamp, headers, fallback)
        except Refused as refused:
            return [_rejected(refused)]

    def _typed(self, value: bytes, timestamp: int | None, header: int | None, fallback: int | None) -> Result | None:
        """The usual case; None if it is not that."""
        if len(value) > _SHALLOW and too_deep(value):
            return None
        try:
            event = cloudevents.decode(value)
        except _UNDECODED:
            return None
        if event.specversion != "1.0" or event.data_base64 is not None:
            return None
        time = None if event.time is None else times.since_epoch(event.time)
        recorded = None if event.recordedtime is None else times.since_epoch(event.recordedtime)
        if header is not None:
            recorded = header
        admission = self._admission
        try:
            received = admission.received(recorded, timestamp, fallback if time is None else time)
            touchpoint = admission.admit(event.id, event.source, event.type, time, received, event.data or Data())
        except Refused as refused:
            return _rejected(refused, event.id, event.source)
        if event.traceparent is not None:
            touchpoint.trace = trace(event.traceparent, event.tracestate)
        return touchpoint

    def _any(
        self, value: bytes, timestamp: int | None, headers: Sequence[tuple[str, bytes]], fallback: int | None
    ) -> list[Result]:
        if len(value) > self._bytes_max:
            raise Refused(TOO_LARGE, f"{len(value)} bytes, {self._bytes_max} are allowed")
        names = {name.lower(): (said or b"").decode(errors="replace") for name, said in headers}
        arrival = Arrival(timestamp, _recorded(names), fallback, names)
        raw = bare(value)
        if cloudevents.is_binary(names):
            return [self._slow(cloudevents.from_headers(names, parse(raw) if raw.strip() else None), arrival)]
        if not raw.strip():
            raise Refused(NOT_JSON, "the record is empty")
        read = self._typed(raw, timestamp, arrival.recorded, fallback)
        return self._shaped(parse(raw), arrival) if read is None else [_traced(read, names)]

    def _shaped(self, body: Any, arrival: Arrival) -> list[Result]:
        """What the shape of plain JSON tells."""
        if isinstance(body, list) and body:
            return [result for one in body for result in self._alone(one, arrival)]
        if not isinstance(body, dict):
            raise bad_envelope("neither an object nor a list of them")
        if "specversion" in body:
            return [self._structured(body, arrival)]
        if isinstance(body.get("method"), str) and isinstance(body.get("path"), str):
            return self._request(body, arrival)
        for dialect in DIALECTS:
            if dialect.recognises(body, arrival.headers):
                return self._foreign(dialect, body, arrival)
        raise bad_envelope("neither CloudEvents nor a known dialect")

    def _alone(self, body: Any, arrival: Arrival) -> list[Result]:
        try:
            return self._shaped(body, arrival)
        except Refused as refused:
            return [_rejected(refused)]

    def _structured(self, body: Json, arrival: Arrival) -> Result:
        try:
            return self._slow(cloudevents.from_json(body), arrival)
        except Refused as refused:
            return _rejected(refused, text(body.get("id")), text(body.get("source")))

    def _slow(self, event: cloudevents.Event, arrival: Arrival) -> Result:
        recorded = event.recorded if arrival.recorded is None else arrival.recorded
        otherwise = arrival.fallback if event.time is None else event.time
        try:
            received = self._admission.received(recorded, arrival.timestamp, otherwise)
            touchpoint = self._admission.admit(event.id, event.source, event.type, event.time, received, event.data)
        except Refused as refused:
            return _rejected(refused, event.id, event.source)
        touchpoint.trace = event.trace
        return _traced(touchpoint, arrival.headers)

    def _request(self, request: Json, arrival: Arrival) -> list[Result]:
        """A recorded HTTP request: {method, path, headers, body}; without a body the query of the path is it."""
        said = request.get("headers")
        headers = (
            {name.lower(): one for name, one in said.items() if isinstance(one, str)} if isinstance(said, dict) else {}
        )
        body = request.get("body")
        if isinstance(body, str) and body.strip():
            body = parse(body.encode())
        if not body:
            body = _query(request["path"])
        return self._shaped(body, arrival._replace(headers={**arrival.headers, **headers}))

    def _foreign(self, dialect: Dialect, body: Json, arrival: Arrival) -> list[Result]:
        events = dialect.events(body)
        if not events:
            raise bad_envelope("the batch is empty")
        return [self._drafted(dialect, event, body, arrival) for event in events]

    def _drafted(self, dialect: Dialect, event: Any, body: Json, arrival: Arrival) -> Result:
        id = source = None
        try:
            if not isinstance(event, dict):
                raise bad_envelope("an event of the batch is not an object")
            draft = dialect.draft(event, body, arrival.headers, self._loyalty)
            id, source = draft.id or content_id(event), f"{draft.channel}/{dialect.NAME}"
            known = (draft.arrived, draft.sent, draft.time, arrival.fallback)
            otherwise = next((one for one in known if one is not None), None)
            received = self._admission.received(arrival.recorded, arrival.timestamp, otherwise)
            touchpoint = self._admission.admit(
                id, source, draft.type, _event_time(draft, received), received, draft.data, dialect.NAME
            )
            return _traced(touchpoint, arrival.headers)
        except Refused as refused:
            return _rejected(refused, id, source)


def _event_time(draft: Draft, received: int) -> int | None:
    """By the clock of who took it in: client clocks are wrong, but measure well how long an event was held back."""
    if draft.time is None or draft.sent is None:
        return draft.time
    arrived = received if draft.arrived is None else draft.arrived
    return arrived - max(0, draft.sent - draft.time)


def _traced(result: Result, headers: Mapping[str, str]) -> Result:
    """With the trace of the headers, unless it has its own."""
    if isinstance(result, Touchpoint) and result.trace is None:
        result.trace = trace_of(headers)
    return result


def _recorded(headers: Mapping[str, str]) -> int | None:
    if "ce_recordedtime" not in headers:
        return None
    try:
        return times.parse(headers["ce_recordedtime"])
    except ValueError as error:
        raise bad_field("recordedtime", str(error)) from None


def _query(path: str) -> dict[str, str]:
    try:
        return dict(parse_qsl(urlsplit(path).query))
    except ValueError:
        raise bad_envelope("path: not a path") from None


def _rejected(refused: Refused, id: str | None = None, source: str | None = None) -> Rejected:
    stage = "DECODE" if refused.code in DECODE else "VALIDATE"
    return Rejected(refused.code, refused.message, id and id[:256], source and source[:256], stage)
