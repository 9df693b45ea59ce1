"""The object-detection article's last chapter, done by the operator: an external address, the
article's client against it, and a clean-up."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.isvc import KIND, PICTURE, inference_service, wait_ready
from support.kube import Kubectl
from support.poll import eventually

ROOT = Path(__file__).parents[2]
OWN_STATE = ROOT / ".cluster" / "state.json"


@pytest.mark.skipif(
    not OWN_STATE.exists() or json.loads(OWN_STATE.read_text())["mode"] != "own",
    reason="kind and other people's clusters may have no load balancer",
)
def test_the_client_against_the_external_address(kubectl: Kubectl, tmp_path: Path) -> None:
    kubectl.apply(inference_service("public", service={"type": "LoadBalancer"}))
    wait_ready(kubectl, "public")

    def external() -> str:
        service = kubectl.get(KIND, "public") or {}
        url: str = service["status"]["url"]
        assert "svc.cluster.local" not in url, url
        return url

    address = eventually(external, "the external address in status.url")
    done = subprocess.run(
        [
            *(sys.executable, ROOT / "model-server" / "client" / "client.py"),
            *("--address", address, "--image_path", PICTURE, "--output_dir", tmp_path),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert "Detections are: [{" in done.stdout
    assert len(list(tmp_path.iterdir())) == 1
    kubectl.run("delete", KIND, "public", "--timeout=30s")

    def gone() -> bool:
        return not kubectl.objects("services", "app.kubernetes.io/managed-by=inference-operator")

    eventually(gone, "the address given back", timeout_s=60)
