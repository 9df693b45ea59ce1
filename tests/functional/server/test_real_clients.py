"""Clients that others wrote, unchanged: NVIDIA's tritonclient, the SDK of KServe, and curl.

The SDKs run in environments of their own, by the programs in `clients/`. What they got back is
held against LiteRT run directly on the same tensor, and against each other.
"""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from support.litert import run_litert
from support.model_server import RunningServer, model_server
from support.side_venv import side_venv

ROOT = Path(__file__).resolve().parents[3]
BUNDLED = ROOT / "model-server" / "model_server" / "bundled"
EXAMPLES = ROOT / "deploy" / "examples" / "images"
PICTURE = EXAMPLES / "whiteboard.jpg"
CLIENTS = Path(__file__).parent / "clients"


@dataclass(frozen=True)
class Served:
    """Both bundled models, over HTTP and gRPC."""

    server: RunningServer
    grpc_port: int
    tensor: Path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        grpc_port = int(probe.getsockname()[1])
    tensor = tmp_path_factory.mktemp("clients") / "tensor.npy"
    np.save(tensor, np.random.default_rng(1).integers(0, 256, (1, 256, 256, 3), dtype=np.uint8))
    with model_server(models_dir=BUNDLED, name="detector", grpc_port=grpc_port) as running:
        yield Served(running, grpc_port, tensor)


def ask(served: Served, program: str, lock: str) -> dict[str, Any]:
    """What the client's program printed."""
    python = side_venv(CLIENTS / lock) / "python"
    done = subprocess.run(
        [
            *(str(python), str(CLIENTS / program)),
            *(f"127.0.0.1:{served.server.port}", f"127.0.0.1:{served.grpc_port}"),
            *(str(PICTURE), str(served.tensor)),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.fixture(scope="module")
def triton(served: Served) -> dict[str, Any]:
    return ask(served, "triton_calls.py", "tritonclient.lock")


@pytest.fixture(scope="module")
def kserve(served: Served) -> dict[str, Any]:
    return ask(served, "kserve_calls.py", "kserve.lock")


@pytest.fixture(scope="module")
def expected(served: Served) -> dict[str, Any]:
    """The detector's outputs for the tensor, from LiteRT itself."""
    return run_litert(BUNDLED / "detector" / "model.tflite", np.load(served.tensor))


def same_outputs(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-6, err_msg=name)


@pytest.fixture(scope="module")
def on_picture() -> dict[str, Any]:
    """The detector's outputs for the picture, from LiteRT itself."""
    with Image.open(PICTURE) as image:
        batch = np.asarray(image.resize((256, 256), Image.Resampling.BICUBIC))[np.newaxis]
    return run_litert(BUNDLED / "detector" / "model.tflite", batch)


def names(outputs: dict[str, Any]) -> list[str]:
    """The classes' names, as the detector's label file has them."""
    lines = (BUNDLED / "detector" / "labels.txt").read_text().splitlines()
    return [lines[int(number)] for number in np.ravel(outputs["classes"])]


def answered(outputs: dict[str, Any], score: float = 0.3) -> set[str]:
    """The names of what has at least the server's own threshold."""
    pairs = zip(names(outputs), np.ravel(outputs["scores"]), strict=True)
    return {name for name, value in pairs if value >= score}


def same_picture(found: dict[str, Any], expected: dict[str, Any]) -> None:
    same_outputs({name: found[name] for name in found if name != "labels"}, expected)
    assert found["labels"] == names(expected)


@pytest.mark.parametrize("transport", ["http", "grpc"])
def test_tritonclient_finds_its_way_around(triton: dict[str, Any], transport: str) -> None:
    seen = triton[transport]
    assert (seen["live"], seen["ready"], seen["model_ready"]) == (True, True, True)
    assert seen["stranger_ready"] is False
    assert seen["server"]["name"] == "model-server"
    assert "binary_tensor_data" in seen["server"]["extensions"]
    assert seen["model"]["inputs"][0]["datatype"] == "UINT8"
    assert set(seen["index"]) == {"detector", "classifier"}
    assert seen["id"] == "by-tensor"
    status, message = seen["error"]
    assert status == {"http": "404", "grpc": "StatusCode.NOT_FOUND"}[transport]
    assert "unknown model 'nobody'" in message
    assert "expects UINT8" in seen["wrong_type"][1]


@pytest.mark.parametrize("transport", ["http", "grpc", "json"])
def test_tritonclients_tensors_give_what_litert_gives(
    triton: dict[str, Any], expected: dict[str, Any], transport: str
) -> None:
    same_outputs(triton[transport]["by_tensor"], expected)


@pytest.mark.parametrize("transport", ["http", "grpc"])
def test_tritonclient_sends_pictures(
    triton: dict[str, Any], on_picture: dict[str, Any], transport: str
) -> None:
    same_picture(triton[transport]["by_picture"], on_picture)
    best = triton[transport]["best"]
    assert len(best) == 3
    scores = [float(text.split(":")[0]) for text in best]
    assert scores == sorted(scores, reverse=True)


def test_tritonclients_compression_is_refused_in_words(triton: dict[str, Any]) -> None:
    status, message = triton["json"]["gzip"]
    assert (status, "Content-Encoding gzip is not supported" in message) == ("415", True)


@pytest.mark.parametrize("way", ["v1", "json", "binary", "grpc"])
def test_the_sdk_of_kserve_finds_its_way_around(kserve: dict[str, Any], way: str) -> None:
    seen = kserve[way]
    assert (seen["live"], seen["model_ready"]) == (True, True)
    assert "unknown model 'nobody'" in seen["error"]
    assert {"grpc": "NOT_FOUND"}.get(way, "404") in seen["error"]
    if way != "v1":
        assert seen["ready"] is True
        assert seen["id"] == "by-tensor"
        assert seen.get("stranger_ready", False) is False


@pytest.mark.parametrize("way", ["json", "binary", "grpc"])
def test_its_v2_tensors_and_pictures(
    kserve: dict[str, Any], expected: dict[str, Any], on_picture: dict[str, Any], way: str
) -> None:
    same_outputs(kserve[way]["by_tensor"], expected)
    same_picture(kserve[way]["by_picture"], on_picture)


def test_its_v1_instances(
    kserve: dict[str, Any], expected: dict[str, Any], on_picture: dict[str, Any]
) -> None:
    seen = kserve["v1"]
    (row,) = seen["by_tensor"]["predictions"]
    whole = {"count": row["count"] if isinstance(row["count"], list) else [row["count"]]}
    for name in ("boxes", "classes", "scores"):
        whole[name] = [row[name]]
    same_outputs(whole, expected)
    (detections,) = (item["detections"] for item in seen["detections"]["predictions"])
    assert {item["label"] for item in detections} == answered(on_picture)
    (classes,) = (item["classes"] for item in seen["classes"]["predictions"])
    assert len(classes) == 5


def curl(*arguments: str) -> bytes:
    """What curl prints; fails when it does."""
    command = ["curl", "--silent", "--show-error", "--max-time", "60", *arguments]
    return subprocess.run(command, capture_output=True, check=True, timeout=90).stdout


def test_curl_as_the_classification_article_calls_it(served: Served) -> None:
    url = f"http://localhost:{served.server.port}/predict"
    answer = json.loads(curl("-X", "POST", "-F", f"image=@{PICTURE}", url))
    assert answer["success"] is True
    assert [sorted(item) for item in answer["predictions"]] == [["label", "probability"]] * 5
    probabilities = [item["probability"] for item in answer["predictions"]]
    assert probabilities == sorted(probabilities, reverse=True)
    nothing = json.loads(curl("-X", "POST", "-F", "other=1", url))
    assert nothing["success"] is False


def test_curl_sends_raw_bytes_and_gets_a_picture(
    served: Served, on_picture: dict[str, Any], tmp_path: Path
) -> None:
    url = f"http://127.0.0.1:{served.server.port}/object_detection"
    data = ("--data-binary", f"@{PICTURE}")
    for header in ((), ("-H", "Content-Type: image/jpeg"), ("-H", "Expect: 100-continue")):
        answer = json.loads(curl(*data, *header, url))
        found = {name for item in answer["detections"] for name in item}
        assert found == answered(on_picture)
    target = tmp_path / "answer.png"
    curl(*data, "-H", "Accept: image/png", "-o", str(target), url)
    assert target.read_bytes().startswith(b"\x89PNG")


def test_the_detection_articles_own_client(served: Served, tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    done = subprocess.run(
        [
            *(sys.executable, str(CLIENTS / "article_detection.py")),
            *("--address", f"http://127.0.0.1:{served.server.port}/"),
            *("--image_path", str(PICTURE), "--output_dir", f"{tmp_path}/"),
        ],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    detections, size, written = done.stdout.splitlines()
    assert detections.startswith("Detections are: [{'")
    assert detections.endswith("%'}]")
    assert size == "the image size is: size=1280x960"
    assert written == f"the image is being written in {tmp_path}/"
    drawn = json.loads((tmp_path / "seen.json").read_text())
    assert drawn["shape"] == [960, 1280, 3]
    # BGR, as OpenCV wants it: the picture comes back in its own colours, boxes aside.
    assert drawn["changed"] < 0.2
