"""The TensorFlow variant: a SavedModel over HTTP and a Keras model from a volume, in real pods."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.isvc import PICTURE, classify, inference_service, metrics, wait_ready
from support.kube import Kubectl, Manifest
from support.pods import PYTHON, send_files, start_model_host, wait_pod_ready
from support.poll import eventually

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tests" / "support" / "tf_classifier.py"
READY_WITHIN_S = 240


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the same classifier as .keras and as SavedModel, and its expected answer."""
    folder = tmp_path_factory.mktemp("tensorflow")
    subprocess.run(
        [sys.executable, SCRIPT, PICTURE, folder], check=True, capture_output=True, timeout=300
    )
    return folder


def check_answer(kubectl: Kubectl, name: str, models: Path) -> None:
    """The service's probabilities are those that the model gave outside of it."""
    expected = json.loads((models / "expected.json").read_text())
    with kubectl.port_forward(f"svc/{name}-predictor") as base:
        answer = classify(base, PICTURE)
    top = max(expected, key=expected.__getitem__)
    assert answer["predictions"][0]["label"] == top
    for prediction in answer["predictions"]:
        assert abs(prediction["probability"] - expected[prediction["label"]]) < 0.02


def batches(base: str, upper: str) -> float:
    """How many requests were computed in batches of `upper` or fewer."""
    bucket = f'model_server_batch_size_bucket{{le="{upper}"'
    counts = re.findall(rf"{re.escape(bucket)}[^}}]*}} (\S+)", metrics(base))
    return sum(map(float, counts))


def check_batches(kubectl: Kubectl, name: str) -> None:
    """Of eight requests at a time some are computed together, and no more than are allowed."""
    with kubectl.port_forward(f"svc/{name}-predictor") as base, ThreadPoolExecutor(8) as pool:

        def some_together() -> float:
            answers = list(pool.map(lambda _: classify(base, PICTURE), range(16)))
            assert len({answer["predictions"][0]["label"] for answer in answers}) == 1
            return batches(base, "4.0") - batches(base, "2.0")

        eventually(some_together, "batches of three or four requests")
        assert batches(base, "4.0") == batches(base, "+Inf")


def test_a_savedmodel_archive(kubectl: Kubectl, images: dict[str, str], models: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.add(models / "saved_model", "saved_model")
    files = {"classifier.tar.gz": buffer.getvalue()}
    base_uri = start_model_host(kubectl, images["litert"], files)
    model = {
        "modelFormat": {"name": "savedmodel"},
        "storageUri": f"{base_uri}/classifier.tar.gz",
        # A SavedModel does not say which range of pixels it wants; this one rescales by itself.
        "env": [{"name": "MODEL_SERVER_PREPROCESSING", "value": "none"}],
        "resources": {"requests": {"cpu": "50m", "memory": "512Mi"}},
    }
    batcher = {"maxBatchSize": 4, "maxLatency": 500}
    predictor = {"model": model, "batcher": batcher, "containerConcurrency": 8}
    kubectl.apply(inference_service("saved", predictor))
    wait_ready(kubectl, "saved", READY_WITHIN_S)
    check_answer(kubectl, "saved", models)
    check_batches(kubectl, "saved")


@pytest.fixture
def claim(
    kubectl: Kubectl, cluster: Kubectl, images: dict[str, str], models: Path
) -> Iterator[str]:
    """A PersistentVolumeClaim that holds the Keras model below `classifier/`."""
    name = kubectl.namespace
    path = f"/var/tmp/{name}"
    privileged = {
        "name": name + "-fill",
        "labels": {"pod-security.kubernetes.io/enforce": "privileged"},
    }
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": privileged})
    filler = cluster.in_namespace(name + "-fill")
    filler.apply(filler_pod(images["litert"], path))
    wait_pod_ready(filler, "filler")
    files = {
        "model.keras": (models / "model.keras").read_bytes(),
        "labels.txt": (models / "labels.txt").read_bytes(),
    }
    send_files(filler, "filler", {f"classifier/{key}": value for key, value in files.items()})
    kubectl.apply(*volume_and_claim(name, path))
    yield name
    remove = "import shutil; shutil.rmtree('/data/classifier', ignore_errors=True)"
    filler.run("exec", "filler", "--", PYTHON, "-c", remove)
    cluster.run("delete", "namespace", name + "-fill", "--wait=false")
    cluster.run("delete", "persistentvolume", name, "--wait=false")


def filler_pod(image: str, path: str) -> Manifest:
    """A pod that may write to a folder of the node."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "filler"},
        "spec": {
            "securityContext": {"runAsUser": 0},
            "terminationGracePeriodSeconds": 1,
            "containers": [
                {
                    "name": "main",
                    "image": image,
                    "command": ["sleep", "600"],
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                }
            ],
            "volumes": [{"name": "data", "hostPath": {"path": path, "type": "DirectoryOrCreate"}}],
        },
    }


def volume_and_claim(name: str, path: str) -> tuple[Manifest, Manifest]:
    """A hostPath volume and the claim that is bound to it."""
    common = {"storageClassName": "", "accessModes": ["ReadOnlyMany"]}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            **common,
            "capacity": {"storage": "1Gi"},
            "hostPath": {"path": path},
            "persistentVolumeReclaimPolicy": "Retain",
        },
    }
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {
            **common,
            "volumeName": name,
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    return volume, claim


def test_a_keras_model_from_a_volume(kubectl: Kubectl, claim: str, models: Path) -> None:
    model = {
        "modelFormat": {"name": "keras"},
        "storageUri": f"pvc://{claim}/classifier",
        "resources": {"requests": {"cpu": "50m", "memory": "512Mi"}},
    }
    kubectl.apply(inference_service("volume", {"model": model}))
    wait_ready(kubectl, "volume", READY_WITHIN_S)
    check_answer(kubectl, "volume", models)
