"""Pages for people: the one at `/` to try the model on, and the API's documentation at `/docs`.

Everything they load is in the package's `static` folder, so they work offline; a strict policy
makes the browser refuse anything else. `/` is also KServe V1's liveness call, so whoever does not
ask for HTML gets that.
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
    # The same address answers JSON to programs.
    "Vary": "Accept",
}


@blueprint.get("/")
def home() -> Response:
    """The page for browsers; `{"status": "alive"}` for everything else, as KServe V1 has it."""
    if request.accept_mimetypes.best_match(("application/json", HTML)) == HTML:
        return _file("index.html")
    response = jsonify(status="alive")
    response.headers["Vary"] = "Accept"
    return response


@blueprint.get("/docs")
def docs() -> Response:
    """The API's documentation, made in the browser from `/openapi.json`."""
    return _file("docs.html")


@blueprint.get("/static/<name>")
def static(name: str) -> Response:
    """Scripts, styles and the icon of the pages."""
    return _file(name)


@blueprint.get("/page/models.json")
def models() -> Response:
    """What the page shows of each model."""
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
