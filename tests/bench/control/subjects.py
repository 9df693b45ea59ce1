"""How each operator is started; nothing is measured here."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from bench import installs, paths
from bench.control.objects import NAMESPACE, children
from bench.processes import Running

OURS = "ours"
NAIVE = "kopf, synchronous handlers"
BARE = "bare server-side apply"


def ours(kubeconfig: Path, port: int, resync_seconds: float = 600.0) -> Running:
    """This project's operator as it is deployed, but as a process of this machine."""
    return Running(
        [sys.executable, "-m", "inference_operator", "run"],
        paths.cache("logs", "operator-ours.log"),
        {
            "KUBECONFIG": str(kubeconfig),
            "INFERENCE_OPERATOR_HEALTH_PORT": str(port),
            "INFERENCE_OPERATOR_RESYNC_SECONDS": str(resync_seconds),
        },
    )


def naive(kubeconfig: Path) -> Running:
    """A minimal kopf operator with synchronous handlers."""
    described = paths.cache("operator", "children.json")
    described.write_text(json.dumps(list(children(0))), encoding="utf-8")
    python = installs.python("kopf")
    return Running(
        [
            *(str(python), "-m", "kopf", "run", "--namespace", NAMESPACE, "--log-format", "plain"),
            *("-m", "bench.peers.naive_operator"),
        ],
        paths.cache("logs", "operator-naive.log"),
        {
            "KUBECONFIG": str(kubeconfig),
            "BENCH_CHILDREN": str(described),
            "PYTHONPATH": str(paths.HERE.parent),
        },
    )
