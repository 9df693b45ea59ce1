"""From `kubectl apply` to Ready on the cluster of `make deploy`: how long, and where it goes.

`python -m bench.ready` applies the bundled detector some times in a namespace of its own, watches
what happens through kubectl, and prints a table of medians. The images must be on the node already:
pulling is the registry's time, not ours. Only the cluster of this folder is touched.
"""

from __future__ import annotations

import argparse
import json
import queue
import secrets
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime

from bench import paths
from support.isvc import KIND, inference_service
from support.kube import Kubectl

READY = '{.status.conditions[?(@.type=="Ready")].status}'
STARTED = "{.status.containerStatuses[0].state.running.startedAt}"
# What is watched, and the fields of a line.
WATCHES = {
    "service": (KIND, READY),
    "deployment": ("deployments", "{.metadata.name}"),
    "pod": (
        "pods",
        f"{{.metadata.name}},{{.spec.nodeName}},{STARTED},{READY}",
    ),
}
STEPS = (
    "apply returned", "Deployment is there", "pod is there", "pod has a node",
    "container runs", "pod is ready", "service is Ready",
)  # fmt: skip
# Printed by the container's own Python: when process 1 started, in seconds since 1970.
BIRTH = """
import os, time
fields = open('/proc/1/stat').read().rpartition(')')[2].split()
up = float(open('/proc/uptime').read().split()[0])
print(time.time() - up + int(fields[19]) / os.sysconf('SC_CLK_TCK'))
"""
PATIENCE_SECONDS = 120.0


def reached(kind: str, line: str) -> list[str]:
    """The steps that a line of a watch shows to have been reached."""
    if kind == "deployment":
        return ["Deployment is there"] if line else []
    if kind == "service":
        return ["service is Ready"] if line == "True" else []
    _, node, started, ready = line.split(",")
    shown = {"pod has a node": node, "container runs": started, "pod is ready": ready == "True"}
    return ["pod is there", *(step for step, is_so in shown.items() if is_so)]


def summary(rounds: Sequence[Mapping[str, float]]) -> list[tuple[str, float, float]]:
    """Step, median seconds since the start, median seconds since the step before."""
    rows = []
    for step, before in zip(STEPS, (None, *STEPS), strict=False):
        since = [found[step] - (found[before] if before else 0.0) for found in rounds]
        rows.append((step, statistics.median(f[step] for f in rounds), statistics.median(since)))
    return rows


@contextmanager
def watched(kubectl: Kubectl, kind: str, news: queue.Queue[tuple[str, str]]) -> Iterator[None]:
    """Puts every line of a watch into a queue."""
    resource, fields = WATCHES[kind]
    output = f"jsonpath={fields}{{'\\n'}}"
    command = kubectl.command("get", resource, "--watch", "-o", output)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=kubectl.environment
    ) as process:

        def read() -> None:
            for line in process.stdout or ():
                news.put((kind, line.strip()))

        reader = threading.Thread(target=read)
        reader.start()
        try:
            yield
        finally:
            process.terminate()
            reader.join()


def one_round(kubectl: Kubectl, name: str) -> dict[str, float]:
    """Seconds from the start of `kubectl apply` to each step.

    Raises:
        SystemExit: not Ready in time; the message says how far it came.
    """
    found: dict[str, float] = {}
    news: queue.Queue[tuple[str, str]] = queue.Queue()
    with ExitStack() as stack:
        for kind in WATCHES:
            stack.enter_context(watched(kubectl, kind, news))
        begin = time.monotonic()
        kubectl.apply(inference_service(name))
        found["apply returned"] = time.monotonic() - begin
        while "service is Ready" not in found:
            try:
                kind, line = news.get(timeout=PATIENCE_SECONDS)
            except queue.Empty:
                raise SystemExit(f"{name}: not Ready in time; it came to {found}") from None
            for step in reached(kind, line):
                found.setdefault(step, time.monotonic() - begin)
    return found


def container_seconds(kubectl: Kubectl) -> float:
    """Seconds from the start of the container's process to its first inference (the warm-up)."""
    (pod,) = kubectl.objects("pods")
    name = pod["metadata"]["name"]
    born = float(kubectl.run("exec", name, "--", "/opt/venv/bin/python", "-c", BIRTH))
    lines = kubectl.run("logs", name).splitlines()
    logged = [json.loads(line) for line in lines if line.startswith("{")]
    serving = next(line for line in logged if line["message"].startswith("serving "))
    return datetime.fromisoformat(serving["time"]).timestamp() - born


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.ready", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often (%(default)s)")
    rounds = parser.parse_args(argv).rounds
    kubeconfig = paths.ROOT / ".cluster" / "kubeconfig"
    if not kubeconfig.is_file():
        print("bench.ready: there is no cluster: run `make deploy` first", file=sys.stderr)
        return 1
    cluster = Kubectl(kubeconfig)
    found, containers = [], []
    for _ in range(rounds):
        namespace = f"ready-{secrets.token_hex(3)}"
        cluster.run("create", "namespace", namespace)
        kubectl = cluster.in_namespace(namespace)
        try:
            found.append(one_round(kubectl, "detector"))
            containers.append(container_seconds(kubectl))
        finally:
            cluster.run("delete", "namespace", namespace)
    print(f"| step | since `kubectl apply`, s | of it, s |\n|---|---|---|\n{table(found)}")
    print(
        "\ncontainer's process start to its first inference: "
        f"{statistics.median(containers):.2f} s (median of {rounds})"
    )
    return 0


def table(found: Sequence[Mapping[str, float]]) -> str:
    """Rows of a Markdown table."""
    return "\n".join(f"| {step} | {at:.2f} | {took:.2f} |" for step, at, took in summary(found))


if __name__ == "__main__":
    sys.exit(main())
