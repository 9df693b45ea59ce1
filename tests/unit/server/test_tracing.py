"""The W3C's traceparent header: what is a trace, and that its id is in the request's log line."""

import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_server.logs import REQUEST_LOGGER
from model_server.tracing import trace_of

from .conftest import Client

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    "header", [GOOD, f"00-{TRACE}-{SPAN}-00", f"01-{TRACE}-{SPAN}-01-more", f" {GOOD} "]
)
def test_a_valid_header_names_the_trace(header: str) -> None:
    assert trace_of(header) == {"trace_id": TRACE, "parent_span_id": SPAN}


@pytest.mark.parametrize(
    "header",
    [
        "",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01more",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
    ],
)
def test_an_invalid_header_is_no_trace(header: str) -> None:
    assert trace_of(header) == {}


@given(st.text())
def test_anything_may_be_in_the_header(header: Any) -> None:
    assert set(trace_of(header)) in (set(), {"trace_id", "parent_span_id"})


@pytest.mark.parametrize(("header", "traced"), [(GOOD, True), ("nonsense", False)])
def test_the_requests_log_line_has_the_trace(
    client: Client, caplog: pytest.LogCaptureFixture, header: str, traced: bool
) -> None:
    with caplog.at_level(logging.INFO, REQUEST_LOGGER):
        client().get("/v1/models", headers={"traceparent": header})
    (record,) = [item for item in caplog.records if item.name == REQUEST_LOGGER]
    assert getattr(record, "trace_id", None) == (TRACE if traced else None)
    assert getattr(record, "parent_span_id", None) == (SPAN if traced else None)
