"""Which trace a request belongs to, and what is told about the request when it has ended.

The W3C's `traceparent` header is read for every request: its log line carries the ids, so that a
person finds it from the trace. Spans are made and sent only where the environment names an OTLP
collector; only then is OpenTelemetry imported (by `span_export`). No web framework is known here.
Source: https://www.w3.org/TR/trace-context/
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from model_server.context import RequestContext

HEADER = "traceparent"
# What of a request decides about its parent; `tracestate` is handed on as it is.
HEADERS = (HEADER, "tracestate")
_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_SPOKEN = "http/protobuf"
_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_log = logging.getLogger("model_server")


@dataclass(frozen=True)
class Ended:
    """A request that has been answered.

    Attributes:
        name: Of a small set: the method and the route.
        headers: Those of `HEADERS` that it had.
        attributes: By the names of OpenTelemetry's semantic conventions.
        failed: Whether the server is to blame.
        started: `time.perf_counter()` seconds.
        seconds: How long it took.
        context: With its model and its stages.
    """

    name: str
    headers: Mapping[str, str]
    attributes: Mapping[str, str | int]
    failed: bool
    started: float
    seconds: float
    context: RequestContext


class Spans(Protocol):
    """Makes spans of requests and sends them."""

    def record(self, request: Ended) -> dict[str, str]:
        """Notes a request; never fails and never waits.

        Returns:
            `trace_id` (32 hex digits) and `span_id` (16) for its log line; empty if the sampler
            left it out.
        """

    def stop(self, seconds: float) -> None:
        """Sends what was noted, for so long at most."""


def trace_of(header: str) -> dict[str, str]:
    """The caller's ids, as fields of a log line.

    Args:
        header: The header's value; anything at all.

    Returns:
        `trace_id` (32 hex digits) and `parent_span_id` (16); empty for a header that the standard
        calls invalid.
    """
    found = _FORM.fullmatch(header.strip())
    if found is None:
        return {}
    version, trace, parent, _, rest = found.groups()
    # Later versions may add fields; version 00 has none, and ff is forbidden.
    if version == "ff" or (version == "00" and rest):
        return {}
    if not trace.strip("0") or not parent.strip("0"):
        return {}
    return {"trace_id": trace, "parent_span_id": parent}


def collector(environ: Mapping[str, str]) -> str:
    """Where spans are to be sent, by OpenTelemetry's own variables.

    Args:
        environ: The process's environment.

    Returns:
        The collector's address without credentials; empty if no spans are wanted.

    Raises:
        ValueError: if they are wanted in a way that is not supported, naming the variable.
    """
    name = _TRACES_ENDPOINT if environ.get(_TRACES_ENDPOINT) else _ENDPOINT
    address = environ.get(name, "")
    exporters = environ.get("OTEL_TRACES_EXPORTER", "").strip() or "otlp"
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return ""
    if not address or "otlp" not in [item.strip() for item in exporters.split(",")]:
        return ""
    for variable in _PROTOCOLS:
        if protocol := environ.get(variable, "").strip():
            if protocol != _SPOKEN:
                raise ValueError(
                    f"{variable} is {protocol}, but only {_SPOKEN} is spoken: set it to that, and "
                    "the endpoint to the collector's port for HTTP (usually 4318)"
                )
            break
    parts = urlsplit(address)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"{name} is no http or https address; write http://HOST:4318")
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def start_spans(environ: Mapping[str, str]) -> Spans | None:
    """Starts the sending of spans if the environment wants it.

    Call it in a worker: the thread that sends does not survive a fork. What is wrong with the
    environment is logged; the models are served all the same.

    Returns:
        None if no spans are sent; nothing was imported then.
    """
    try:
        address = collector(environ)
        if not address:
            return None
        from model_server.span_export import start  # noqa: PLC0415 - 7 MB that few want

        spans = start()
    except Exception as error:  # noqa: BLE001 - the SDK raises anything on variables of its own
        _log.error("no spans are sent: %s", error)
        return None
    _log.info("spans are sent to %s", address)
    return spans
