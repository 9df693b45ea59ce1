"""`make deploy` and `make demo` as a person runs them, with models of their own."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from support.isvc import PICTURE
from support.kube import Kubectl
from support.pods import start_model_host
from support.poll import eventually

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tests" / "support" / "tf_classifier.py"
# Ready takes longest while other tests load models too.
READY_WITHIN_S = 400

Demo = Callable[..., str]


@pytest.fixture
def run_demo(kubectl: Kubectl, cluster: Kubectl, tmp_path: Path) -> Demo:
    """Runs the script behind `make demo` in the test's namespace; returns what it printed."""
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_bytes(cluster.kubeconfig.read_bytes())
    kubeconfig.chmod(0o600)
    private = Kubectl(kubeconfig)
    private.run("config", "set-context", "--current", f"--namespace={kubectl.namespace}")

    def run(*arguments: str) -> str:
        command = [sys.executable, str(ROOT / "deploy" / "demo.py"), *arguments]
        command += ["--output", str(tmp_path / "outputs"), "--timeout", str(READY_WITHIN_S)]
        done = subprocess.run(
            command,
            env={**os.environ, "KUBECONFIG": str(kubeconfig)},
            capture_output=True,
            text=True,
            check=False,
            timeout=570,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one classifier as .keras file and as SavedModel."""
    folder = tmp_path_factory.mktemp("models")
    subprocess.run(
        [sys.executable, SCRIPT, PICTURE, folder], check=True, capture_output=True, timeout=300
    )
    return folder


def test_both_images_of_the_operator_are_on_the_node(
    cluster: Kubectl, images: dict[str, str]
) -> None:
    """After `make deploy`, no service waits for an image that nobody has built."""

    def missing() -> list[str]:
        nodes = json.loads(cluster.run("get", "nodes", "-o", "json"))["items"]
        assert nodes
        on_node = [
            {name for i in node["status"]["images"] for name in i["names"]} for node in nodes
        ]
        return [image for image in images.values() if not all(image in found for found in on_node)]

    # The kubelet reports its images every ten seconds.
    eventually(lambda: not missing(), "both images on every node", timeout_s=60)


def test_the_demo_detects_objects_and_ends_with_an_address(run_demo: Demo, tmp_path: Path) -> None:
    printed = run_demo()
    assert "Detections are: [{" in printed
    assert list((tmp_path / "outputs").glob("*_output.jpg"))
    assert re.search(r"http://\S+ (to try|in a browser)|open http://127\.0\.0\.1:8080", printed)
    last = printed.rstrip().splitlines()[-1]
    assert "http://" in last
    assert last.startswith(("Open ", "Run "))


def test_the_demo_serves_a_keras_model(
    kubectl: Kubectl, images: dict[str, str], models: Path, run_demo: Demo
) -> None:
    files = {"classifier.keras": (models / "model.keras").read_bytes()}
    base_uri = start_model_host(kubectl, images["litert"], files)
    printed = run_demo("--model", f"{base_uri}/classifier.keras", "--image", str(PICTURE))
    assert "name: keras" in printed
    assert "Predictions are: [{" in printed


def test_the_demo_finds_out_that_an_archive_holds_a_savedmodel(
    kubectl: Kubectl, images: dict[str, str], models: Path, run_demo: Demo
) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.add(models / "saved_model", "saved_model")
    base_uri = start_model_host(kubectl, images["litert"], {"model.tar.gz": buffer.getvalue()})
    printed = run_demo("--model", f"{base_uri}/model.tar.gz", "--image", str(PICTURE))
    assert "It is a savedmodel model, so it is applied again with that format." in printed
    assert "Predictions are: [{" in printed
