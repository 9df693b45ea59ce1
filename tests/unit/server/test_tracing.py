"""What is a trace, that its id is in the request's log line, and when spans are wanted."""

import logging
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_server.logs import REQUEST_LOGGER
from model_server.request.collector import collector, start_spans
from model_server.request.tracing import trace_of

from .conftest import Client

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
ENDPOINT, TRACES = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"
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


def test_without_a_collector_opentelemetry_is_not_imported() -> None:
    """Nor by what else the server needs; the same lines do import it where a collector is named."""
    script = f"""
import sys
from model_server.grpc import server as grpc_server
from model_server.process import server
from model_server.http.app import create_app
from model_server.vision.inference import VisionModel
from model_server.serving.registry import Registry
from model_server.settings import load_settings
from model_server.request.collector import start_spans
from support.tiny_models import BrightBoxDetector
for environ in ({{}}, {{"{ENDPOINT}": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"}},
                {{"{ENDPOINT}": "http://127.0.0.1:1"}}):
    spans = start_spans(environ)
    registry = Registry({{"lights": VisionModel("lights", BrightBoxDetector())}})
    create_app(load_settings(), registry, spans).test_client().get("/v1/models")
    print(any(name.partition(".")[0] == "opentelemetry" for name in sys.modules))
spans.stop(0)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[2],  # where `support` is
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.stdout.split(), done.returncode) == (["False", "False", "True"], 0), done.stderr


@pytest.mark.parametrize(
    ("environ", "address"),
    [
        ({}, ""),
        ({ENDPOINT: ""}, ""),
        ({ENDPOINT: "http://collector:4318"}, "http://collector:4318"),
        (
            {TRACES: "https://me:word@one/v1/traces", ENDPOINT: "http://two"},
            "https://one/v1/traces",
        ),
        ({ENDPOINT: "http://two", "OTEL_SDK_DISABLED": "True"}, ""),
        ({ENDPOINT: "http://two", "OTEL_SDK_DISABLED": "false"}, "http://two"),
        ({ENDPOINT: "http://two", "OTEL_TRACES_EXPORTER": "none"}, ""),
        ({ENDPOINT: "http://two", "OTEL_TRACES_EXPORTER": "console, otlp"}, "http://two"),
        ({ENDPOINT: "http://two", PROTOCOL: "http/protobuf"}, "http://two"),
        (
            {
                ENDPOINT: "http://two",
                PROTOCOL: "grpc",
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
            },
            "http://two",
        ),
    ],
)
def test_the_standard_variables_say_whether_and_where(
    environ: dict[str, str], address: str
) -> None:
    assert collector(environ) == address


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        (
            {ENDPOINT: "http://two:4317", PROTOCOL: "grpc"},
            f"{PROTOCOL}=grpc is not supported: set it to http/protobuf",
        ),
        ({ENDPOINT: "collector:4318"}, f"{ENDPOINT} must be an http or https URL, such as http://"),
        ({TRACES: "http://"}, f"{TRACES} must be an http or https URL"),
        ({ENDPOINT: "http://[::1"}, "Invalid IPv6 URL"),
    ],
)
def test_a_wrong_variable_is_named_and_the_server_starts(
    caplog: pytest.LogCaptureFixture, environ: dict[str, str], message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        collector(environ)
    assert start_spans(environ) is None
    assert f"tracing is off: {message}" in caplog.text
