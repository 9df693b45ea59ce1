"""Writes results as a JSON or CSV document, one picture at a time.

Memory does not grow with the number of pictures. The caller opens the stream.
"""

from __future__ import annotations

import csv
from typing import Any, Protocol, TextIO

import orjson

from inference_client.results import Box, ClassificationResult, DetectionResult

Result = DetectionResult | ClassificationResult
CSV_HEADER = (
    "picture", "width", "height", "label", "score", "xmin", "ymin", "xmax", "ymax", "error",
)  # fmt: skip


class Report(Protocol):
    """A document that grows by one picture at a time."""

    def add(self, picture: str, result: Result, written: str | None) -> None:
        """Adds a result, and the path of the annotated picture if one was written."""
        ...

    def add_failure(self, picture: str, reason: str) -> None:
        """Adds a picture that failed, and why."""
        ...

    def close(self) -> None:
        """Completes the document. The stream stays open."""
        ...


class JsonReport:
    """A JSON list with one object per picture and line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._count = 0

    def add(self, picture: str, result: Result, written: str | None) -> None:
        """Adds `{"picture", "width", "height", "detections", "annotated"}` or `"predictions"`."""
        entry: dict[str, Any] = {"picture": picture}
        if isinstance(result, DetectionResult):
            entry |= {"width": result.width, "height": result.height}
            entry["detections"] = list(result.detections)
            if written is not None:
                entry["annotated"] = written
        else:
            entry["predictions"] = list(result.predictions)
        self._write(entry)

    def add_failure(self, picture: str, reason: str) -> None:
        """Adds `{"picture", "error"}`."""
        self._write({"picture": picture, "error": reason})

    def close(self) -> None:
        """Writes the closing bracket."""
        self._stream.write("\n]\n" if self._count else "[]\n")
        self._stream.flush()

    def _write(self, entry: dict[str, Any]) -> None:
        self._stream.write(",\n" if self._count else "[\n")
        self._stream.write(orjson.dumps(entry).decode())
        self._count += 1


class CsvReport:
    """A row per detection or prediction; a picture without any has a row without a label."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._writer = csv.writer(stream)
        self._writer.writerow(CSV_HEADER)

    def add(self, picture: str, result: Result, written: str | None) -> None:
        """Adds the picture's rows. There is no column for `written`."""
        del written
        if isinstance(result, DetectionResult):
            size = (str(result.width), str(result.height))
            rows = [(item.label, item.score, item.box) for item in result.detections]
        else:
            size = ("", "")
            rows = [(item.label, item.probability, None) for item in result.predictions]
        for label, score, box in rows:
            self._writer.writerow((picture, *size, label, score, *_corners(box), ""))
        if not rows:
            self._writer.writerow((picture, *size, *[""] * 7))

    def add_failure(self, picture: str, reason: str) -> None:
        """Adds a row with the reason in the last column."""
        self._writer.writerow((picture, *[""] * 8, reason))

    def close(self) -> None:
        """Flushes the stream."""
        self._stream.flush()


def _corners(box: Box | None) -> tuple[float | str, ...]:
    return ("", "", "", "") if box is None else (box.xmin, box.ymin, box.xmax, box.ymax)
