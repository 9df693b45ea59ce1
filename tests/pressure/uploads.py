"""Damaged uploads: request number N is always the same one, so that a failure can be repeated."""

from __future__ import annotations

import base64
import json
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from pressure import damage
from pressure.seeds import seeds

# Of a thousand uploads: bombs cost a second of computing each.
_BOMBS = 2
_UNTOUCHED = 20
_NO_PICTURES = 20


@dataclass(frozen=True)
class Request:
    """One POST.

    Attributes:
        path: With the query.
        body: Whatever the damage left.
        headers: Besides the length.
    """

    path: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def upload(number: int, seed: str = "") -> Request:
    """The damaged upload of that number."""
    rng = random.Random(f"{seed}upload{number}")
    envelope = rng.choice(_ENVELOPES)
    return envelope(picture(rng), rng)


def picture(rng: random.Random) -> bytes:
    """A picture with one to three things wrong."""
    share = rng.randrange(1000)
    data = rng.choice(seeds())
    if share < _BOMBS:
        return damage.png_bomb(data, rng)
    if share < _BOMBS + _UNTOUCHED:
        return data
    if share < _BOMBS + _UNTOUCHED + _NO_PICTURES:
        return damage.no_picture(data, rng)
    if rng.random() < 0.4:
        data = rng.choice(damage.kind_of(data))(data, rng)
        if rng.random() < 0.7:
            return data
    if rng.random() < 0.1:
        data = damage.splice(data, rng.choice(seeds()), rng)
    for _ in range(rng.randint(1, 2)):
        if data:
            data = rng.choice(damage.BLIND)(data, rng)
    return data


def _raw(data: bytes, rng: random.Random) -> Request:
    path = rng.choice(
        (
            "/object_detection?score_threshold=0.1",
            "/object_detection?picture=png",
            "/predict",
            "/predict?top_k=3",
            "/v1/models/detector:predict",
            "/v1/models/classifier:predict",
        )
    )
    kind = rng.choice(("image/jpeg", "image/png", "application/octet-stream", "image/x-nonsense"))
    accepts: tuple[str, ...] = ("*/*", "application/json")
    if path.startswith("/object_detection"):
        accepts = ("application/vnd.inference-operator.detections+json", "image/png", "image/jpeg")
        if "picture=" not in path:
            accepts += ("application/json",)
    return Request(path, data, {"Content-Type": kind, "Accept": rng.choice(accepts)})


def _multipart(data: bytes, rng: random.Random) -> Request:
    boundary = rng.choice(("b", "a-boundary", "x" * 70))
    name = rng.choice(("image", "image", "file", "", "im\0age", "\u00e9" * 500))
    disposition = f'Content-Disposition: form-data; name="{name}"; filename="../../etc/x.png"'
    part = f"--{boundary}\r\n{disposition}\r\n\r\n".encode() + data + b"\r\n"
    end = f"--{boundary}--\r\n".encode()
    body = rng.choice(
        (
            part + end,
            part + end,
            part,  # no end
            part * 3 + end,
            b"\r\n" * 50 + part + end,
            part.replace(b"\r\n", b"\n") + end,
            b"--" + boundary.encode() + b"\r\nX: " + b"y" * 70_000 + b"\r\n\r\n" + data + end,
            f"--{boundary}\r\n\r\n".encode() * 3000 + end,
        )
    )
    if rng.random() < 0.5:
        body = rng.choice((damage.truncate, damage.flip_bits, damage.cut_out))(body, rng)
    kind = rng.choice(
        (
            f"multipart/form-data; boundary={boundary}",
            f"multipart/form-data; boundary={boundary}",
            f'multipart/form-data; boundary="{boundary}"; charset=utf-7',
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=other",
            "multipart/mixed; boundary=" + boundary,
        )
    )
    return Request(rng.choice(("/predict", "/object_detection?max_boxes=1")), body, {
        "Content-Type": kind, "Accept": "*/*",
    })  # fmt: skip


def _encoded(data: bytes, rng: random.Random) -> str:
    """Base64, as often as not with something wrong."""
    text = base64.b64encode(data).decode()
    return rng.choice(
        (
            text,
            text,
            text[: rng.randrange(len(text) + 1)],
            text[:10] + rng.choice(("!", "=", "\0", "\u20ac", "\ud800", "\n", " ")) + text[10:],
            "data:image/png;base64," + text,
            "data:," + text,
            "data:" + text,
            base64.urlsafe_b64encode(data).decode().rstrip("="),
            text + "====",
            "",
        )
    )


def _json(data: bytes, rng: random.Random) -> Request:
    text = _encoded(data, rng)
    path, document = rng.choice(
        (
            ("/predict", {"image": text}),
            ("/object_detection?picture=jpeg", {"image": {"b64": text}}),
            ("/v1/models/detector:predict", {"instances": [{"b64": text}]}),
            ("/v1/models/classifier:predict", {"instances": [{"image": {"b64": text}}] * 2}),
        )
    )
    accept = "application/vnd.inference-operator.detections+json, application/json"
    body = json.dumps(document).encode("utf-8", "surrogatepass")
    return Request(path, body, {"Content-Type": "application/json", "Accept": accept})


def _v2(data: bytes, rng: random.Random) -> Request:
    """A BYTES tensor with the picture in it, in binary form or as base64."""
    model = rng.choice(("detector", "classifier"))
    tensor: dict[str, object] = {"name": "image", "datatype": "BYTES", "shape": [1]}
    headers = {"Content-Type": "application/octet-stream"}
    binary = b""
    if rng.random() < 0.5:
        length = rng.choice((len(data), len(data), len(data), 0, len(data) + 1, 0xFFFFFFFF))
        binary = struct.pack("<I", length) + data
        tensor["parameters"] = {"binary_data_size": len(binary)}
    else:
        tensor["data"] = [_encoded(data, rng)]
    head = json.dumps({"inputs": [tensor]}).encode()
    if binary:
        headers["Inference-Header-Content-Length"] = str(len(head))
    return Request(f"/v2/models/{model}/infer", head + binary, headers)


_ENVELOPES: tuple[Callable[[bytes, random.Random], Request], ...] = (
    _raw, _raw, _raw, _raw, _multipart, _json, _json, _v2,
)  # fmt: skip
