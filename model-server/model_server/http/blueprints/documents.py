"""The OpenAPI document over HTTP."""

from functools import cache

import orjson
from flask import Blueprint, Response

from model_server.http.options import JSON

blueprint = Blueprint("documents", __name__)


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """The OpenAPI document."""
    return Response(_document(), content_type=JSON)


@cache
def _document() -> bytes:
    from model_server.http.openapi import document  # noqa: PLC0415 - no start needs it

    return orjson.dumps(document(), option=orjson.OPT_INDENT_2)
