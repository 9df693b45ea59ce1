"""Clusters that we do not run ourselves: kind in Docker, or an existing kubeconfig context.

A kind cluster is deleted by `down` if this folder's `up` created it. A context is used as it is,
and never changed or deleted.
"""

from __future__ import annotations

import dataclasses
import shutil
from typing import TYPE_CHECKING

import yaml

from local_cluster import state as states
from local_cluster.addons import kind_metrics_objects
from local_cluster.builders import docker_works
from local_cluster.console import say
from local_cluster.errors import ClusterError, CommandError
from local_cluster.kubectl import kubectl_command
from local_cluster.pki import write_private
from local_cluster.processes import run
from local_cluster.state import Mode, Profile, State

if TYPE_CHECKING:
    from local_cluster.layout import Layout

KIND_WAIT = "180s"


def kind_is_usable() -> bool:
    """Whether kind is installed and the Docker daemon is reachable."""
    return shutil.which("kind") is not None and docker_works()


def use_context(layout: Layout, context: str) -> State:
    """Use a context of the user's kubeconfig.

    Raises:
        ClusterError: the context does not exist, or its cluster is unreachable.
    """
    kubectl = kubectl_command()
    flags = ["config", "view", "--minify", "--flatten", "--context", context]
    try:
        text = run([*kubectl, *flags])
    except CommandError as error:
        message = f"context {context!r}: {error.output.strip()}; see `kubectl config get-contexts`"
        raise ClusterError(message) from error
    configuration = yaml.safe_load(text)
    configuration["current-context"] = context
    layout.root.mkdir(parents=True, exist_ok=True)
    write_private(layout.kubeconfig, yaml.safe_dump(configuration).encode())
    try:
        run([*kubectl, "--kubeconfig", str(layout.kubeconfig), "get", "--raw", "/version"])
    except CommandError as error:
        layout.kubeconfig.unlink()
        message = f"the cluster of context {context!r} is unreachable: {error.output.strip()}"
        raise ClusterError(message) from error
    state = State(Mode.CONTEXT, Profile.FULL, layout.cluster_id, context=context, created=False)
    states.save(layout.state, state)
    say(f"Using the cluster of context {context!r}; `down` does not change it")
    return state


def create_kind(layout: Layout) -> State:
    """Create a kind cluster named after the folder, with metrics-server.

    Raises:
        ClusterError: kind failed; the cluster was removed.
    """
    name = f"iop-{layout.cluster_id}"
    state = State(Mode.KIND, Profile.FULL, layout.cluster_id, context=f"kind-{name}")
    existing = run(["kind", "get", "clusters"]).split()
    states.save(layout.state, dataclasses.replace(state, created=name not in existing))
    if name not in existing:
        say(f"Creating the kind cluster {name}")
        create = ["kind", "create", "cluster", "--name", name, "--wait", KIND_WAIT]
        run([*create, "--kubeconfig", str(layout.kubeconfig)])
    else:
        run(
            ["kind", "export", "kubeconfig", "--name", name, "--kubeconfig", str(layout.kubeconfig)]
        )
    manifests = yaml.safe_dump_all(kind_metrics_objects())
    command = ["--kubeconfig", str(layout.kubeconfig), "apply", "--server-side", "-f", "-"]
    run([*kubectl_command(), *command], stdin=manifests)
    return state


def release(layout: Layout, state: State) -> None:
    """Stop using a cluster; delete it if it is a kind cluster that we created."""
    if state.mode == Mode.KIND and state.created:
        run(["kind", "delete", "cluster", "--name", state.context.removeprefix("kind-")])
        say(f"The cluster {state.context} is deleted.")
    else:
        say(f"The cluster of context {state.context!r} is unchanged.")
    for file in (layout.kubeconfig, layout.images, layout.state):
        file.unlink(missing_ok=True)


def is_ready(layout: Layout) -> bool:
    """Whether the cluster's API server is ready."""
    kubectl = [*kubectl_command(), "--kubeconfig", str(layout.kubeconfig)]
    try:
        run([*kubectl, "get", "--raw", "/readyz", "--request-timeout=10s"])
    except CommandError:
        return False
    return True
