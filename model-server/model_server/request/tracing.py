"""Which trace a request belongs to, and what is told about the request when it has ended.

The W3C's `traceparent` header is read for every request: its log line carries the ids, so that a
person finds it from the trace. Spans are made and sent only where the environment names an OTLP
collector; only then is OpenTelemetry imported (by `span_export`). No web framework is known here.
Source: https://www.w3.org/TR/trace-context/
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from model_server.request.context import RequestContext

HEADER = "traceparent"
# What of a request decides about its parent; `tracestate` is handed on as it is.
HEADERS = (HEADER, "tracestate")
_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


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
