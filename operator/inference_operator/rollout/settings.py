"""Rollout settings of an InferenceService."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

DEADLINE_SECONDS = 600
HISTORY_LIMIT = 10


class Rollback(StrEnum):
    """Whether the operator or the user rolls back a failing revision."""

    AUTOMATIC = "Automatic"
    MANUAL = "Manual"


@dataclass(frozen=True, slots=True)
class Step:
    """One stage of a canary: `percent` (0..99) of the requests for `pause_s` seconds."""

    percent: int
    pause_s: int


@dataclass(frozen=True, slots=True)
class RolloutSettings:
    """The user's settings.

    `percent` (0..100) is None when there is no canary, or when `steps` describe it. `pinned` names
    a revision to serve regardless of the rest of the spec. `promote` and `abort` name the revision
    they apply to, so neither affects a later one. Changing `retry` allows a refused revision to be
    tried again.
    """

    percent: int | None = None
    steps: tuple[Step, ...] = ()
    rollback: Rollback = Rollback.AUTOMATIC
    paused: bool = False
    deadline_s: int = DEADLINE_SECONDS
    history_limit: int = HISTORY_LIMIT
    pinned: str = ""
    promote: str = ""
    abort: str = ""
    retry: str = ""


def names_revision(given: str, digest: str) -> bool:
    """Whether the user's text is the revision's full name or the digest at its end."""
    return bool(given) and given.rpartition("-")[2] == digest
