"""Query parameters and the Accept header.

Unknown parameters are rejected by name; silently ignored ones would look as if they worked.
"""

from collections.abc import Sequence
from functools import lru_cache

from flask import request
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from model_server.errors import InvalidRequest, NotAcceptable, clipped, shown
from model_server.settings import Settings
from model_server.vision.detection import Selection
from model_server.vision.images import EncodedFormat

JSON = "application/json"
DETECTIONS = "application/vnd.inference-operator.detections+json"
PICTURES: dict[str, EncodedFormat] = {"image/png": "PNG", "image/jpeg": "JPEG"}
_MOST = 1000


def refuse_unknown(known: Sequence[str]) -> None:
    """Rejects unknown and repeated query parameters.

    Raises:
        InvalidRequest: with the parameter and the known ones.
    """
    for name, values in request.args.lists():
        if name not in known:
            there_are = f"the parameters are {', '.join(known)}" if known else "there are none here"
            raise InvalidRequest(f"unknown query parameter {shown(name)}; {there_are}")
        if len(values) > 1:
            raise InvalidRequest(f"query parameter {shown(name)} is given more than once")


def selection(settings: Settings) -> Selection:
    """`score_threshold` and `max_boxes`, or the settings' defaults.

    Raises:
        InvalidRequest: with the parameter and its range.
    """
    text = request.args.get("score_threshold")
    threshold = settings.score_threshold
    if text is not None:
        try:
            threshold = float(text)
        except ValueError:
            threshold = -1.0
        if not 0.0 <= threshold <= 1.0:
            raise InvalidRequest(
                f"query parameter 'score_threshold' = {shown(text)} must be between 0 and 1"
            )
    return Selection(threshold, _count("max_boxes", settings.max_boxes))


def top_k(settings: Settings) -> int:
    """`top_k`, or the settings' default.

    Raises:
        InvalidRequest: with its range.
    """
    return _count("top_k", settings.top_k)


def wanted_picture() -> EncodedFormat | None:
    """`picture=png` or `picture=jpeg`: the annotated picture inside the JSON.

    Raises:
        InvalidRequest: for any other value.
    """
    text = request.args.get("picture")
    known: dict[str, EncodedFormat] = {"png": "PNG", "jpeg": "JPEG"}
    if text is None:
        return None
    if text not in known:
        raise InvalidRequest(f"query parameter 'picture' = {shown(text)} must be png or jpeg")
    return known[text]


def accepted(offered: Sequence[str]) -> str:
    """The media type to answer with: the best match, or the first offered without a preference.

    Raises:
        NotAcceptable: if the Accept header excludes all of them.
    """
    header = request.headers.get("Accept")
    if header is None:
        return offered[0]
    best = _best_match(header, tuple(offered))
    if best is None:
        raise NotAcceptable(
            f"Accept: {clipped(request.headers['Accept'])} cannot be satisfied here; "
            f"ask for {', '.join(offered)}"
        )
    return best


@lru_cache(maxsize=64)  # clients of one kind send one header; each is 8 KB at most
def _best_match(header: str, offered: tuple[str, ...]) -> str | None:
    best: str | None = parse_accept_header(header, MIMEAccept).best_match(offered)
    return best


def _count(name: str, default: int) -> int:
    text = request.args.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= _MOST):
        raise InvalidRequest(
            f"query parameter {shown(name)} = {shown(text)} must be a whole number "
            f"from 1 to {_MOST}"
        )
    return int(text)
