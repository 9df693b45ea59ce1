"""`python -m pressure.soak`: a hundred thousand ordinary requests, and memory that stays the same.

Holds: every answer is 200, no worker is lost, and after the warm phase the workers' memory does
not grow beyond what the allocator's rounding explains.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import struct
import sys
import time

from PIL import Image

from pressure import memory
from pressure.fuzz import both_models
from pressure.seeds import example
from pressure.traffic import Tally, Traffic
from pressure.uploads import Request

# Between the end of the warm phase and the end: less than 200 bytes for each of 100,000 requests.
ALLOWED_GROWTH = 16 * memory.MIB
_STEPS = 20


def _small_picture() -> bytes:
    with Image.open(io.BytesIO(example())) as original:
        picture = original.convert("RGB")
    picture.thumbnail((128, 96))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG")
    return buffer.getvalue()


def ordinary() -> list[Request]:
    """One request of every kind, with a small picture; the one-off cost of each comes early."""
    picture = _small_picture()
    encoded = base64.b64encode(picture).decode()
    detections = "application/vnd.inference-operator.detections+json"
    jpeg = {"Content-Type": "image/jpeg"}
    text = {"Content-Type": "application/json"}
    form = (
        b'--b\r\nContent-Disposition: form-data; name="image"; filename="x.jpg"\r\n\r\n'
        + picture
        + b"\r\n--b--\r\n"
    )
    tensor = struct.pack("<I", len(picture)) + picture
    binary = {"name": "image", "datatype": "BYTES", "shape": [1]}
    head = json.dumps(
        {"inputs": [{**binary, "parameters": {"binary_data_size": len(tensor)}}]}
    ).encode()
    json_tensor = {"inputs": [{**binary, "data": [encoded]}]}
    instances = {"instances": [{"b64": encoded}]}
    return [
        Request("/object_detection", picture, {**jpeg, "Accept": detections}),
        Request("/object_detection", picture, {**jpeg, "Accept": "image/jpeg"}),
        Request("/object_detection", picture, {**jpeg, "Accept": "image/png"}),
        Request("/object_detection", picture, jpeg),
        Request("/predict", picture, jpeg),
        Request("/predict", form, {"Content-Type": "multipart/form-data; boundary=b"}),
        Request("/predict", json.dumps({"image": encoded}).encode(), text),
        Request("/v1/models/detector:predict", json.dumps(instances).encode(), text),
        Request("/v1/models/classifier:predict", json.dumps(instances).encode(), text),
        Request("/v2/models/classifier/infer", json.dumps(json_tensor).encode(), text),
        Request(
            "/v2/models/detector/infer",
            head + tensor,
            {"Inference-Header-Content-Length": str(len(head))},
        ),
    ]


def main(argv: list[str] | None = None) -> int:
    """Runs and prints; 1 if memory grew or an answer was wrong."""
    parser = argparse.ArgumentParser(prog="python -m pressure.soak", description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000)
    flags = parser.parse_args(argv)
    kinds, tally, began = ordinary(), Tally(), time.monotonic()

    def request(number: int) -> Request:
        return kinds[number % len(kinds)]

    with both_models() as server:
        workers = server.workers()
        traffic, sizes = Traffic(server.port), [memory.resident(workers)]
        step = max(1, flags.requests // _STEPS)
        for first in range(0, flags.requests, step):
            numbers = range(first, min(first + step, flags.requests))
            traffic.send(request, numbers, tally, lambda status: status == 200)
            sizes.append(memory.resident(workers))
            print(f"{tally.sent} requests, {sizes[-1] / memory.MIB:.1f} MiB", flush=True)
        problems = list(tally.failures)
        if server.workers() != workers:
            problems.append(f"workers {workers} became {server.workers()}")
    warm, end = sizes[2], sizes[-1]
    print(f"{tally.sent} requests in {time.monotonic() - began:.0f} s: {dict(tally.statuses)}")
    print(
        f"memory: {sizes[0] / memory.MIB:.1f} MiB at start, {warm / memory.MIB:.1f} after a tenth, "
        f"{end / memory.MIB:.1f} at the end"
    )
    if end - warm > ALLOWED_GROWTH:
        problems.append(f"memory grew by {(end - warm) / memory.MIB:.1f} MiB")
    for problem in problems:
        print(f"PROBLEM {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
