"""The cluster itself keeps what Kubernetes promises a workload: names, Services, logs, figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from support.kube import Kubectl, Manifest
from support.pods import PYTHON, RESTRICTED_CONTAINER, RESTRICTED_POD
from support.poll import eventually

SERVE = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(os.uname().nodename.encode())
http.server.ThreadingHTTPServer(("", 8000), Handler).serve_forever()
"""
ASK = """
import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1], timeout=5).read().decode())
"""
BURN = """
import subprocess, sys
quiet = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True, **quiet)
"""
OWN_STATE = Path(__file__).parents[2] / ".cluster" / "state.json"


def deployment(image: str) -> Manifest:
    """Two pods that answer with their names, and burn nothing until told to."""
    container: dict[str, Any] = {
        "name": "main",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": [PYTHON, "-c", SERVE],
        "ports": [{"name": "http", "containerPort": 8000}],
        "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1},
        "resources": {
            "requests": {"cpu": "200m", "memory": "32Mi"},
            "limits": {"cpu": "200m", "memory": "64Mi"},
        },
        "securityContext": RESTRICTED_CONTAINER,
    }
    labels = {"app": "echo"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "echo"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"securityContext": RESTRICTED_POD, "containers": [container]},
            },
        },
    }


def service(kind: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": f"echo-{kind.lower()}"},
        "spec": {
            "type": kind,
            "selector": {"app": "echo"},
            "ports": [{"port": 80, "targetPort": "http"}],
        },
    }


@pytest.fixture
def echo(kubectl: Kubectl, images: dict[str, str]) -> list[str]:
    """The names of the two ready pods."""
    kubectl.apply(deployment(images["litert"]), *map(service, ("ClusterIP", "LoadBalancer")))
    kubectl.run("rollout", "status", "deployment/echo", "--timeout=120s")
    return sorted(pod["metadata"]["name"] for pod in kubectl.objects("pods", "app=echo"))


def test_what_a_pod_and_its_owner_can_do(kubectl: Kubectl, echo: list[str]) -> None:
    # By name, from inside a pod: DNS and the Service; both pods get their share. Pods are ready
    # before kube-proxy has sent anybody to them, by a second or more on a busy machine.
    def ask(url: str) -> str:
        return kubectl.run("exec", echo[0], "--", PYTHON, "-c", ASK, url).strip()

    name = f"echo-clusterip.{kubectl.namespace}.svc.cluster.local"
    eventually(lambda: ask(f"http://{name}/") in echo, "a pod answers by the Service's name")
    seen: set[str] = set()

    def both() -> bool:
        seen.add(ask("http://echo-clusterip/"))
        return seen == set(echo)

    eventually(both, "both pods answer")
    # A pod cannot write to its root file system, and is nobody.
    probe = "import os; print(os.getuid()); open('/new', 'w')"
    done = kubectl.try_run("exec", echo[0], "--", PYTHON, "-c", probe)
    assert done.stdout.startswith("65532\n")
    assert "Read-only file system" in done.stderr
    # Logs and port-forward go through the kubelet.
    with kubectl.port_forward("svc/echo-clusterip") as address:
        assert urlopen(address, timeout=5).read().decode() in echo  # noqa: S310 - loopback
    assert '"GET / HTTP/1.1" 200' in kubectl.run("logs", echo[0])


@pytest.mark.skipif(
    not OWN_STATE.exists() or json.loads(OWN_STATE.read_text())["mode"] != "own",
    reason="kind and other people's clusters may have no load balancer",
)
def test_a_load_balancer_gets_an_address_that_answers(kubectl: Kubectl, echo: list[str]) -> None:
    def address() -> str:
        found = kubectl.get("service", "echo-loadbalancer") or {}
        ingress = found["status"]["loadBalancer"].get("ingress") or [{}]
        return str(ingress[0].get("ip", ""))

    external = eventually(address, "an external address")

    def answer() -> str:
        try:
            return urlopen(f"http://{external}/", timeout=5).read().decode()  # type: ignore[no-any-return]
        except OSError as error:
            raise AssertionError(error) from None

    assert eventually(answer, "a pod answers at the external address") in echo


def test_figures_of_pods_follow_their_load(kubectl: Kubectl, echo: list[str]) -> None:
    kubectl.run("exec", echo[0], "--", PYTHON, "-c", BURN)

    def millicores() -> int:
        # Not there yet is an answer too: the first figures come with the second reading.
        done = kubectl.try_run("top", "pod", echo[0], "--no-headers")
        assert done.returncode == 0, done.stderr
        return int(done.stdout.split()[1].removesuffix("m"))

    # The container may use 200 millicores, and it does; an idle one uses next to nothing.
    eventually(lambda: 100 <= millicores() <= 300, "the figures show the load", timeout_s=90)
