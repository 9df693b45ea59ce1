"""Paths and device names of a cluster.

Every name is derived from the cluster's folder, so whatever an interrupted run leaves behind can be
found without a record. Pure, except for reading the environment.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

DEFAULT_FOLDER = Path(".cluster")


def cache_folder() -> Path:
    """The cache for expensive builds, shared by all clones of one user."""
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
        """Name of the host's veth device and of the cluster's firewall table."""
        return f"iop-{self.cluster_id}"

    @property
    def cgroup(self) -> str:
        """Name of the control group that contains all pods of this cluster."""
        return f"iop-{self.cluster_id}"

    @property
    def state(self) -> Path:
        """Record of what was started, for finding and stopping it."""
        return self.root / "state.json"

    @property
    def plan(self) -> Path:
        """Programs for the supervisor to start."""
        return self.root / "plan.json"

    @property
    def programs(self) -> Path:
        """The supervisor's report per program: running, or how it ended."""
        return self.root / "programs.json"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig, for use on this machine."""
        return self.root / "kubeconfig"

    @property
    def images(self) -> Path:
        """References of the images that were built last."""
        return self.root / "images.json"

    @property
    def image_build(self) -> Path:
        """Record of the image build that was started in the background."""
        return self.root / "image-build.json"

    @property
    def image_build_result(self) -> Path:
        """Exit status of that build, once it has ended."""
        return self.root / "image-build.result"

    @property
    def image_build_log(self) -> Path:
        """Output of that build."""
        return self.logs / "images.log"

    @property
    def logs(self) -> Path:
        """Logs, one per program."""
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
        """Data of the programs: etcd, images, volumes."""
        return self.root / "data"


def layout_of(folder: Path) -> Layout:
    """The layout of the cluster that lives in a folder (which need not exist yet)."""
    return Layout(folder.expanduser().resolve())
