"""The cluster's control group, in cgroup v1 and v2.

The kubelet keeps all pods below one group named after the cluster, so that two clusters on a
machine do not clean up each other's pods and nothing remains after `down`.
"""

from __future__ import annotations

from pathlib import Path

from local_cluster.errors import UnsuitableMachineError

ROOT = Path("/sys/fs/cgroup")
NEEDED = {"cpu", "cpuset", "memory", "pids"}


def hierarchies(root: Path = ROOT) -> list[Path]:
    """Mount points of all hierarchies: one for v2, one per controller for v1."""
    if (root / "cgroup.controllers").exists():
        return [root]
    if not root.is_dir():
        return []
    return [path for path in root.iterdir() if path.is_dir() and not path.is_symlink()]


def is_version_1(root: Path = ROOT) -> bool:
    """Whether the machine uses cgroup v1."""
    return not (root / "cgroup.controllers").exists()


def folders(name: str, root: Path = ROOT) -> list[Path]:
    """Folders of the group in all hierarchies."""
    return [path / name for path in hierarchies(root) if (path / name).is_dir()]


def create(name: str, root: Path = ROOT) -> None:
    """Create the group in every hierarchy; with v2, enable its controllers."""
    for hierarchy in hierarchies(root):
        (hierarchy / name).mkdir(exist_ok=True)
    if not is_version_1(root):
        for folder in (root, root / name):
            _hand_down(folder, (root / "cgroup.controllers").read_text().split())
        return
    for hierarchy in hierarchies(root):
        # A new cpuset group accepts no process until its CPUs and memory nodes are set.
        for file in ("cpuset.cpus", "cpuset.mems"):
            if (hierarchy / file).exists():
                (hierarchy / name / file).write_text((hierarchy / file).read_text())


def _hand_down(folder: Path, controllers: list[str]) -> None:
    """Enable the controllers of a v2 group for the groups below it.

    Some machines withhold one (cpu, where real-time processes run). Only those that the kubelet
    needs are required.

    Raises:
        UnsuitableMachineError: a required controller is unavailable.
    """
    file = folder / "cgroup.subtree_control"
    for controller in controllers:
        try:
            file.write_text(f"+{controller}")
        except OSError as error:
            if controller in NEEDED:
                message = (
                    f"the cgroup controller {controller!r} is unavailable below {folder} "
                    f"({error.strerror}): run this on the host instead of in a container, or give "
                    f"the container its own cgroup namespace"
                )
                raise UnsuitableMachineError(message) from error


def remove(name: str, root: Path = ROOT) -> bool:
    """Remove the group and all groups below it; False while they contain processes."""
    for folder in folders(name, root):
        below = sorted((p for p in folder.rglob("*") if p.is_dir()), key=lambda p: len(p.parts))
        for path in [*reversed(below), folder]:
            try:
                path.rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                return False
    return True
