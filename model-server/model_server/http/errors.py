"""Error handlers: every error becomes JSON of the same shape, never a traceback."""

from flask import Flask, Response, g, jsonify, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from model_server.errors import (
    InvalidRequest,
    MethodNotAllowed,
    PayloadTooLarge,
    RequestError,
    UnknownPath,
    UnsupportedMediaType,
)
from model_server.http.current import request_context
from model_server.request.recorder import as_request_error


def register_error_handlers(app: Flask) -> None:
    """Registers the error handlers."""
    app.register_error_handler(RequestError, _answer)
    app.register_error_handler(HTTPException, _from_http)
    app.register_error_handler(Exception, _unexpected)


def document(error: RequestError) -> dict[str, object]:
    """The error as JSON: `error` as in KServe's protocols, a stable `code`, and `success`."""
    return {"error": error.message, "code": error.code, "success": False}


def _answer(error: RequestError) -> Response:
    g.error_code = error.code
    response = jsonify(document(error))
    response.status_code = error.status
    response.headers.update(error.headers)
    return response


def _from_http(error: HTTPException) -> Response:
    """Converts Flask's and Werkzeug's errors."""
    known: dict[int, RequestError] = {
        404: UnknownPath(f"unknown path {request.path}; /docs lists the API"),
        405: MethodNotAllowed(
            f"{request.method} is not allowed on {request.path}",
            tuple(sorted(getattr(error, "valid_methods", None) or ())),
        ),
        413: PayloadTooLarge("the request body exceeds the limit of the server (--max-body-bytes)"),
        415: UnsupportedMediaType("the content type is not supported here"),
    }
    if isinstance(error, RequestEntityTooLarge):
        return _answer(known[413])
    if error.code in known:
        return _answer(known[error.code])
    if error.code is not None and 300 <= error.code < 400:
        return Response(status=error.code, headers=dict(error.get_headers()))
    if error.code is not None and error.code < 500:
        return _answer(InvalidRequest(error.description or error.name))
    return _unexpected(error)


def _unexpected(error: Exception) -> Response:
    return _answer(as_request_error(error, request_context()))
