"""The control groups that the cluster's pods live below, in cgroup v1 and v2 alike.

The kubelet is told to keep all pods below one group named after the cluster, so that two clusters
on a machine do not tidy up each other's pods, and so that nothing is left when one goes.
"""

from __future__ import annotations

from pathlib import Path

from local_cluster.errors import UnsuitableMachineError

ROOT = Path("/sys/fs/cgroup")
NEEDED = {"cpu", "cpuset", "memory", "pids"}


def hierarchies(root: Path = ROOT) -> list[Path]:
    """The mount points of all control group hierarchies: one for v2, one per controller for v1."""
    if (root / "cgroup.controllers").exists():
        return [root]
    if not root.is_dir():
        return []
    return [path for path in root.iterdir() if path.is_dir() and not path.is_symlink()]


def is_version_1(root: Path = ROOT) -> bool:
    """Whether the machine's controllers are in version 1 hierarchies."""
    return not (root / "cgroup.controllers").exists()


def folders(name: str, root: Path = ROOT) -> list[Path]:
    """Where the group exists."""
    return [path / name for path in hierarchies(root) if (path / name).is_dir()]


def create(name: str, root: Path = ROOT) -> None:
    """Make the group in every hierarchy, and hand it all controllers in version 2."""
    for hierarchy in hierarchies(root):
        (hierarchy / name).mkdir(exist_ok=True)
    if not is_version_1(root):
        for folder in (root, root / name):
            _hand_down(folder, (root / "cgroup.controllers").read_text().split())
        return
    for hierarchy in hierarchies(root):
        # A fresh cpuset group is empty and takes no process until it is told what it may use.
        for file in ("cpuset.cpus", "cpuset.mems"):
            if (hierarchy / file).exists():
                (hierarchy / name / file).write_text((hierarchy / file).read_text())


def _hand_down(folder: Path, controllers: list[str]) -> None:
    """Let the groups below a version 2 group use its controllers.

    Some machines hold one back (cpu, where real-time processes run); only those that the kubelet
    cannot do without must work.

    Raises:
        UnsuitableMachineError: one of those is held back, as in a container without its own groups.
    """
    file = folder / "cgroup.subtree_control"
    for controller in controllers:
        try:
            file.write_text(f"+{controller}")
        except OSError as error:
            if controller in NEEDED:
                message = (
                    f"the control group controller {controller!r} cannot be used below {folder} "
                    f"({error.strerror}): run this on the machine itself rather than in a "
                    f"container, or give the container control groups of its own"
                )
                raise UnsuitableMachineError(message) from error


def remove(name: str, root: Path = ROOT) -> bool:
    """Remove the group and all below it, innermost first; False while processes are in it."""
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
