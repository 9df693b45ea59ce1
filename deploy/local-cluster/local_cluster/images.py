"""Builds the project's images when their content changes and makes them available to the cluster.

A local cluster imports them, kind loads them, any other cluster pulls them from a registry. The
references are recorded in `images.json` in the cluster's folder: `{"operator": "REFERENCE",
"model-server": ..., "model-server-tensorflow": ...}`.
"""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from local_cluster.build import build_lock
from local_cluster.builders import BuildahBuilder, Builder, DockerBuilder, docker_works
from local_cluster.console import Progress, elapsed, say
from local_cluster.context import content_digest, context_files, package_version, stage
from local_cluster.errors import ClusterError, UnsuitableMachineError
from local_cluster.layout import cache_folder, project_folder
from local_cluster.packages import IMAGE_REQUIREMENTS, ensure
from local_cluster.processes import is_running, run
from local_cluster.runtime import import_image, present_images
from local_cluster.state import Mode, Profile, State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local_cluster.layout import Layout

REPOSITORY = "inference-operator.dev"
KEPT_BUILDS = 6


@dataclass(frozen=True)
class Image:
    """One image of the project.

    Attributes:
        name: its key in `images.json`.
        repository: its repository, without registry and tag.
        folder: its build context, relative to the project.
        suffix: suffix of its tag.
        arguments: build arguments of its Dockerfile.
    """

    name: str
    repository: str
    folder: str
    suffix: str = ""
    arguments: tuple[tuple[str, str], ...] = ()


OPERATOR = Image("operator", "operator", "operator")
LITERT = Image("model-server", "model-server", "model-server", "", (("VARIANT", "litert"),))
TENSORFLOW = Image(
    "model-server-tensorflow",
    "model-server",
    "model-server",
    "-tensorflow",
    (("VARIANT", "tensorflow"),),
)
VARIANTS: dict[str, tuple[Image, ...]] = {
    "litert": (OPERATOR, LITERT),
    "tensorflow": (TENSORFLOW,),
    "all": (OPERATOR, LITERT, TENSORFLOW),
}


def repository_of(image: Image) -> str:
    """The name of an image without its tag."""
    return f"{REPOSITORY}/{image.repository}"


def reference_of(image: Image, version: str, digest: str) -> str:
    """The reference of an image: `REPOSITORY/NAME:VERSION-DIGEST[SUFFIX]`."""
    return f"{repository_of(image)}:{version}-{digest}{image.suffix}"


def superseded(image: Image, references: list[str]) -> list[str]:
    """The old builds of an image to delete, given its repository's references, newest first.

    Images that differ in their suffix are counted separately: builds of the small model server must
    not evict the layers of the large one.
    """
    others = [i.suffix for i in VARIANTS["all"] if i.suffix and i.suffix != image.suffix]
    own = [
        reference
        for reference in references
        if reference.endswith(image.suffix) and not any(reference.endswith(o) for o in others)
    ]
    return own[KEPT_BUILDS:]


@contextmanager
def builder_of_machine() -> Iterator[Builder]:
    """Docker where it works, else buildah, which is installed if necessary.

    Raises:
        UnsuitableMachineError: neither Docker nor buildah can be used.
    """
    with build_lock(cache_folder() / "containers"):
        if docker_works():
            yield DockerBuilder()
            return
        if os.geteuid() != 0:
            message = (
                "building images needs Docker, or root to use buildah and mmdebstrap: "
                "start Docker, or run this command as root"
            )
            raise UnsuitableMachineError(message)
        ensure(IMAGE_REQUIREMENTS)
        with tempfile.TemporaryDirectory() as folder:
            yield BuildahBuilder(Path(folder))


def build_images(images: tuple[Image, ...], builder: Builder, *, refresh: bool) -> dict[str, str]:
    """Build the images that are missing; returns their references by name.

    Raises:
        ClusterError: a folder has no Dockerfile, or a build failed.
    """
    base = builder.base(refresh=refresh)
    return {image.name: _build(image, base, builder) for image in images}


def _build(image: Image, base: str, builder: Builder) -> str:
    folder = project_folder() / image.folder
    if not (folder / "Dockerfile").is_file():
        message = f"{folder}/Dockerfile is missing; cannot build the image {image.name}"
        raise ClusterError(message)
    names = context_files(folder)
    # Both variants of a package share the digest, so that one tag follows from the other.
    digest = content_digest(folder, names, base)
    reference = reference_of(image, package_version(folder), digest)
    if builder.has(reference):
        return reference
    say(f"Building {reference}")
    progress = Progress()
    with tempfile.TemporaryDirectory() as target:
        stage(folder, names, Path(target))
        builder.build(reference, Path(target), dict(image.arguments))
    say(f"Built {reference} in {elapsed(progress.seconds)}")
    return reference


def load_into_own(state: State, references: list[str], builder: Builder) -> None:
    """Import the images that the node does not have yet."""
    supervisor = state.supervisor
    if supervisor is None or not is_running(supervisor) or state.profile != Profile.FULL:
        message = "there is no running cluster with a node: run `local-cluster up` first"
        raise ClusterError(message)
    present = present_images(supervisor)
    for reference in references:
        if reference not in present:
            say(f"Loading {reference} into the cluster")
            import_image(supervisor, builder.archive_command(reference), state.snapshotter)


def load_into_kind(cluster: str, references: list[str]) -> None:
    """Load Docker's images into a kind cluster; kind skips those that its nodes have."""
    for reference in references:
        say(f"Loading {reference} into the kind cluster {cluster}")
        run(["kind", "load", "docker-image", "--name", cluster, reference])


def push_images(references: dict[str, str], registry: str, builder: Builder) -> dict[str, str]:
    """Push images to a registry; returns their references there."""
    pushed = {}
    for name, reference in references.items():
        pushed[name] = f"{registry.rstrip('/')}/{reference.partition('/')[2]}"
        say(f"Pushing {pushed[name]}")
        builder.push(reference, pushed[name])
    return pushed


def provide_images(
    layout: Layout, state: State | None, variant: str, *, registry: str, refresh: bool
) -> dict[str, str]:
    """Build a set of images and make them available to the cluster.

    Args:
        layout: the cluster's files.
        state: the recorded cluster; None to only build.
        variant: a key of `VARIANTS`.
        registry: registry to push to, such as `registry.example/team`; empty not to push.
        refresh: whether to rebuild or pull the base image.

    Returns:
        The reference of each image, by its name.
    """
    with builder_of_machine() as builder:
        references = build_images(VARIANTS[variant], builder, refresh=refresh)
        if registry:
            references = push_images(references, registry, builder)
        elif state is None:
            say("No cluster is running: the images are built but not loaded")
        elif state.mode == Mode.OWN:
            load_into_own(state, list(references.values()), builder)
        elif state.mode == Mode.KIND:
            load_into_kind(state.context.removeprefix("kind-"), list(references.values()))
        else:
            say("This cluster pulls its images: push them with --push REGISTRY")
        if isinstance(builder, BuildahBuilder):
            for image in VARIANTS[variant]:
                for reference in superseded(image, builder.references(repository_of(image))):
                    builder.remove(reference)
        _record(layout, references)
    return references


def _record(layout: Layout, references: dict[str, str]) -> None:
    """Update `images.json`, keeping the images that were not built this time."""
    known: dict[str, str] = {}
    if layout.images.exists():
        known = json.loads(layout.images.read_text())
    layout.root.mkdir(parents=True, exist_ok=True)
    layout.images.write_text(json.dumps({**known, **references}, indent=2) + "\n")
