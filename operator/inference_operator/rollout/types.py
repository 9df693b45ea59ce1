"""What a decision about a rollout is made from, and what it is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from inference_operator.rollout.records import Refusal, Revision
from inference_operator.rollout.settings import RolloutSettings


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a pod of the newest revision does not serve.

    `decisive` when waiting cannot help: it crashed again and again, or answered wrongly.
    """

    reason: str
    message: str
    decisive: bool = False


@dataclass(frozen=True, slots=True)
class Side:
    """One Deployment as it was last seen.

    `revision` is the digest in its pod template. `complete` when no pod of another template is
    left and all pods answer. `progressed_at` is when its controller last saw it move on (seconds
    since 1970; 0 when unknown).
    """

    revision: str
    desired: int = 1
    ready: int = 0
    complete: bool = False
    progressed_at: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of a service.

    `failure` is about the pods of the newest revision. `busy_at` is when one of them last did
    something that takes its time and is not visible in the Deployment: a download that is running
    (then it is now) or has ended. `stable_fails` when every pod of the stable side is stuck.
    """

    stable: Side | None = None
    canary: Side | None = None
    failure: Failure | None = None
    busy_at: int = 0
    stable_fails: bool = False


@dataclass(frozen=True, slots=True)
class Scale:
    """How many replicas the spec asks for; a service with `minimum` 0 is stopped."""

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
    """What should be.

    `stable` and `canary` are digests; `canary` is empty when there is no canary. `minimum` is what
    the stable side's autoscaler may not go below. `shared` when the service's address leads to
    both sides. `weight` is the share in percent that the newest revision should have. `wait` is
    the number of seconds after which time alone changes the plan, 0 when it does not.
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
        """The revision of that digest.

        Raises:
            KeyError: it is not part of the plan.
        """
        return {one.digest: one for one in self.revisions}[digest]

    @property
    def refusal(self) -> Refusal | None:
        """Why the newest revision is refused, None when it is not."""
        if self.phase is not Phase.ROLLED_BACK:
            return None
        return self.revision(self.newest).refusal


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the spec asks for: a revision, and the digest of the settings it is tried under."""

    digest: str
    packed: bytes
    attempt: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """The input of one decision, so that its parts need not be handed around one by one."""

    known: dict[str, Revision]
    seen: Seen
    settings: RolloutSettings
    scale: Scale
    now: int

    def settle(self, newest: Revision) -> tuple[Revision, ...]:
        """All revisions, oldest first, with the newest as it is now."""
        return tuple(sorted({**self.known, newest.digest: newest}.values(), key=_by_number))


def _by_number(revision: Revision) -> tuple[int, str]:
    return revision.number, revision.digest
