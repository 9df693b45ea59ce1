"""W3C trace context: the caller's trace IDs, which every request's log line contains.

Spans are exported by `spans`, which is imported only if an OTLP collector is configured.
Source: https://www.w3.org/TR/trace-context/
"""

import re
from typing import Protocol

from model_server.request.finished import FinishedRequest

TRACEPARENT = "traceparent"
# Headers that determine the parent span.
HEADERS = (TRACEPARENT, "tracestate")
_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


class Spans(Protocol):
    """Exports requests as spans."""

    def record(self, request: FinishedRequest) -> dict[str, str]:
        """Queues a request for export; never fails and never blocks.

        Returns:
            `trace_id` (32 hex digits) and `span_id` (16) for its log line; empty if the request
            was not sampled.
        """

    def stop(self, seconds: float) -> None:
        """Exports queued spans, for at most `seconds`."""


def trace_of(header: str) -> dict[str, str]:
    """The caller's trace IDs, as fields of a log line.

    Args:
        header: Value of `traceparent`, unvalidated.

    Returns:
        `trace_id` (32 hex digits) and `parent_span_id` (16); empty if the header is
        invalid.
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
