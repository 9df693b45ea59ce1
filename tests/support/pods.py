"""Helper pods that tests run inside the cluster: a model host and a load generator.

Both run the model-server image, because it is the one image that is certainly there and it has
Python; both satisfy the `restricted` Pod Security Standard that test namespaces enforce.
"""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.kube import Kubectl, Manifest
from support.poll import eventually

PYTHON = "/opt/venv/bin/python"

RESTRICTED_POD = {
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "runAsGroup": 65532,
    "fsGroup": 65532,
    "seccompProfile": {"type": "RuntimeDefault"},
}
RESTRICTED_CONTAINER = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}

RECEIVE = (
    "import sys, tarfile; tarfile.open(fileobj=sys.stdin.buffer, mode='r|').extractall('/data')"
)

# A Service is Ready before kube-proxy has sent anybody to its pods, so the first connection may be
# refused; from the first one that is not, none may be.
WAIT_SCRIPT = """
import os, socket, sys, time
while not os.path.exists('/tmp/go'): time.sleep(0.05)
routed_by = time.monotonic() + 30
while True:
    try:
        socket.create_connection((sys.argv[1], 80), timeout=5).close()
        break
    except OSError:
        if time.monotonic() > routed_by: raise
        time.sleep(0.2)
"""

# Closed loop of THREADS connections, one new connection a request, as independent users would
# arrive; it ends by itself after MAX_SECONDS or when /tmp/stop appears.
LOAD_SCRIPT = """
import http.client, json, os, sys, threading, time
host, path, accept, threads, max_seconds, picture = sys.argv[1:7]
body = open(picture, 'rb').read()
deadline = time.monotonic() + float(max_seconds)
lock = threading.Lock()
sent, failures, slowest, statuses, hints = 0, [], 0.0, {}, 0
def work():
    global sent, slowest, hints
    while time.monotonic() < deadline and not os.path.exists('/tmp/stop'):
        begin = time.monotonic()
        status, hint = 0, None
        try:
            connection = http.client.HTTPConnection(host, 80, timeout=30)
            headers = {'Content-Type': 'application/octet-stream', 'Accept': accept}
            connection.request('POST', path, body, headers)
            answer = connection.getresponse()
            answer.read()
            status, hint = answer.status, answer.getheader('Retry-After')
            failure = None if status == 200 else f'status {status}'
            connection.close()
        except Exception as error:
            failure = repr(error)
        with lock:
            sent += 1
            slowest = max(slowest, time.monotonic() - begin)
            statuses[status] = statuses.get(status, 0) + 1
            hints += hint is not None
            if failure:
                failures.append([round(time.time(), 3), failure])
workers = [threading.Thread(target=work) for _ in range(int(threads))]
[w.start() for w in workers]; [w.join() for w in workers]
counts = {'sent': sent, 'failed': len(failures), 'slowest_s': round(slowest, 3)}
counts |= {'statuses': statuses, 'retry_after': hints}
print(json.dumps({**counts, 'failures': failures[:20]}))
"""


def helper_pod(name: str, image: str, command: list[str]) -> Manifest:
    """A restricted pod that runs `command`, with writable /data and /tmp."""
    volumes: list[Manifest] = [{"name": volume, "emptyDir": {}} for volume in ("data", "tmp")]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "securityContext": RESTRICTED_POD,
            "terminationGracePeriodSeconds": 1,
            "containers": [
                {
                    "name": "main",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": command,
                    "securityContext": RESTRICTED_CONTAINER,
                    "volumeMounts": [
                        {"name": "data", "mountPath": "/data"},
                        {"name": "tmp", "mountPath": "/tmp"},
                    ],
                }
            ],
            "volumes": volumes,
        },
    }


def tar_of(files: dict[str, bytes]) -> bytes:
    """An uncompressed tar archive of name to content."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def send_files(kubectl: Kubectl, pod: str, files: dict[str, bytes]) -> None:
    """Write files below /data of a running helper pod."""
    kubectl.run("exec", "-i", pod, "--", PYTHON, "-c", RECEIVE, stdin=tar_of(files))


def wait_pod_ready(kubectl: Kubectl, name: str) -> None:
    """Wait until a pod runs and is ready."""
    kubectl.run("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=90s", timeout_s=100)


def start_model_host(kubectl: Kubectl, image: str, files: dict[str, bytes]) -> str:
    """Serve files by HTTP from inside the cluster; returns the base URI."""
    server = [PYTHON, "-m", "http.server", "8080", "--directory", "/data"]
    kubectl.apply(
        helper_pod("models", image, server),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "models"},
            "spec": {"selector": {"app": "models"}, "ports": [{"port": 80, "targetPort": 8080}]},
        },
    )
    wait_pod_ready(kubectl, "models")
    send_files(kubectl, "models", files)
    return f"http://models.{kubectl.namespace}.svc.cluster.local"


@dataclass(frozen=True)
class Load:
    """A running load generator; `stop` returns what it counted."""

    kubectl: Kubectl
    name: str

    def stop(self) -> dict[str, Any]:
        """End the load and return what it counted.

        `sent`; `failed`, all that was not answered 200, and the first of these `failures`;
        `statuses`, answers by status, those without any as "0"; `retry_after`, answers that said
        when to try again; `slowest_s`.
        """
        self.kubectl.run("exec", self.name, "--", PYTHON, "-c", "open('/tmp/stop', 'w').close()")

        def report() -> dict[str, Any] | None:
            lines = self.kubectl.run("logs", self.name).strip().splitlines()
            return json.loads(lines[-1]) if lines else None

        return eventually(report, f"report of load pod {self.name}", timeout_s=60)


def start_load(kubectl: Kubectl, image: str, host: str, picture: Path, threads: int = 2) -> Load:
    """Start a bounded closed-loop load on a Service of this cluster's."""
    name = "load"
    boxes = "application/vnd.inference-operator.detections+json"
    arguments = [host, "/object_detection", boxes, str(threads), "600", "/data/picture"]
    kubectl.apply(helper_pod(name, image, [PYTHON, "-c", WAIT_SCRIPT + LOAD_SCRIPT, *arguments]))
    wait_pod_ready(kubectl, name)
    send_files(kubectl, name, {"picture": picture.read_bytes()})
    kubectl.run("exec", name, "--", PYTHON, "-c", "open('/tmp/go', 'w').close()")
    return Load(kubectl, name)
