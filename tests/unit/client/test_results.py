"""Answers of the server: both forms of a detection, a classification, and what is neither."""

import base64
import contextlib
import io
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from inference_client.errors import UnexpectedAnswer
from inference_client.results import (
    Box,
    Detection,
    Prediction,
    parse_article_detections,
    parse_detections,
    parse_predictions,
)

ARTICLE: dict[str, Any] = {
    "detections": [{"person": "79%"}, {"chair": "34%"}],
    "image size": "size=2x1",
    "image data": [[[255, 0, 0], [0, 0, 255]]],
}
RICH: dict[str, Any] = {
    "detections": [{"label": "person", "score": 0.796, "box": [1, 2, 3.5, 4]}],
    "image": {"width": 1920, "height": 1281},
}


def test_the_articles_answer() -> None:
    result = parse_article_detections(ARTICLE)
    assert result.detections == (Detection("person", 0.79), Detection("chair", 0.34))
    assert result.image_size == "size=2x1"
    assert [detection.article_form for detection in result.detections] == ARTICLE["detections"]


def test_the_articles_picture_is_blue_green_red() -> None:
    picture = parse_article_detections(ARTICLE).picture
    assert picture is not None
    decoded = np.asarray(Image.open(io.BytesIO(picture.encode("png"))))
    assert decoded.tolist() == [[[0, 0, 255], [255, 0, 0]]]
    assert picture.encode("jpg")[:3] == b"\xff\xd8\xff"


@pytest.mark.parametrize("percent", range(101))
def test_every_per_cent_comes_out_as_it_went_in(percent: int) -> None:
    answer = ARTICLE | {"detections": [{"cat": f"{percent}%"}]}
    (detection,) = parse_article_detections(answer).detections
    assert detection.article_form == {"cat": f"{percent}%"}


def test_the_richer_answer_has_boxes() -> None:
    result = parse_detections(RICH)
    assert result.detections == (Detection("person", 0.796, Box(1, 2, 3.5, 4)),)
    assert result.detections[0].article_form == {"person": "79%"}
    assert result.image_size == "size=1920x1281"
    assert result.picture is None


def test_the_richer_answers_picture_is_passed_on_as_it_is_or_converted() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 3), (10, 20, 30)).save(buffer, "PNG")
    encoded = buffer.getvalue()
    picture = {"content_type": "image/png", "base64": base64.b64encode(encoded).decode()}
    parsed = parse_detections(RICH | {"picture": picture}).picture
    assert parsed is not None
    assert parsed.encode("png") is parsed.encoded
    assert parsed.encoded == encoded
    assert Image.open(io.BytesIO(parsed.encode("jpg"))).size == (4, 3)


def test_a_picture_that_is_none_is_told() -> None:
    picture = {"content_type": "image/png", "base64": base64.b64encode(b"not a picture").decode()}
    parsed = parse_detections(RICH | {"picture": picture}).picture
    assert parsed is not None
    with pytest.raises(UnexpectedAnswer, match="cannot decode the server's picture"):
        parsed.encode("jpg")


def test_predictions() -> None:
    document = {"predictions": [{"label": "beagle", "probability": 0.98}], "success": True}
    assert parse_predictions(document).predictions == (Prediction("beagle", 0.98),)


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ([], "not a JSON object"),
        ({}, "'image size' is missing"),
        (ARTICLE | {"image size": "1920x1281"}, "not size=WIDTHxHEIGHT"),
        (ARTICLE | {"image size": "size=3x1"}, "has the shape"),
        (ARTICLE | {"image data": [[1, 2], [3]]}, "is not a picture"),
        (ARTICLE | {"image data": [[[256, 0, 0], [0, 0, 255]]]}, "is not a picture"),
        (ARTICLE | {"image data": "x"}, "is not a picture"),
        (ARTICLE | {"image data": None}, "is not a picture"),
        (ARTICLE | {"detections": {}}, "not a JSON list"),
        (ARTICLE | {"detections": [1]}, "not a JSON object"),
        (ARTICLE | {"detections": [{"a": 0.5}]}, "not like '79%'"),
    ],
)
def test_what_is_wrong_in_the_articles_answer(document: Any, complaint: str) -> None:
    with pytest.raises(UnexpectedAnswer, match=complaint):
        parse_article_detections(document)


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        (RICH | {"image": {"width": 1}}, "'height' is missing"),
        (RICH | {"image": {"width": "1", "height": 1}}, "image.width is '1', not a number"),
        (RICH | {"detections": [{"label": "a"}]}, "'score' is missing"),
        (RICH | {"detections": [{"label": "a", "score": True}]}, "not a number"),
        (RICH | {"detections": [{"label": "a", "score": 1, "box": [1]}]}, "not 4"),
        (RICH | {"picture": {"content_type": "text/html", "base64": ""}}, "neither image/jpeg"),
        (RICH | {"picture": {"content_type": "image/png", "base64": "?"}}, "not base64"),
    ],
)
def test_what_is_wrong_in_the_richer_answer(document: Any, complaint: str) -> None:
    with pytest.raises(UnexpectedAnswer, match=complaint):
        parse_detections(document)


def test_a_failed_prediction_is_no_prediction() -> None:
    with pytest.raises(UnexpectedAnswer, match="'success' is not true"):
        parse_predictions({"predictions": [], "success": False})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
FIELDS = st.sampled_from(
    ["detections", "image size", "image data", "image", "picture", "predictions", "success"]
)


@given(st.dictionaries(FIELDS, JSON) | JSON)
def test_any_json_is_read_or_refused(document: Any) -> None:
    for parse in (parse_article_detections, parse_detections, parse_predictions):
        with contextlib.suppress(UnexpectedAnswer):
            parse(document)


@given(st.integers(1, 6), st.integers(1, 6), st.randoms())
def test_pixels_survive_the_articles_json(width: int, height: int, random: Any) -> None:
    pixels = [[[random.randrange(256) for _ in "bgr"] for _ in range(width)] for _ in range(height)]
    answer = {"detections": [], "image size": f"size={width}x{height}", "image data": pixels}
    result = parse_article_detections(orjson.loads(orjson.dumps(answer)))
    assert result.picture is not None
    assert result.picture.pixels is not None
    assert result.picture.pixels.tolist() == pixels
