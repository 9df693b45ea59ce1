"""The tools that build images: Docker, or buildah, which needs no daemon."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from local_cluster.base_image import ensure_base
from local_cluster.console import Progress
from local_cluster.errors import ClusterError
from local_cluster.follow import follow
from local_cluster.layout import cache_folder
from local_cluster.processes import run

if TYPE_CHECKING:
    from collections.abc import Iterator

BASE_REPOSITORY = "localhost/inference-operator-base"
KEPT_BASES = 2
PUBLIC_BASE = "python:3.11-slim-bookworm"
AUTHORITIES = Path("/etc/ssl/certs")
BUNDLE = AUTHORITIES / "ca-certificates.crt"
# pip settings about the package index that builds inherit from this machine.
PIP_SETTINGS = (
    "index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "retries",
)  # fmt: skip


class Builder(Protocol):
    """Builds images."""

    def base(self, *, refresh: bool) -> str:
        """Identity of the base image, part of every tag's digest."""

    def has(self, reference: str) -> bool:
        """Whether the image has been built."""

    def build(self, reference: str, context: Path, arguments: dict[str, str]) -> None:
        """Build the Dockerfile of a context folder, with build arguments."""

    def archive_command(self, reference: str) -> list[str]:
        """A command that writes an image to standard output in the format of `docker save`."""

    def push(self, reference: str, target: str) -> None:
        """Push an image to a registry under another reference."""


class DockerBuilder:
    """Docker, with the public base image."""

    def base(self, *, refresh: bool) -> str:
        """Pull a newer base image if requested; its identity is its name."""
        if refresh:
            _follow(["docker", "pull", PUBLIC_BASE])
        return PUBLIC_BASE

    def has(self, reference: str) -> bool:
        """Whether the Docker daemon has the image."""
        try:
            run(["docker", "image", "inspect", reference])
        except ClusterError:
            return False
        return True

    def build(self, reference: str, context: Path, arguments: dict[str, str]) -> None:
        """Build with the daemon's own cache."""
        flags = [f"--build-arg={name}={value}" for name, value in arguments.items()]
        _follow(["docker", "build", "--tag", reference, *flags, str(context)])

    def archive_command(self, reference: str) -> list[str]:
        """A command that writes an image to standard output."""
        return ["docker", "save", reference]

    def push(self, reference: str, target: str) -> None:
        """Tag and push."""
        run(["docker", "tag", reference, target])
        _follow(["docker", "push", target])


class BuildahBuilder:
    """buildah as root, with our own base image and a storage in the cache folder.

    Each call runs in a separate mount namespace, so no mount outlives it.
    """

    def __init__(self, run_root: Path) -> None:
        """Take an empty folder for buildah's run-time state."""
        self._run_root = run_root
        self._root = cache_folder() / "containers"
        self._base = ""
        # Working containers of a killed build.
        run(self._command("rm", "--all"))

    def _command(self, *arguments: str) -> list[str]:
        return [
            "unshare", "--mount", "buildah", "--root", str(self._root),
            "--runroot", str(self._run_root), "--storage-driver", "overlay", *arguments,
        ]  # fmt: skip

    def base(self, *, refresh: bool) -> str:
        """Ensure that the base image exists; its identity is the digest of its content."""
        archive = ensure_base(refresh=refresh)
        self._base = f"{BASE_REPOSITORY}:{archive.digest[:12]}"
        if not self.has(self._base):
            with tempfile.TemporaryDirectory(dir=cache_folder()) as folder:
                context = Path(folder)
                os.link(archive.path, context / "base.tar")
                lines = ["FROM scratch", "ADD base.tar /", 'ENV LANG="C.UTF-8"', 'CMD ["python3"]']
                (context / "Dockerfile").write_text("\n".join(lines) + "\n")
                flags = ("--isolation", "chroot", "--quiet", "--tag", self._base)
                run(self._command("bud", *flags, str(context)))
            for old in self.references(BASE_REPOSITORY)[KEPT_BASES:]:
                self.remove(old)
        return archive.digest

    def has(self, reference: str) -> bool:
        """Whether the storage has the image."""
        try:
            run(self._command("inspect", "--type", "image", reference))
        except ClusterError:
            return False
        return True

    def build(self, reference: str, context: Path, arguments: dict[str, str]) -> None:
        """Build with cached layers; pip inside the build uses the machine's settings."""
        with _machine_settings() as volumes:
            settings = {"BASE_IMAGE": self._base, **arguments}
            flags = [f"--build-arg={name}={value}" for name, value in settings.items()]
            flags += [f"--volume={volume}" for volume in volumes]
            _follow(
                self._command(
                    "bud", "--isolation", "chroot", "--network", "host", "--layers",
                    "--tag", reference, *flags, str(context),
                )
            )  # fmt: skip

    def archive_command(self, reference: str) -> list[str]:
        """A command that writes an image to standard output, uncompressed."""
        return self._command(
            "push", "--quiet", reference, f"docker-archive:/dev/stdout:{reference}"
        )

    def push(self, reference: str, target: str) -> None:
        """Push under the other reference."""
        verify = f"--tls-verify={str(not is_on_loopback(target)).lower()}"
        _follow(self._command("push", verify, reference, f"docker://{target}"))

    def references(self, repository: str) -> list[str]:
        """Tagged images of a repository, newest first."""
        lines = run(
            self._command(
                "images", "--format", "{{.CreatedAtRaw}}|{{.Name}}:{{.Tag}}", "--no-trunc"
            )
        ).splitlines()
        dated = sorted((line.partition("|")[::2] for line in lines), reverse=True)
        return [name for _, name in dated if name.rpartition(":")[0] == repository]

    def remove(self, reference: str) -> None:
        """Delete an image and the layers that only it uses."""
        run(self._command("rmi", reference))


def pip_configuration(environment: dict[str, str], files: list[Path]) -> str:
    """A pip.conf with the machine's package index settings; the environment overrides files.

    Certificate paths are replaced by the path inside the build.
    """
    merged: dict[str, str] = {}
    for file in files:
        parser = configparser.RawConfigParser()
        parser.read(file)
        for section in ("global", "install"):
            if parser.has_section(section):
                merged |= dict(parser.items(section))
    for name in PIP_SETTINGS:
        value = environment.get(f"PIP_{name.upper().replace('-', '_')}")
        if value:
            merged[name] = value
    settings = {name: merged[name] for name in PIP_SETTINGS if name in merged}
    if "cert" in merged or "PIP_CERT" in environment:
        settings["cert"] = str(BUNDLE)
    lines = [f"{name} = {value}" for name, value in settings.items()]
    return "\n".join(["[global]", *lines]) + "\n"


def _pip_files() -> list[Path]:
    """Pip's configuration files, lowest precedence first."""
    home = Path.home()
    configured = os.environ.get("PIP_CONFIG_FILE")
    files = [Path("/etc/pip.conf"), home / ".pip/pip.conf", home / ".config/pip/pip.conf"]
    return files + ([Path(configured)] if configured else [])


@contextmanager
def _machine_settings() -> Iterator[list[str]]:
    """Volumes that give pip inside a build the machine's certificates and package index."""
    with tempfile.TemporaryDirectory() as folder:
        configuration = Path(folder) / "pip.conf"
        configuration.write_text(pip_configuration(dict(os.environ), _pip_files()))
        volumes = [f"{configuration}:/etc/pip.conf:ro"]
        if BUNDLE.exists():
            volumes.append(f"{AUTHORITIES}:{AUTHORITIES}:ro")
        yield volumes


def _follow(command: list[str]) -> None:
    """Run a build or push with progress, and log its output in the cache folder."""
    cache_folder().mkdir(parents=True, exist_ok=True)
    follow(command, cache_folder() / "images.log", Progress(), last_step)


def is_on_loopback(reference: str) -> bool:
    """Whether an image's registry is on loopback, where Docker does not require TLS either."""
    host = reference.partition("/")[0].partition(":")[0]
    return host == "localhost" or host.startswith("127.")


def last_step(lines: list[str]) -> str:
    """The current Dockerfile step, in one line."""
    steps = [line for line in lines if "STEP " in line or line.startswith("#")]
    return " ".join((steps or lines or ["starting"])[-1].split())[:90]


def docker_works() -> bool:
    """Whether a Docker daemon is reachable."""
    if shutil.which("docker") is None:
        return False
    try:
        result = subprocess.run(
            ["docker", "info", "--format", "{{.ServerVersion}}"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return result.returncode == 0 and bool(result.stdout.strip())
