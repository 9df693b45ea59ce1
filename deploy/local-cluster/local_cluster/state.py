"""The record of a cluster: what is needed to find and stop it.

It is written before anything starts and updated as components start, so an interruption leaves
nothing that is not recorded. It contains no secrets.
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
    """Who runs the cluster."""

    OWN = "own"
    KIND = "kind"
    CONTEXT = "context"


class Profile(StrEnum):
    """What a local cluster consists of."""

    FULL = "full"
    CONTROL_PLANE = "control-plane"


@dataclass(frozen=True)
class State:
    """The record of one cluster.

    Attributes:
        mode: a local cluster, a kind cluster, or an existing context.
        profile: with a node, or the control plane only.
        cluster_id: ID in the names of its devices and control groups.
        supervisor: parent of all programs; None until it has started.
        network: addresses by name; `block` is the cluster's range. Empty without a node.
        snapshotter: containerd's snapshotter; empty without a node.
        ports: TCP ports on loopback by program; empty with a node.
        context: kubeconfig context, for kind and existing clusters.
        revision: revision of this package that started the cluster.
        created: whether `up` created the cluster; only then `down` deletes it.
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
    """Parse JSON text.

    Raises:
        ValueError: the text is not a state of this format.
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
    """The recorded state, or None if there is none.

    Raises:
        ClusterError: the file is not a valid state.
    """
    try:
        text = path.read_text()
    except FileNotFoundError:
        return None
    try:
        return parse(text)
    except ValueError as error:
        message = (
            f"{path} is invalid ({error}). If another version of the project started the cluster, "
            f"stop it with that version; otherwise delete the file and run the command again"
        )
        raise ClusterError(message) from error


def save(path: Path, state: State) -> None:
    """Write the state atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(dump(state))
    temporary.replace(path)
