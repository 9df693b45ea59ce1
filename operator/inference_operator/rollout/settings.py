"""How an InferenceService wants a new revision to be rolled out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

DEADLINE_SECONDS = 600
HISTORY_LIMIT = 10


class Rollback(StrEnum):
    """Who takes back a revision that fails."""

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
    a revision to serve whatever the rest of the spec says. `promote` and `abort` name the revision
    that they are about, so that neither applies to a later one. A changed `retry` lets a refused
    revision be tried again.
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
    """Whether a user's text names the revision: its whole name, or the digest at its end."""
    return bool(given) and given.rpartition("-")[2] == digest
