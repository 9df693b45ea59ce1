"""Tracks the last written status to detect other writers. Pure.

Only the operator should write the status of an InferenceService. If the status differs from the
last written one, a second installation with other settings serves the same resource, and each
would overwrite the other's status forever.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from inference_operator.objects import Json

# Two replacements may come from a user with kubectl or from the replica that led for a while.
TOLERATED = 2
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
QUIET_SECONDS = 300.0


@dataclass(slots=True)
class WrittenStatus:
    """The last written status, and how often in a row another writer replaced it.

    Attributes:
        digest: Digest of the status as last seen, empty before the first write.
        replaced: How often in a row the status differed from the last written one.
        at: Time of the last write, on the monotonic clock.
    """

    digest: bytes = b""
    replaced: int = 0
    at: float = 0.0

    def see(self, status: Json, now: float) -> bool:
        """Compare the current status with the written one; returns whether to report a contest.

        A contest is reported once, when the status has been replaced more often than tolerated.
        """
        seen = _digest(status)
        if now - self.at > QUIET_SECONDS:
            self.replaced = 0
        if not self.digest or seen == self.digest:
            return False
        # Count it once: the same status may be seen again before the pause is over.
        self.digest, self.replaced = seen, self.replaced + 1
        return self.replaced == TOLERATED + 1

    def pause_s(self, now: float) -> float:
        """Seconds until the next write; 0 or less if it may happen now."""
        if self.replaced <= TOLERATED:
            return 0.0
        pause = FIRST_PAUSE_SECONDS * 2.0 ** min(self.replaced - TOLERATED - 1, 10)
        return self.at + min(pause, LONGEST_PAUSE_SECONDS) - now

    def wrote(self, status: Json, now: float) -> None:
        """Record the written status."""
        self.digest, self.at = _digest(status), now


def _digest(status: Json) -> bytes:
    text = json.dumps(status, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
