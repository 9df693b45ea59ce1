"""Inputs and results of rollout decisions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from inference_operator.rollout.records import Refusal, Revision
from inference_operator.rollout.settings import RolloutSettings


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a pod of the newest revision does not serve.

    `decisive` means that waiting cannot help: it crashed repeatedly, or answered incorrectly.
    """

    reason: str
    message: str
    decisive: bool = False


@dataclass(frozen=True, slots=True)
class Side:
    """One Deployment as last observed.

    `revision` is the digest in its pod template. `complete` means that no pod of another template
    is left and all pods are ready. `progressed_at` is when its controller last saw progress
    (seconds since 1970; 0 if unknown).
    """

    revision: str
    desired: int = 1
    ready: int = 0
    complete: bool = False
    progressed_at: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """Observed state of a service.

    `failure` describes the pods of the newest revision. `busy_at` is when one of them last did slow
    work that the Deployment does not show: the current time during a download, or the time at which
    the download ended. `stable_fails` means that every pod of the stable side is stuck.
    """

    stable: Side | None = None
    canary: Side | None = None
    failure: Failure | None = None
    busy_at: int = 0
    stable_fails: bool = False


@dataclass(frozen=True, slots=True)
class Scale:
    """Number of replicas that the spec asks for; `minimum` 0 stops the service."""

    minimum: int = 1
    maximum: int = 1
    autoscaled: bool = False


class Phase(StrEnum):
    """What a rollout is doing."""

    STABLE = "Stable"
    UPDATING = "Updating"
    CANARY = "Canary"
    PROMOTING = "Promoting"
    ROLLED_BACK = "RolledBack"


@dataclass(frozen=True, slots=True)
class Plan:
    """The desired state of a rollout.

    `stable` and `canary` are digests; `canary` is empty when there is no canary. `minimum` is the
    lower bound for the stable side's autoscaler. `shared` means that the service's address routes
    to both sides. `weight` is the newest revision's intended share in percent. `wait` is the number
    of seconds until the plan changes by time alone, 0 if it does not.
    """

    revisions: tuple[Revision, ...]
    newest: str
    stable: str
    phase: Phase
    minimum: int
    canary: str = ""
    canary_replicas: int = 0
    canary_autoscaled: bool = False
    shared: bool = False
    weight: int = 100
    paused: bool = False
    wait: float = 0.0

    def revision(self, digest: str) -> Revision:
        """Return the revision with this digest.

        Raises:
            KeyError: The revision is not part of the plan.
        """
        return {one.digest: one for one in self.revisions}[digest]

    @property
    def refusal(self) -> Refusal | None:
        """Why the newest revision is refused, or None."""
        if self.phase is not Phase.ROLLED_BACK:
            return None
        return self.revision(self.newest).refusal


@dataclass(frozen=True, slots=True)
class Candidate:
    """The revision that the spec asks for, and the digest of the settings it is tried under."""

    digest: str
    packed: bytes
    attempt: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """All inputs of one decision."""

    known: dict[str, Revision]
    seen: Seen
    settings: RolloutSettings
    scale: Scale
    now: int

    def settle(self, newest: Revision) -> tuple[Revision, ...]:
        """Return all revisions, oldest first, with the updated record of the newest."""
        return tuple(sorted({**self.known, newest.digest: newest}.values(), key=_by_number))


def _by_number(revision: Revision) -> tuple[int, str]:
    return revision.number, revision.digest
