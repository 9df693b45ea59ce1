"""Shows the state of a cluster. Changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local_cluster import background, control_plane, external, lifecycle, whole_cluster
from local_cluster import state as states
from local_cluster.api import ApiServer
from local_cluster.console import say
from local_cluster.processes import is_running
from local_cluster.runtime import present_images
from local_cluster.state import Mode, Profile

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_cluster.layout import Layout
    from local_cluster.state import State


def show(layout: Layout) -> bool:
    """Print the state of the cluster; returns whether everything is healthy."""
    state = states.load(layout.state)
    if state is None:
        say(f"No cluster in {layout.root}. Run `local-cluster up` to start one.")
        return False
    if state.mode != Mode.OWN:
        healthy = external.is_ready(layout)
        _line("Cluster", f"{state.mode}: context {state.context}")
        _line("API server", "ready" if healthy else "UNREACHABLE")
        _show_image_build(layout)
        _line("Kubeconfig", str(layout.kubeconfig))
        return healthy
    if not is_running(state.supervisor):
        say(
            f"The cluster in {layout.root} ended without `down`. Run `local-cluster up` to restart."
        )
        return False
    return _show_own(layout, state)


def _show_own(layout: Layout, state: State) -> bool:
    server = lifecycle.server_url(state)
    api = ApiServer(server, layout.pki)
    conditions: dict[str, Callable[[], bool]] = {"the API": lambda: api.is_ok("/readyz")}
    if state.profile == Profile.FULL:
        conditions |= whole_cluster.checks(state, api)
    else:
        conditions |= control_plane.checks(api)
    kind = "control plane and one node" if state.profile == Profile.FULL else "control plane only"
    _line("Cluster", f"local, {kind}, supervisor PID {state.supervisor and state.supervisor.pid}")
    _line("API server", server)
    healthy = True
    for what, holds in conditions.items():
        holding = holds()
        healthy = healthy and holding
        name = what.removeprefix("the ")
        _line(name[0].upper() + name[1:], "ready" if holding else "NOT ready")
    for name, text in lifecycle.read_programs(layout).items():
        healthy = healthy and text == "running"
        _line(f"  {name}", text)
    if state.profile == Profile.FULL and state.supervisor is not None:
        for image in sorted(present_images(state.supervisor)):
            if "@" not in image and not image.startswith("sha256:"):
                _line("Image", image)
    _show_image_build(layout)
    _line("Kubeconfig", str(layout.kubeconfig))
    _line("Logs", str(layout.logs))
    return healthy


def _show_image_build(layout: Layout) -> None:
    if text := background.describe(layout):
        _line("Image build", text)


def _line(name: str, text: str) -> None:
    say(f"{name:<26}{text}")
