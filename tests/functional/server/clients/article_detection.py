"""The detection article's client, written after its description: same requests, same prints.

It posts the file's bytes, reads `detections`, `image size` and `image data` from the JSON answer,
and hands the nested lists to OpenCV as they are. For the test it also leaves `seen.json`: the
shape that OpenCV wrote, and how much of the picture differs from the one that was sent.
"""

import argparse
import json
import urllib.request
from pathlib import Path

import cv2
import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--address", required=True)
    parser.add_argument("--image_path", required=True)
    parser.add_argument("--output_dir", required=True)
    arguments = parser.parse_args()
    request = urllib.request.Request(  # noqa: S310 - the address is the test's own server
        arguments.address + "/object_detection",
        data=Path(arguments.image_path).read_bytes(),
        headers={"content-type": "image/jpeg"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
        parsed = json.loads(response.read())
    print(f"Detections are: {parsed['detections']}")
    print(f"the image size is: {parsed['image size']}")
    print(f"the image is being written in {arguments.output_dir}")
    target = str(Path(arguments.output_dir) / "output.png")
    if not cv2.imwrite(target, np.array(parsed["image data"])):
        raise SystemExit("OpenCV did not write the picture")
    drawn, sent = cv2.imread(target), cv2.imread(arguments.image_path)
    assert drawn is not None
    assert sent is not None
    far = np.abs(drawn.astype(int) - sent.astype(int)).max(axis=2) > 8
    seen = {"shape": list(drawn.shape), "changed": float(far.mean())}
    (Path(arguments.output_dir) / "seen.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    main()
