"""The record of what runs: enough to find it, to stop it and to tell it from a stranger.

Written before anything is started, and again as things come up, so that no interruption leaves
something that nobody remembers. It holds no secrets.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from local_cluster.errors import ClusterError
from local_cluster.processes import ProcessIdentity

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 1


class Mode(StrEnum):
    """Whose cluster it is."""

    OWN = "own"
    KIND = "kind"
    CONTEXT = "context"


class Profile(StrEnum):
    """How much of a cluster of our own is started."""

    FULL = "full"
    CONTROL_PLANE = "control-plane"


@dataclass(frozen=True)
class State:
    """One cluster, as its folder remembers it.

    Attributes:
        mode: ours, kind's, or somebody's context that we only use.
        profile: with a node, or the API alone.
        cluster_id: the id that its devices and control groups are named by.
        supervisor: the process all others are below; None until it is started.
        network: the addresses, by name, `block` being the cluster's range; empty without a node.
        snapshotter: containerd's way to stack layers; empty without a node.
        ports: TCP ports on loopback, by program; empty with a node.
        context: kubeconfig context, for kind and for a context of the user's.
        revision: of this package, when the cluster was started.
        created: whether this folder's `up` made the cluster (only then `down` deletes it).
    """

    mode: Mode
    profile: Profile
    cluster_id: str
    supervisor: ProcessIdentity | None = None
    network: dict[str, str] = field(default_factory=dict)
    snapshotter: str = ""
    ports: dict[str, int] = field(default_factory=dict)
    context: str = ""
    revision: str = ""
    created: bool = True


def dump(state: State) -> str:
    """The state as JSON text."""
    return json.dumps({"format": FORMAT, **dataclasses.asdict(state)}, indent=2) + "\n"


def parse(text: str) -> State:
    """Read JSON text back.

    Raises:
        ValueError: the text is not a state that this version wrote.
    """
    record = json.loads(text)
    if not isinstance(record, dict) or record.pop("format", None) != FORMAT:
        message = f"not a state of format {FORMAT}"
        raise ValueError(message)
    supervisor = record.pop("supervisor", None)
    try:
        return State(
            mode=Mode(record.pop("mode")),
            profile=Profile(record.pop("profile")),
            supervisor=ProcessIdentity(**supervisor) if supervisor else None,
            **record,
        )
    except (KeyError, TypeError) as error:
        raise ValueError(str(error)) from error


def load(path: Path) -> State | None:
    """The recorded state, or None when nothing was recorded.

    Raises:
        ClusterError: the file cannot be read as a state.
    """
    try:
        text = path.read_text()
    except FileNotFoundError:
        return None
    try:
        return parse(text)
    except ValueError as error:
        message = (
            f"{path} cannot be read ({error}). If a cluster of another version runs, stop it with "
            f"that version; otherwise delete the file and run the command again"
        )
        raise ClusterError(message) from error


def save(path: Path, state: State) -> None:
    """Write the state in one step, so that a reader sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(dump(state))
    temporary.replace(path)
