"""What a full queue refuses before Flask is entered: the same answer, told the same, for less."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import pytest
from flask import Flask
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder, run_wsgi_app

from model_server.http.app import create_app
from model_server.logs import REQUEST_LOGGER, JsonFormatter
from model_server.request.context import RequestContext
from model_server.request.finished import FinishedRequest
from model_server.serving.registry import Registry
from model_server.settings import load_settings
from model_server.vision.inference import VisionModel
from support.tiny_models import BrightBoxDetector, MeanColourClassifier

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TENSOR = {"name": "image", "shape": [1, 100, 100, 3], "datatype": "UINT8", "data": [0] * 30000}
V2 = ("application/json", orjson.dumps({"inputs": [TENSOR]}))
# All that gets as far as the gate: inside Flask the request is looked at first.
GOOD = {
    "/object_detection": ("image/jpeg", b"a picture"),
    "//predict?top_k=2": ("image/jpeg", b"a picture"),
    "/v1/models/lights:predict": ("image/jpeg", b"a picture"),
    "/v1/models/lights/versions/1:predict": ("image/jpeg", b"a picture"),
    "/v2/models/lights/infer": V2,
    "/v2/models/lights/versions/1/infer": V2,
}


class Unreadable(io.BytesIO):
    """A body that must not be read."""

    def read(self, _size: int | None = -1, /) -> bytes:
        raise AssertionError("the body was read")


class Told:
    """Keeps what it is told of requests."""

    def __init__(self) -> None:
        self.requests: list[FinishedRequest] = []

    def record(self, request: FinishedRequest) -> dict[str, str]:
        self.requests.append(request)
        return {"trace_id": TRACE, "span_id": SPAN}

    def stop(self, seconds: float) -> None:
        pass


def application(spans: Told | None = None) -> Flask:
    models = {
        "lights": VisionModel("lights", BrightBoxDetector()),
        "colours": VisionModel("colours", MeanColourClassifier()),
    }
    settings = load_settings(container_concurrency=1, queue_size=0)
    return create_app(settings, Registry(models), spans)


@contextmanager
def full(app: Flask) -> Iterator[Flask]:
    """Nobody else is let in meanwhile."""
    with app.extensions["model_server"].gate.admit(RequestContext()):
        yield app


def ask(wsgi: Any, path: str, method: str = "POST", **headers: str) -> Any:
    """Status line, headers in their order, body."""
    kind, data = GOOD.get(path, ("image/jpeg", b"a picture"))
    asked = {"Content-Type": kind} | {n.replace("_", "-"): value for n, value in headers.items()}
    environ = EnvironBuilder("/", method=method, data=data, headers=Headers(asked)).get_environ()
    environ["PATH_INFO"], _, environ["QUERY_STRING"] = path.partition("?")
    blocks, status, answered = run_wsgi_app(wsgi, environ, buffered=True)
    return status, list(answered), b"".join(blocks)


def inside_flask(app: Flask) -> Any:
    """The application without what is before it."""

    def wsgi(environ: Any, start_response: Any) -> Any:
        environ["PATH_INFO"] = environ["PATH_INFO"].replace("//", "/")
        return Flask.wsgi_app(app, environ, start_response)

    return wsgi


@pytest.mark.parametrize("path", GOOD)
def test_the_answer_is_flasks_to_the_byte(path: str) -> None:
    with full(application()) as app:
        fast = ask(app.wsgi_app, path, X_Request_Id="mine")
        slow = ask(inside_flask(app), path, X_Request_Id="mine")
    assert fast == slow
    assert fast[0] == "503 SERVICE UNAVAILABLE"
    assert {("Retry-After", "1"), ("X-Request-Id", "mine")} <= set(fast[1])


@pytest.mark.parametrize("unsafe", ["", "with space", "x" * 200])
def test_an_unsafe_request_id_is_replaced(unsafe: str) -> None:
    with full(application()) as app:
        _, headers, _ = ask(app.wsgi_app, "/predict", X_Request_Id=unsafe)
    assert len(dict(headers)["X-Request-Id"]) == 32


@pytest.mark.parametrize("path", GOOD)
def test_log_line_metrics_and_span_are_those_of_flask(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    told = []
    for way in (inside_flask, lambda app: app.wsgi_app):
        spans = Told()
        app = application(spans)
        caplog.clear()
        with caplog.at_level(logging.INFO, REQUEST_LOGGER), full(app):
            ask(way(app), path, X_Request_Id="mine", traceparent=f"00-{TRACE}-{SPAN}-01")
        (span,) = spans.requests
        (record,) = (item for item in caplog.records if item.name == REQUEST_LOGGER)
        told.append((_line(record), _counts(app), _span(span)))
    slow, fast = told
    assert fast == slow
    assert fast[0]["parent_span_id"] == SPAN
    assert 'code="Overloaded"' in "".join(fast[1])


def _line(record: logging.LogRecord) -> dict[str, Any]:
    line: dict[str, Any] = orjson.loads(JsonFormatter().format(record))
    for name in ("time", "milliseconds"):
        del line[name]
    return line | {"stages_ms": sorted(line["stages_ms"])}


def _counts(app: Flask) -> list[str]:
    """The metrics but for times."""
    page = app.extensions["model_server"].metrics.page().decode()
    timed = ("_bucket", "_sum", "_created")
    return [line for line in page.splitlines() if not any(part in line for part in timed)]


def _span(span: FinishedRequest) -> Any:
    assert span.context.timeline is not None
    steps = [step.stage for step in span.context.timeline.steps]
    return span.span_name, span.headers, span.attributes, span.server_fault, steps


def test_neither_flask_is_entered_nor_the_body_read() -> None:
    entered: list[int] = []
    app = application()
    app.before_request(lambda: entered.append(1))
    environ = EnvironBuilder("/predict", method="POST", data=b"a picture").get_environ()
    environ["wsgi.input"] = Unreadable()
    with full(app):
        _, status, _ = run_wsgi_app(app.wsgi_app, environ)
    assert status.startswith("503")
    assert not entered


def test_every_inference_is_refused_and_nothing_else() -> None:
    with full(application()) as app:
        for rule in app.url_map.iter_rules():
            path = rule.rule.replace("<model:name>", "lights").replace("<version>", "1")
            infers = "POST" in (rule.methods or ()) and path != "/v2/repository/index"
            status, _, _ = ask(app.wsgi_app, path, "POST" if infers else min(rule.methods or ()))
            assert status.startswith("503") == infers, path
        assert ask(app.wsgi_app, "/v2/repository/index")[0].startswith("200")


@pytest.mark.parametrize(("path", "status"), [("/nothing", "404"), ("/healthz", "405")])
def test_what_is_not_there_is_still_not_there(path: str, status: str) -> None:
    with full(application()) as app:
        assert ask(app.wsgi_app, path)[0].startswith(status)


def test_whoever_finds_a_place_is_answered(picture: bytes) -> None:
    client = application().test_client()
    assert client.post("/object_detection", data=picture).status_code == 200
