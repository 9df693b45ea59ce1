"""Which trace a request belongs to, by the W3C's `traceparent` header.

Only the header's form is known here: nothing is recorded or sent, and no library is needed. The
log line of a request carries the ids, so that a person finds it from the trace.
Source: https://www.w3.org/TR/trace-context/
"""

import re

HEADER = "traceparent"
_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


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
