"""JSON and CSV documents that grow by a picture at a time."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_client.reports import CSV_HEADER, CsvReport, JsonReport
from inference_client.results import (
    Box,
    ClassificationResult,
    Detection,
    DetectionResult,
    Prediction,
)

TWO = DetectionResult(
    (Detection("person", 0.79, Box(1, 2, 3, 4)), Detection("chair", 0.34)), 20, 10
)
NONE = DetectionResult((), 20, 10)
DOG = ClassificationResult((Prediction("beagle", 0.98),))


def test_json() -> None:
    stream = io.StringIO()
    report = JsonReport(stream)
    report.add("a.jpg", TWO, "out/a_output.jpg")
    report.add("dog.png", DOG, None)
    report.add_failure("b.jpg", "it is empty")
    report.close()
    assert json.loads(stream.getvalue()) == [
        {
            "picture": "a.jpg",
            "width": 20,
            "height": 10,
            "detections": [
                {
                    "label": "person",
                    "score": 0.79,
                    "box": {"xmin": 1.0, "ymin": 2.0, "xmax": 3.0, "ymax": 4.0},
                },
                {"label": "chair", "score": 0.34, "box": None},
            ],
            "annotated": "out/a_output.jpg",
        },
        {"picture": "dog.png", "predictions": [{"label": "beagle", "probability": 0.98}]},
        {"picture": "b.jpg", "error": "it is empty"},
    ]


def test_json_without_pictures_is_json() -> None:
    stream = io.StringIO()
    JsonReport(stream).close()
    assert json.loads(stream.getvalue()) == []


def test_csv() -> None:
    stream = io.StringIO()
    report = CsvReport(stream)
    report.add("a.jpg", TWO, None)
    report.add("b.jpg", NONE, None)
    report.add("dog.png", DOG, None)
    report.add_failure("c.jpg", "it is empty")
    report.close()
    assert stream.getvalue().splitlines() == [
        "picture,width,height,label,score,xmin,ymin,xmax,ymax,error",
        "a.jpg,20,10,person,0.79,1,2,3,4,",
        "a.jpg,20,10,chair,0.34,,,,,",
        "b.jpg,20,10,,,,,,,",
        "dog.png,,,beagle,0.98,,,,,",
        "c.jpg,,,,,,,,,it is empty",
    ]


@pytest.mark.parametrize("kind", [JsonReport, CsvReport])
@given(name=st.text(st.characters(codec="utf-8")), label=st.text(st.characters(codec="utf-8")))
def test_any_name_and_label_come_back(
    kind: type[JsonReport | CsvReport], name: str, label: str
) -> None:
    stream = io.StringIO(newline="")
    report = kind(stream)
    report.add(name, DetectionResult((Detection(label, 0.5),), 1, 1), None)
    report.close()
    stream.seek(0)
    if kind is JsonReport:
        (entry,) = json.load(stream)
        assert (entry["picture"], entry["detections"][0]["label"]) == (name, label)
    else:
        header, row = csv.reader(stream)
        assert tuple(header) == CSV_HEADER
        assert (row[0], row[3]) == (name, label)
