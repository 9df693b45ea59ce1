"""Properties of this machine that the node's configuration depends on. Read-only."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from local_cluster.errors import ClusterError
from local_cluster.processes import run

CAP_SYS_RESOURCE = 24
RESOLVER_FILES = (Path("/run/systemd/resolve/resolv.conf"), Path("/etc/resolv.conf"))
DEFAULT_MTU = 1500


def has_capability(status: str, number: int) -> bool:
    """Whether `/proc/PID/status` lists a capability in the effective set."""
    for line in status.splitlines():
        name, _, value = line.partition(":")
        if name == "CapEff":
            return bool(int(value, 16) >> number & 1)
    return False


def may_raise_oom_score() -> bool:
    """Whether root may lower oom_score_adj, which containers often forbid."""
    return has_capability(Path("/proc/self/status").read_text(), CAP_SYS_RESOURCE)


def outgoing_mtu() -> int:
    """MTU of the default route's device, in bytes."""
    routes = json.loads(run(["ip", "-4", "-json", "route", "show", "default"]) or "[]")
    for route in routes:
        file = Path("/sys/class/net") / route.get("dev", "") / "mtu"
        if file.is_file():
            return int(file.read_text())
    return DEFAULT_MTU


def resolver_text() -> str:
    """The machine's resolv.conf; with systemd-resolved, the one with the upstream servers."""
    for file in RESOLVER_FILES:
        if file.is_file():
            return file.read_text()
    return ""


def choose_snapshotter(folder: Path) -> str:
    """Containerd's snapshotter for a folder, found by trying to mount an overlay there.

    Overlays do not work on every file system, for example on another overlay (in a container) or on
    most network file systems.
    """
    trial = Path(tempfile.mkdtemp(dir=folder, prefix="overlay-"))
    try:
        parts = [trial / name for name in ("lower", "upper", "work", "merged")]
        for part in parts:
            part.mkdir()
        options = "lowerdir={},upperdir={},workdir={}".format(*parts[:3])
        mount = ["mount", "-t", "overlay", "overlay", "-o", options, str(parts[3])]
        run(["unshare", "--mount", *mount])
    except ClusterError:
        return "native"
    else:
        return "overlayfs"
    finally:
        shutil.rmtree(trial, ignore_errors=True)
