"""Where a cluster keeps its files, and what it calls its devices.

Every name is derived from the cluster's folder, so that whatever an interrupted run left behind
can be found again without any record of it. Pure, except for reading the environment.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

DEFAULT_FOLDER = Path(".cluster")


def cache_folder() -> Path:
    """The folder for what is costly to make and shared by all clones of one user."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "inference-operator"


def package_folder() -> Path:
    """The `deploy/local-cluster` folder, which holds the Go module."""
    return Path(__file__).resolve().parent.parent


def project_folder() -> Path:
    """The root of the clone."""
    return package_folder().parent.parent


@dataclass(frozen=True)
class Layout:
    """The files of one cluster, all below one folder that git ignores.

    Attributes:
        root: absolute path of the cluster's folder.
    """

    root: Path

    @cached_property
    def cluster_id(self) -> str:
        """Eight hex digits, the same for the same folder: short enough for a device name."""
        return hashlib.sha256(str(self.root).encode()).hexdigest()[:8]

    @property
    def device(self) -> str:
        """Name of the machine's end of the cable to the cluster, and of its firewall table."""
        return f"iop-{self.cluster_id}"

    @property
    def cgroup(self) -> str:
        """Name of the control group that all pods of this cluster are below."""
        return f"iop-{self.cluster_id}"

    @property
    def state(self) -> Path:
        """What runs, so that it can be found and stopped."""
        return self.root / "state.json"

    @property
    def plan(self) -> Path:
        """What the supervisor starts."""
        return self.root / "plan.json"

    @property
    def programs(self) -> Path:
        """What the supervisor says of each program: running, or ended and how."""
        return self.root / "programs.json"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's way in; works from the machine."""
        return self.root / "kubeconfig"

    @property
    def images(self) -> Path:
        """The references of the images that were built last."""
        return self.root / "images.json"

    @property
    def logs(self) -> Path:
        """One log per program."""
        return self.root / "logs"

    @property
    def pki(self) -> Path:
        """Certificates and private keys."""
        return self.root / "pki"

    @property
    def config(self) -> Path:
        """Rendered configuration of the programs."""
        return self.root / "config"

    @property
    def data(self) -> Path:
        """What the programs write: etcd, images, volumes."""
        return self.root / "data"


def layout_of(folder: Path) -> Layout:
    """The layout of the cluster that lives in a folder (which need not exist yet)."""
    return Layout(folder.expanduser().resolve())
