"""Real public models, served by an InferenceService, give the figures that are known for them."""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from support.isvc import classify, detect, inference_service, post, wait_ready, wait_reason
from support.kube import Kubectl
from support.pods import start_model_host

ROOT = Path(__file__).parents[2]


def zip_of(files: dict[str, Path]) -> bytes:
    """A zip archive of name to file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, path in files.items():
            archive.write(path, name)
    return buffer.getvalue()


def percent(text: str) -> int:
    """`79%` as 79."""
    return int(text.removesuffix("%"))


@pytest.mark.real_data
def test_the_coco_detector_finds_the_person(
    kubectl: Kubectl, images: dict[str, str], shared_data: Path, tmp_path: Path
) -> None:
    archive = zip_of(
        {
            "detect.tflite": shared_data / "coco_ssd_mobilenet_v1_quant.tflite",
            "labelmap.txt": shared_data / "coco_labelmap.txt",
        }
    )
    base_uri = start_model_host(kubectl, images["litert"], {"coco.zip": archive})
    digest = hashlib.sha256(archive).hexdigest()
    model = {
        "modelFormat": {"name": "tflite"},
        "storageUri": f"{base_uri}/coco.zip",
        "sha256": digest,
    }
    kubectl.apply(inference_service("coco", {"model": model}))
    wait_ready(kubectl, "coco")

    picture = shared_data / "article_1920x1281.jpg"
    with kubectl.port_forward("svc/coco-predictor") as base:
        answer = detect(base, picture)
        done = subprocess.run(
            [
                *(sys.executable, ROOT / "model-server" / "client" / "client.py"),
                *("--address", base, "--image_path", picture, "--output_dir", tmp_path),
            ],
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
    persons = [percent(d["person"]) for d in answer["detections"] if "person" in d]
    assert abs(max(persons) - 66) <= 1
    assert answer["image size"] == "size=1920x1281"
    assert "the image size is: size=1920x1281" in done.stdout
    assert re.search(r"Detections are: \[\{'person': '6[567]%'\}", done.stdout)
    assert list(tmp_path.iterdir()), "the client wrote no picture"


@pytest.mark.real_data
def test_a_wrong_checksum_is_named(
    kubectl: Kubectl, images: dict[str, str], shared_data: Path
) -> None:
    content = (shared_data / "mobilenet_v2_1.0_224_quant.tflite").read_bytes()
    base_uri = start_model_host(kubectl, images["litert"], {"model.tflite": content})
    model = {"storageUri": f"{base_uri}/model.tflite", "sha256": "0" * 64}
    kubectl.apply(inference_service("tampered", {"model": model}))
    wait_reason(kubectl, "tampered", "ChecksumMismatch")


@pytest.mark.real_data
def test_the_imagenet_classifier_says_macaw(
    kubectl: Kubectl, images: dict[str, str], shared_data: Path
) -> None:
    archive = zip_of(
        {
            "mobilenet_v2.tflite": shared_data / "mobilenet_v2_1.0_224_quant.tflite",
            "labels.txt": shared_data / "imagenet_labels.txt",
        }
    )
    base_uri = start_model_host(kubectl, images["litert"], {"imagenet.zip": archive})
    model = {"modelFormat": {"name": "tflite"}, "storageUri": f"{base_uri}/imagenet.zip"}
    kubectl.apply(inference_service("imagenet", {"model": model}))
    wait_ready(kubectl, "imagenet")
    with kubectl.port_forward("svc/imagenet-predictor") as base:
        answer = classify(base, shared_data / "parrot.jpg")
        status, body = post(f"{base}/predict", b"", "multipart/form-data; boundary=x")
    assert answer["success"] is True
    assert answer["predictions"][0]["label"] == "macaw"
    assert len(answer["predictions"]) == 5
    assert status == 400
    assert json.loads(body)["success"] is False
