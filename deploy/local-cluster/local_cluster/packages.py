"""Checks the machine and installs missing packages on Debian and Ubuntu.

The packages are the distribution's. containerd's system service is neither started nor enabled:
each cluster starts its own containerd.
"""

from __future__ import annotations

import os
import platform
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from local_cluster.console import say
from local_cluster.errors import ClusterError, CommandError, UnsuitableMachineError
from local_cluster.processes import run

if TYPE_CHECKING:
    from collections.abc import Iterator

# Folders of Debian's package and of the upstream releases.
CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
POLICY = Path("/usr/sbin/policy-rc.d")


@dataclass(frozen=True)
class Requirement:
    """A Debian package, and the files that show whether it is installed.

    Attributes:
        package: name of the package.
        commands: commands that must be on PATH.
        plugins: CNI plugins that must be in one of their folders.
    """

    package: str
    commands: tuple[str, ...] = ()
    plugins: tuple[str, ...] = ()

    def is_met(self) -> bool:
        """Whether all commands and plugins are installed."""
        if any(shutil.which(command) is None for command in self.commands):
            return False
        return not self.plugins or cni_folder(self.plugins) is not None


NODE_REQUIREMENTS = (
    Requirement("containerd", ("containerd", "ctr", "containerd-shim-runc-v2")),
    Requirement("runc", ("runc",)),
    Requirement(
        "containernetworking-plugins", plugins=("ptp", "host-local", "portmap", "loopback")
    ),
    Requirement("iptables", ("iptables",)),
    Requirement("nftables", ("nft",)),
    Requirement("iproute2", ("ip",)),
    Requirement("util-linux", ("unshare", "nsenter")),
    Requirement("mount", ("mount",)),
)
IMAGE_REQUIREMENTS = (
    Requirement("buildah", ("buildah",)),
    Requirement("mmdebstrap", ("mmdebstrap",)),
)


def cni_folder(plugins: tuple[str, ...]) -> Path | None:
    """The folder with all of these CNI plugins, or None."""
    for folder in CNI_FOLDERS:
        if all((folder / plugin).exists() for plugin in plugins):
            return folder
    return None


def check_machine() -> None:
    """Check that this machine can run a node.

    Raises:
        UnsuitableMachineError: it cannot; the message lists the alternatives.
    """
    alternatives = (
        "Alternatives: install Docker and kind and run this command again, or use an existing "
        "cluster with CONTEXT=<kubeconfig context>. For the Kubernetes API without pods, run "
        "`local-cluster up --control-plane-only`, which needs no root"
    )
    if platform.system() != "Linux":
        message = f"the local cluster needs Linux; this is {platform.system()}. {alternatives}"
        raise UnsuitableMachineError(message)
    if os.geteuid() != 0:
        packages = " ".join(requirement.package for requirement in NODE_REQUIREMENTS)
        message = (
            f"the local cluster needs root for namespaces, mounts and network devices. "
            f"Run this command as root. It uses the Debian packages {packages}. {alternatives}"
        )
        raise UnsuitableMachineError(message)


def ensure(requirements: tuple[Requirement, ...]) -> None:
    """Install missing packages.

    Raises:
        UnsuitableMachineError: packages are missing and cannot be installed.
    """
    missing = [r.package for r in requirements if not r.is_met()]
    if not missing:
        return
    names = " ".join(missing)
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        message = f"install these packages first (Debian names): {names}"
        raise UnsuitableMachineError(message)
    say(f"Installing Debian packages: {names}")
    with _no_services():
        _install(missing)
    still = [r.package for r in requirements if not r.is_met()]
    if still:
        message = f"the packages were installed, but their commands are missing: {' '.join(still)}"
        raise UnsuitableMachineError(message)


def _install(packages: list[str]) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # Wait for another installation to finish.
    apt = ["apt-get", "--quiet", "--yes", "-o", "DPkg::Lock::Timeout=300"]
    install = [*apt, "install", "--no-install-recommends", *packages]
    refused = ""
    try:
        run([*apt, "update"], env=environment)
    except CommandError as error:
        # A broken apt source is common and may not matter for these packages.
        refused = str(error)
    try:
        run(install, env=environment)
    except CommandError as error:
        message = "\n".join(filter(None, ("cannot install the packages", refused, str(error))))
        raise UnsuitableMachineError(message) from error


@contextmanager
def _no_services() -> Iterator[None]:
    """Keep packages from starting services (policy-rc.d) and from enabling them."""
    had_containerd = shutil.which("containerd") is not None
    created = False
    if not POLICY.exists():
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
        created = True
    try:
        yield
    finally:
        if created:
            POLICY.unlink(missing_ok=True)
        if not had_containerd and Path("/run/systemd/system").is_dir():
            _disable("containerd.service")


def _disable(unit: str) -> None:
    try:
        run(["systemctl", "disable", "--quiet", unit])
    except ClusterError as error:
        say(f"Note: cannot disable {unit}, which its package enabled: {error}")
