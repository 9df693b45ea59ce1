"""Web pages: `/` to try a model, and `/docs` with the API documentation.

All assets are served from the `static` folder, so the pages work offline; a strict content security
policy blocks everything else. `/` is also KServe V1's liveness endpoint, for clients that do not
accept HTML.
"""

from pathlib import Path

from flask import Blueprint, Response, jsonify, request, send_from_directory

from model_server.http.current import state
from model_server.serving.about import describe
from model_server.serving.sources import find_sources

blueprint = Blueprint("pages", __name__)
STATIC = Path(__file__).resolve().parent.parent / "static"
HTML = "text/html"
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
        "media-src 'self' mediastream:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    # The same URL answers JSON to other clients.
    "Vary": "Accept",
}


@blueprint.get("/")
def home() -> Response:
    """The page for browsers; `{"status": "alive"}` for other clients, as in KServe V1."""
    if request.accept_mimetypes.best_match(("application/json", HTML)) == HTML:
        return _file("index.html")
    response = jsonify(status="alive")
    response.headers["Vary"] = "Accept"
    return response


@blueprint.get("/docs")
def docs() -> Response:
    """API documentation, rendered in the browser from `/openapi.json`."""
    return _file("docs.html")


@blueprint.get("/static/<name>")
def static(name: str) -> Response:
    """Assets of the pages."""
    return _file(name)


@blueprint.get("/page/models.json")
def models() -> Response:
    """Descriptions of the models for the page."""
    current = state()
    sources = find_sources(current.settings).models
    described = [
        describe(current.registry.get(name), source)
        for name, source in sources.items()
        if name in current.registry.names
    ]
    return jsonify(models=described, score_threshold=current.settings.score_threshold)


def _file(name: str) -> Response:
    response = send_from_directory(STATIC, name)
    response.headers.update(_HEADERS)
    return response
