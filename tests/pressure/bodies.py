"""Damaged V1 and V2 bodies: wrong JSON, wrong values, wrong shapes, and lies about binary parts."""

from __future__ import annotations

import base64
import json
import random
import struct
from typing import Any

from pressure import damage
from pressure.seeds import seeds
from pressure.uploads import Request

# Stands in a document for JSON that Python does not write; replaced in the text.
_RAW = "<raw:{}>"
_RAW_VALUES = (
    "NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1e-400", "9" * 400, "-0", "0x10", "01",
    "[" * 900 + "]" * 900, "[" * 100_000, '{"a":' * 900 + "1" + "}" * 900, "[[[]]]", '"\\ud800"',
    '{"a":1,"a":2}', "[" + "0," * 3000 + "0]", '"' + "A" * 50_000 + '"', "\0", "'x'", "//",
)  # fmt: skip
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 255, 256, 2**31, 2**53 + 1, 2**63, 2**64 - 1, 1.5, -0.0, 1e308,
    "", "x", "\0", "\u20ac" * 100, [], {}, [[]], [None], [1, [2]], {"b64": 5}, {"b64": ""},
    [0] * 1000, [2**31, 2**31], [-1], [1.0], ["1"], "BYTES", "FP32", "UINT8", "BOOL", "FP16",
)  # fmt: skip
_SIDES = {"detector": 256, "classifier": 96}


def body(number: int, seed: str = "") -> Request:
    """The damaged body of that number."""
    rng = random.Random(f"{seed}body{number}")
    model = rng.choice(("detector", "classifier"))
    return _v1(model, rng) if rng.random() < 0.4 else _v2(model, rng)


def _v1(model: str, rng: random.Random) -> Request:
    picture = {"b64": base64.b64encode(rng.choice(seeds())).decode()}
    document: Any = {
        "instances": [rng.choice((picture, {"image": picture}, [[[0, 0, 0]] * 2] * 2, 0))]
    }
    if rng.random() < 0.2:
        document["signature_name"] = "serving_default"
    text = _text(_mutated(document, rng), rng)
    version = rng.choice(("", "", "/versions/1", "/versions/2", "/versions/x"))
    return Request(f"/v1/models/{model}{version}:predict", text, {"Content-Type": _JSON})


_JSON = "application/json"


def _v2(model: str, rng: random.Random) -> Request:
    path = f"/v2/models/{model}/infer"
    if rng.random() < 0.5:
        document = _mutated(_json_request(model, rng), rng)
        return Request(path, _text(document, rng), {"Content-Type": _JSON})
    document, binary = _binary_request(model, rng)
    if rng.random() < 0.6:
        document = _mutated(document, rng)
    head = _text(document, rng)
    headers = {"Content-Type": "application/octet-stream"}
    lengths = (len(head),) * 4 + (0, 1, len(head) - 1, len(head) + 1, 10**9, -1, "x", "9" * 30)
    headers["Inference-Header-Content-Length"] = str(rng.choice(lengths))
    if rng.random() < 0.3 and binary:
        binary = rng.choice((damage.truncate, damage.flip_bits, damage.repeat_part))(binary, rng)
    return Request(path, head + binary, headers)


def _json_request(model: str, rng: random.Random) -> Any:
    picture = base64.b64encode(rng.choice(seeds())).decode()
    tensor = rng.choice(
        (
            {"name": "image", "datatype": "BYTES", "shape": [1], "data": [picture]},
            {"name": "image", "datatype": "UINT8", "shape": [1, 2, 2, 3], "data": [0] * 12},
            {"name": "image", "datatype": "FP32", "shape": [1, 1], "data": [[0.5]]},
        )
    )
    document = {"id": "1", "inputs": [tensor], "outputs": [{"name": "Identity"}]}
    if model == "detector" or rng.random() < 0.5:
        del document["outputs"]
    return document


def _binary_request(model: str, rng: random.Random) -> tuple[Any, bytes]:
    side = _SIDES[model]
    picture = rng.choice(seeds())
    pixels = bytes(side * side * 3)
    binary, datatype, shape = rng.choice(
        (
            (struct.pack("<I", len(picture)) + picture, "BYTES", [1]),
            (pixels, "UINT8", [1, side, side, 3]),
            (pixels, "FP32", [1, side, side, 3]),
            (bytes(8), "FP64", [1]),
        )
    )
    size = rng.choice((len(binary),) * 4 + (0, 1, len(binary) + 1, 2**31, 2**63, -1))
    tensor = {
        "name": "image", "datatype": datatype, "shape": shape,
        "parameters": {"binary_data_size": size},
    }  # fmt: skip
    outputs = [{"name": "Identity", "parameters": {"binary_data": True, "classification": 3}}]
    document: dict[str, Any] = {"inputs": [tensor]}
    if model == "classifier":
        document["outputs"] = outputs
    return document, binary


def _mutated(document: Any, rng: random.Random) -> Any:
    """The document with one to three places replaced, removed, repeated or renamed."""
    for _ in range(rng.randint(1, 3)):
        holder, key = rng.choice(_places(document))
        action = rng.randrange(5)
        if holder is None:
            if rng.random() < 0.1:  # now and then nothing is left of the document
                return rng.choice((*_VALUES, _RAW.format(rng.randrange(len(_RAW_VALUES)))))
        elif action == 0:
            del holder[key]
        elif action == 1 and isinstance(holder, list):
            holder.extend([holder[key]] * rng.choice((1, 40)))
        elif action == 1:
            holder["x" * rng.choice((1, 10_000))] = holder[key]
        elif action == 2:
            holder[key] = _RAW.format(rng.randrange(len(_RAW_VALUES)))
        else:
            holder[key] = json.loads(json.dumps(rng.choice(_VALUES)))
        if not isinstance(document, dict | list) or not document:
            break
    return document


def _places(document: Any) -> list[tuple[Any, Any]]:
    """Every value in a document as (what holds it, its key); few of a long list."""
    found: list[tuple[Any, Any]] = [(None, None)]
    pending = [document]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            pairs = list(item.items())
        elif isinstance(item, list):
            pairs = list(enumerate(item[:4]))
        else:
            continue
        found.extend((item, key) for key, _ in pairs)
        pending.extend(value for _, value in pairs)
    return found


def _text(document: Any, rng: random.Random) -> bytes:
    """JSON, sometimes with damage that only text can have."""
    text = json.dumps(document)
    for number, raw in enumerate(_RAW_VALUES):
        text = text.replace(f'"{_RAW.format(number)}"', raw)
    data = text.encode("utf-8", "surrogatepass")
    choice = rng.random()
    if choice < 0.1:
        return rng.choice((damage.truncate, damage.flip_bits, damage.repeat_part))(data, rng)
    if choice < 0.15:
        return rng.choice((b"\xef\xbb\xbf" + data, data.decode().encode("utf-16"), b"", data * 2))
    return data
