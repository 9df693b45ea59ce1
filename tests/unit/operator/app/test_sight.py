"""An operator that is cut off says so, in readiness and metrics, and says what it cannot see."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from inference_operator.app.sight import Sight


@dataclass
class Stream:
    """A watch or a resync, as far as `Sight` looks at it."""

    kind: str = ""
    heard_at: float = 0.0
    restarts: int = 0
    finished_at: float = 0.0


def sight(
    now: float, *watches: Stream, resynced_at: float = 0.0, queue_age_s: float = 0.0
) -> Sight:
    return Sight(
        watches,  # type: ignore[arg-type]
        Stream(finished_at=resynced_at),  # type: ignore[arg-type]
        resync_period_s=600.0,
        queue_age_s=lambda: queue_age_s,
        clock=lambda: now,
    )


def test_of_several_namespaces_the_most_silent_one_counts() -> None:
    one = sight(
        1000.0,
        Stream("Pod", heard_at=990.0, restarts=1),
        Stream("Pod", heard_at=700.0, restarts=2),
        Stream("Service", heard_at=999.0),
    )
    assert one.watch_ages_s() == {"Pod": 300.0, "Service": 1.0}
    assert one.restarts() == {"Pod": 3, "Service": 0}
    assert one.problems() == ["nothing was heard of the watch of Pod for 300 s"]


@pytest.mark.parametrize(
    ("now", "resynced_at", "queue_age_s", "told"),
    [
        (1000.0, 500.0, 10.0, ""),
        (3000.0, 500.0, 10.0, "the last complete listing was 2500 s ago"),
        (1000.0, 900.0, 700.0, "an InferenceService has waited for 700 s to be reconciled"),
    ],
)
def test_what_is_late_is_told(
    now: float, resynced_at: float, queue_age_s: float, told: str
) -> None:
    watch = Stream("Pod", heard_at=now - 60)
    one = sight(now, watch, resynced_at=resynced_at, queue_age_s=queue_age_s)
    assert one.problems() == ([told] if told else [])
