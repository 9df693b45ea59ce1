"""How a picture travels and how labels come back."""

from __future__ import annotations

import base64
import json
import struct
from email.parser import BytesParser

import pytest

from bench.serving import wire

PICTURE = b"\xff\xd8 not really a picture \x00\xff"


def read(protocol: wire.Protocol, body: bytes) -> list[str]:
    assert protocol.read is not None
    return protocol.read(body)


def test_raw_bodies_are_the_picture_itself() -> None:
    request = wire.OURS_DETECTIONS.build(PICTURE)
    assert request.body == PICTURE
    assert request.headers["Content-Type"] == "image/jpeg"
    assert request.headers["Accept"] == wire.DETECTIONS


def test_a_form_carries_the_picture_as_curl_does() -> None:
    request = wire.FORM.build(PICTURE)
    head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
    message = BytesParser().parsebytes(head + request.body)
    parts = message.get_payload()
    assert isinstance(parts, list)
    (part,) = parts
    assert part.get_param("name", header="content-disposition") == "image"  # type: ignore[union-attr]
    assert part.get_payload(decode=True) == PICTURE  # type: ignore[union-attr]


def test_v2_binary_puts_the_length_before_the_bytes() -> None:
    request = wire.V2_BYTES.build(PICTURE)
    length = int(request.headers["Inference-Header-Content-Length"])
    header, tensor = json.loads(request.body[:length]), request.body[length:]
    assert header["inputs"][0]["parameters"]["binary_data_size"] == len(tensor)
    assert struct.unpack("<I", tensor[:4])[0] == len(PICTURE)
    assert tensor[4:] == PICTURE


@pytest.mark.parametrize("protocol", [wire.V1, wire.V2_BASE64, wire.BASE64_FIELD])
def test_json_bodies_carry_base64(protocol: wire.Protocol) -> None:
    text = json.dumps(json.loads(protocol.build(PICTURE).body))
    assert base64.b64encode(PICTURE).decode() in text


def test_labels_are_read_from_every_form_of_answer() -> None:
    detections = {"detections": [{"label": "cat", "score": 0.7}, {"label": "dog", "score": 0.6}]}
    text = json.dumps(detections)
    v2 = json.dumps({"outputs": [{"name": "answer", "data": [text]}]})
    article = '{"detections": [{"cat": "71%"}], "image data": [[[1, 2'
    assert read(wire.RAW_BODY, text.encode()) == ["cat", "dog"]
    assert read(wire.V1, json.dumps({"predictions": [detections]}).encode()) == ["cat", "dog"]
    assert read(wire.V2_BYTES, v2.encode()) == ["cat", "dog"]
    assert read(wire.ARTICLE, article.encode()) == ["cat"]
    assert read(wire.FORM, b'{"predictions": [{"label": "beagle"}]}') == ["beagle"]


def test_an_article_without_detections_is_no_answer() -> None:
    with pytest.raises(ValueError, match="substring"):
        read(wire.ARTICLE, b'{"error": {}}')
