"""The status that was last written, by which somebody else's writing is noticed. Pure.

Nobody but the operator writes the status of an InferenceService. If it is another than was last
written, a second installation with other settings serves the same resource, and each would put
right what the other has written, for ever.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from inference_operator.objects import Json

# Twice may be a person with kubectl, or the replica that led for a while.
TOLERATED = 2
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
QUIET_SECONDS = 300.0


@dataclass(slots=True)
class WrittenStatus:
    """What was last written, and how often in a row somebody else replaced it.

    Attributes:
        digest: Digest of the status as it was last seen, empty before the first write.
        replaced: How often in a row it was not the one that was last written.
        at: Time of the last write, on the monotonic clock.
    """

    digest: bytes = b""
    replaced: int = 0
    at: float = 0.0

    def see(self, status: Json, now: float) -> bool:
        """Compare the present status with the one written; returns whether to tell of a contest.

        That is once, when it has been replaced more often than is tolerated.
        """
        seen = _digest(status)
        if now - self.at > QUIET_SECONDS:
            self.replaced = 0
        if not self.digest or seen == self.digest:
            return False
        # Counted once: the same status may be seen again before the pause is over.
        self.digest, self.replaced = seen, self.replaced + 1
        return self.replaced == TOLERATED + 1

    def pause_s(self, now: float) -> float:
        """Seconds until the next write; not above 0 when it may be now."""
        if self.replaced <= TOLERATED:
            return 0.0
        pause = FIRST_PAUSE_SECONDS * 2.0 ** min(self.replaced - TOLERATED - 1, 10)
        return self.at + min(pause, LONGEST_PAUSE_SECONDS) - now

    def wrote(self, status: Json, now: float) -> None:
        """Remember what was written."""
        self.digest, self.at = _digest(status), now


def _digest(status: Json) -> bytes:
    text = json.dumps(status, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
