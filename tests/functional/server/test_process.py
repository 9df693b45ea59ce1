"""The process: how it starts, what it says when it cannot, how it stops."""

import contextlib
import http.client
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from support.model_server import (
    COCO,
    COCO_LABELS,
    IMAGENET,
    IMAGENET_LABELS,
    model_server,
    server_command,
    server_environment,
    stop,
)
from support.poll import eventually


def run_to_its_end(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "model_server", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env=server_environment(environment),
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "/nowhere"], "InvalidModel: model: there is no file or folder /nowhere"),
        (["--port", "70000"], "InvalidSettings: --port (MODEL_SERVER_PORT): must be"),
        (["--model", "bundled://nothing"], "InvalidModel: model: there is no bundled model"),
    ],
)
def test_what_is_wrong_is_one_line_and_a_status(arguments: list[str], said: str) -> None:
    ended = run_to_its_end(*arguments)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"model-server: {said}")
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize("content", [b"", b"garbage" * 100, b"\x1c\0\0\0TFL3" + b"\xff" * 4000])
def test_a_damaged_model_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.tflite").write_bytes(content)
    ended = run_to_its_end("--model", str(tmp_path), "--port", "0")
    assert ended.returncode == 3
    assert "model-server: InvalidModel: model: broken.tflite is not a model" in ended.stderr
    assert "Traceback" not in ended.stderr + ended.stdout


NO_IPV6 = "this machine has no IPv6 on loopback"


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def _status(address: str, port: int) -> str:
    try:
        connection = http.client.HTTPConnection(address, port, timeout=20)
        with contextlib.closing(connection):
            connection.request("GET", "/readyz")
            return str(connection.getresponse().status)
    except OSError as error:
        return type(error).__name__


@pytest.mark.skipif(not _has_ipv6(), reason=NO_IPV6)
@pytest.mark.parametrize(
    ("host", "over_ipv4", "over_ipv6"),
    [
        ("", "200", "200"),
        ("::", "200", "200"),
        ("::1", "ConnectionRefusedError", "200"),
        ("[::1]", "ConnectionRefusedError", "200"),
        ("0.0.0.0", "200", "ConnectionRefusedError"),
    ],
)
def test_it_listens_where_it_is_told(host: str, over_ipv4: str, over_ipv6: str) -> None:
    """HTTP and gRPC, on the families that the address means."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        grpc_port = probe.getsockname()[1]
    with model_server(host=host, grpc_port=grpc_port) as server:
        port = server.port
        assert (_status("127.0.0.1", port), _status("::1", port)) == (over_ipv4, over_ipv6)
        for address, expected in (("127.0.0.1", over_ipv4), ("::1", over_ipv6)):
            if expected == "200":  # gRPC itself takes 0.0.0.0 for every address of both families
                with socket.create_connection((address, grpc_port), timeout=20):
                    pass


def test_batches_that_a_model_cannot_take_are_told_in_the_log() -> None:
    with model_server(max_batch_size=4) as server:
        (told,) = (line for line in server.log if line["severity"] == "WARNING")
    assert (
        told["message"]
        == "model detector has a fixed batch size of 1: --max-batch-size has no effect"
    )


def test_tflite_never_imports_tensorflow(data: Path) -> None:
    with model_server(model=IMAGENET, labels=IMAGENET_LABELS) as server:
        for worker in server.workers():
            maps = Path(f"/proc/{worker}/maps").read_text()
            assert "libtensorflow" not in maps
            assert "ai_edge_litert" in maps


def test_a_name_and_labels_are_found_without_being_told(data: Path, tmp_path: Path) -> None:
    (tmp_path / "detect.tflite").symlink_to(COCO)
    (tmp_path / "labelmap.txt").symlink_to(COCO_LABELS)
    with model_server(model=tmp_path) as server:
        assert server.request("/readyz").json()["models"] == ["detect"]
        answer = server.post("/object_detection", (data / "cat_720p.jpg").read_bytes())
        assert answer.json()["detections"][0] == {"cat": "71%"}


def test_variables_are_as_good_as_flags(data: Path) -> None:
    with model_server({"MODEL_SERVER_MODEL": str(IMAGENET), "MODEL_SERVER_TOP_K": "2"}) as server:
        predictions = server.post("/predict", (data / "parrot.jpg").read_bytes()).json()
        assert predictions["predictions"][0]["label"] == "macaw"
        assert len(predictions["predictions"]) == 2


def test_the_golden_image_keeps_a_wrong_model_from_serving(data: Path) -> None:
    golden = ["--golden-image", str(data / "cat_720p.jpg")]
    model = ["--model", str(COCO), "--labels", str(COCO_LABELS), "--port", "0"]
    ended = run_to_its_end(*model, *golden, "--golden-expect", "dog>=0.5")
    assert ended.returncode == 3
    assert "GoldenImageFailed" in ended.stderr
    assert "the model says cat 0.72" in ended.stderr
    with model_server(
        model=COCO,
        labels=COCO_LABELS,
        golden_image=data / "cat_720p.jpg",
        golden_expect="cat>=0.7",
    ) as server:
        assert server.request("/readyz").status == 200


def test_a_dead_worker_is_replaced(data: Path) -> None:
    with model_server(model=IMAGENET, labels=IMAGENET_LABELS) as server:
        (worker,) = server.workers()
        subprocess.run(["kill", "-9", str(worker)], check=True)
        eventually(lambda: server.workers() not in ([], [worker]), "a new worker", 30)
        assert server.post("/predict", (data / "parrot.jpg").read_bytes()).status == 200


def test_sigterm_ends_it_cleanly(data: Path) -> None:
    with model_server(model=IMAGENET, labels=IMAGENET_LABELS) as server:
        server.post("/predict", (data / "parrot.jpg").read_bytes())
        assert stop(server.process) == 0


def test_several_workers_share_one_page_of_metrics(data: Path) -> None:
    picture = (data / "parrot.jpg").read_bytes()
    with model_server(model=IMAGENET, labels=IMAGENET_LABELS, workers=2) as server:
        for _ in range(8):
            assert server.post("/predict", picture).status == 200
        page = server.request("/metrics").body.decode()
        assert 'endpoint="/predict",model="mobilenet_v2_1.0_224_quant",status="200"} 8.0' in page


def test_two_servers_on_one_port_is_said_plainly(data: Path) -> None:
    with model_server(model=IMAGENET, labels=IMAGENET_LABELS) as server:
        ended = subprocess.run(
            server_command(
                model=IMAGENET, labels=IMAGENET_LABELS, host="127.0.0.1", port=server.port
            ),
            capture_output=True,
            text=True,
            timeout=60,
            env=server_environment(),
            check=False,
        )
    assert ended.returncode != 0
    assert f"port {server.port}" in ended.stderr
    assert "Traceback" not in ended.stderr
