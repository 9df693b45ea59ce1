"""The operator as a process, and the questions that tests ask about what it does."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
import zlib
from pathlib import Path
from typing import Any

import yaml

from support.endings import ends_with_us
from support.kube import Kubectl, Manifest
from support.poll import eventually

KIND = "inferenceservices.inference-operator.dev"
IMAGE = "registry.example.com/model-server:1"
NODE = "node-0"


class Operator:
    """One operator process."""

    def __init__(self, kubeconfig: Path, log: Path, **settings: str) -> None:
        self.port = free_port()
        self._log = log
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(log.parent),
            "KUBECONFIG": str(kubeconfig),
            "INFERENCE_OPERATOR_HEALTH_PORT": str(self.port),
            "INFERENCE_OPERATOR_MODEL_SERVER_IMAGE": IMAGE,
            **{f"INFERENCE_OPERATOR_{name}": value for name, value in settings.items()},
        }
        command = ends_with_us([sys.executable, "-m", "inference_operator", "run"])
        with log.open("ab") as stream:
            self._process = subprocess.Popen(command, stderr=stream, stdout=stream, env=environment)
        eventually(self.is_alive, f"the operator of {log}")

    def is_alive(self) -> bool:
        if self._process.poll() is not None:
            # Not an assertion: there is nothing to wait for any more.
            raise RuntimeError(f"the operator has ended: {self._log.read_text()}")
        try:
            return self._get("healthz") == "ok"
        except OSError:
            return False

    def _get(self, what: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{what}", timeout=5) as answer:
            text: str = answer.read().decode()
            return text

    def metrics(self, name: str) -> dict[str, float]:
        """Values of one metric by its labels as they are written."""
        lines = self._get("metrics").splitlines()
        pairs = [line.rpartition(" ") for line in lines if line.startswith(name)]
        return {labels.removeprefix(name): float(value) for labels, _, value in pairs}

    def writes(self) -> float:
        """Calls to the API server that were meant to change something."""
        calls = self.metrics("inference_operator_api_calls_total")
        reads = ('method="GET"', 'method="WATCH"')
        return sum(n for labels, n in calls.items() if not any(read in labels for read in reads))

    def leads(self) -> bool:
        return self.metrics("inference_operator_leader") == {"": 1.0}

    def log(self) -> str:
        return self._log.read_text()

    def ended(self) -> int:
        """Wait until it ends by itself; its exit status."""
        return self._process.wait(timeout=120)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End the process by its own id."""
        if self._process.poll() is None:
            self._process.send_signal(how)
        return self._process.wait(timeout=30)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def service(name: str = "shapes", predictor: Any = None, **spec: Any) -> Manifest:
    return {
        "apiVersion": "inference-operator.dev/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name},
        "spec": {**({"predictor": predictor} if predictor is not None else {}), **spec},
    }


def child(kubectl: Kubectl, kind: str, name: str = "shapes") -> Manifest | None:
    """A child that is not on its way out."""
    found = kubectl.get(kind, f"{name}-predictor")
    return None if found is None or "deletionTimestamp" in found["metadata"] else found


def present(kubectl: Kubectl, kind: str, name: str = "shapes") -> Manifest:
    """A child, as soon as it is there."""
    return eventually(lambda: child(kubectl, kind, name), f"{kind} of {name}")


def condition(kubectl: Kubectl, kind: str = "Ready", name: str = "shapes") -> Manifest:
    status = (kubectl.get(KIND, name) or {}).get("status", {})
    return next((c for c in status.get("conditions", []) if c["type"] == kind), {})


def pods(kubectl: Kubectl, name: str = "shapes") -> list[Manifest]:
    selector = f"inference-operator.dev/inferenceservice={name}"
    found = kubectl.objects("pods", selector)
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def play_kubelet(kubectl: Kubectl, pod: Manifest, **status: Any) -> None:
    """Write the status of a pod, as kubelet would; by default that of a Ready one.

    A node and an address put it into the EndpointSlice of its Service; nobody connects to it.
    """
    name = pod["metadata"]["name"]
    # A test may hold the pod from before it was bound.
    if "nodeName" not in (kubectl.get("pod", name) or pod)["spec"]:
        target = {"apiVersion": "v1", "kind": "Node", "name": NODE}
        binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}}
        kubectl.run("create", "-f", "-", stdin=yaml.safe_dump(binding | {"target": target}))
    digest = zlib.crc32(pod["metadata"]["uid"].encode())
    address = f"10.244.{digest % 250}.{digest // 250 % 250 + 1}"
    now = "2026-01-01T00:00:00Z"
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": now}
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": now}
    addresses = {"podIP": address, "podIPs": [{"ip": address}]}
    whole = {"phase": "Running", **addresses, "conditions": [scheduled, ready], **status}
    kubectl.run(
        "patch", "pod", name, "--subresource=status", "--type=merge",
        "-p", yaml.safe_dump({"status": whole}),
    )  # fmt: skip


def make_ready(kubectl: Kubectl, name: str = "shapes") -> None:
    """Let every pod of a service answer, until the service is Ready for its newest spec."""

    def probe() -> bool:
        for pod in pods(kubectl, name):
            conditions = pod.get("status", {}).get("conditions", [])
            if not any(c["type"] == "Ready" and c["status"] == "True" for c in conditions):
                play_kubelet(kubectl, pod)
        found = kubectl.get(KIND, name)
        assert found
        ready = condition(kubectl, name=name)
        assert ready.get("observedGeneration") == found["metadata"]["generation"], ready
        return ready["status"] == "True" and "reason" not in ready

    eventually(probe, f"{name} Ready")
