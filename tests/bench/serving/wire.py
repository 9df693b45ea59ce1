"""How each protocol carries a picture there and the labels back. Pure.

A contestant's answer is reduced to the labels it names, because that is what is compared: every
contestant must see in each picture what the bare engine sees.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Request:
    """One HTTP POST: a path, headers and the exact bytes of the body."""

    path: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


Build = Callable[[bytes], Request]
Read = Callable[[bytes], list[str]]
DETECTIONS = "application/vnd.inference-operator.detections+json"


@dataclass(frozen=True)
class Protocol:
    """A way to ask and a way to read the answer.

    Attributes:
        build: A JPEG's bytes to the request that carries it.
        read: The answer's bytes to the labels in it, best first; None where the answer is a
            picture. Raises ValueError, KeyError, IndexError or TypeError on anything else.
    """

    build: Build
    read: Read | None


def labels_of(answer: Any) -> list[str]:
    """The labels in the plain answer of ``bench.vision``, or in the articles' own."""
    found = answer.get("detections", answer.get("predictions"))
    return [entry["label"] if "label" in entry else next(iter(entry)) for entry in found]


def _plain(data: bytes) -> list[str]:
    return labels_of(json.loads(data))


def raw(path: str, **headers: str) -> Build:
    """The picture's bytes as the body; underscores in header names stand for hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def build(picture: bytes) -> Request:
        return Request(path, picture, {"Content-Type": "image/jpeg", **named})

    return build


def _form(path: str) -> Build:
    """The picture as the file ``image`` of a form, as ``curl -F image=@FILE`` sends it."""
    boundary = "----------------------benchmark"

    def build(picture: bytes) -> Request:
        head = (
            f"--{boundary}\r\n"
            'Content-Disposition: form-data; name="image"; filename="picture.jpg"\r\n'
            "Content-Type: image/jpeg\r\n\r\n"
        )
        body = head.encode() + picture + f"\r\n--{boundary}--\r\n".encode()
        return Request(path, body, {"Content-Type": f"multipart/form-data; boundary={boundary}"})

    return build


def _base64_field(path: str) -> Build:
    def build(picture: bytes) -> Request:
        text = json.dumps({"image_data": base64.b64encode(picture).decode()})
        return Request(path, text.encode(), {"Content-Type": "application/json"})

    return build


def _v2_base64(path: str) -> Build:
    def build(picture: bytes) -> Request:
        tensor = {
            "name": "picture",
            "shape": [1],
            "datatype": "BYTES",
            "parameters": {"content_type": "base64"},
            "data": [base64.b64encode(picture).decode()],
        }
        text = json.dumps({"inputs": [tensor]})
        return Request(path, text.encode(), {"Content-Type": "application/json"})

    return build


def _v1(path: str) -> Build:
    """KServe V1 with the picture in base64, as KServe's own image examples send it."""

    def build(picture: bytes) -> Request:
        instance = {"image": {"b64": base64.b64encode(picture).decode()}}
        text = json.dumps({"instances": [instance]})
        return Request(path, text.encode(), {"Content-Type": "application/json"})

    return build


def _v2_bytes(path: str) -> Build:
    """Open Inference Protocol V2 with the binary tensor extension: no base64, no JSON strings."""

    def build(picture: bytes) -> Request:
        tensor = struct.pack("<I", len(picture)) + picture
        described = {
            "name": "picture",
            "shape": [1],
            "datatype": "BYTES",
            "parameters": {"binary_data_size": len(tensor)},
        }
        header = json.dumps({"inputs": [described]}).encode()
        headers = {
            "Content-Type": "application/octet-stream",
            "Inference-Header-Content-Length": str(len(header)),
        }
        return Request(path, header + tensor, headers)

    return build


def _v1_labels(data: bytes) -> list[str]:
    return labels_of(json.loads(data)["predictions"][0])


def _v2_labels(data: bytes) -> list[str]:
    """The labels in the JSON text that a V2 answer carries as its only BYTES tensor."""
    return _plain(json.loads(data)["outputs"][0]["data"][0].encode())


def _article(data: bytes) -> list[str]:
    """The labels of the detection article's JSON, of which only the beginning may be there.

    The annotated picture makes the whole answer megabytes long; the detections come first.
    """
    text = data.decode("utf-8", errors="replace")
    start = text.index("[", text.index('"detections"'))
    found, _ = json.JSONDecoder().raw_decode(text, start)
    return labels_of({"detections": found})


RAW_BODY = Protocol(raw("/inference"), _plain)
ROOT_BODY = Protocol(raw("/"), _plain)
PREDICT_BODY = Protocol(raw("/predict"), _plain)
FORM = Protocol(_form("/predict"), _plain)
ARTICLE = Protocol(raw("/object_detection"), _article)
OURS_DETECTIONS = Protocol(raw("/object_detection", Accept=DETECTIONS), _article)
OURS_ANNOTATE = Protocol(raw("/object_detection", Accept="image/jpeg"), None)
BASE64_FIELD = Protocol(_base64_field("/predict"), _plain)
V2_BASE64 = Protocol(_v2_base64("/v2/models/picture/infer"), _v2_labels)
V1 = Protocol(_v1("/v1/models/picture:predict"), _v1_labels)
V2_BYTES = Protocol(_v2_bytes("/v2/models/picture/infer"), _v2_labels)
