"""Which trace a request belongs to, and what is told about the request when it has ended.

The W3C's `traceparent` header is read for every request: its log line carries the ids, so that a
person finds it from the trace. Spans are made and sent only where the environment names an OTLP
collector; only then is OpenTelemetry imported (by `span_export`). No web framework is known here.
Source: https://www.w3.org/TR/trace-context/
"""

import re
from typing import Protocol

from model_server.request.finished import FinishedRequest

TRACEPARENT = "traceparent"
# What of a request decides about its parent; `tracestate` is handed on as it is.
HEADERS = (TRACEPARENT, "tracestate")
_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


class Spans(Protocol):
    """Makes spans of requests and sends them."""

    def record(self, request: FinishedRequest) -> dict[str, str]:
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
