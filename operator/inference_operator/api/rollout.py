"""`spec.predictor.canaryTrafficPercent`, `spec.predictor.rollout`, and what annotations ask for."""

from __future__ import annotations

import re
from collections.abc import Mapping

from inference_operator import names
from inference_operator.api.reader import Reader
from inference_operator.errors import SpecError
from inference_operator.rollout.settings import (
    DEADLINE_SECONDS,
    HISTORY_LIMIT,
    Rollback,
    RolloutSettings,
    Step,
)

MAX_STEPS = 20
_DURATION = re.compile(r"(?:(\d{1,4})h)?(?:(\d{1,5})m)?(?:(\d{1,6})s)?")
_REVISION = re.compile(r"(?:.*-)?[0-9a-f]{8}")


def parse_rollout(predictor: Reader, annotations: Mapping[str, str]) -> RolloutSettings:
    """How a new revision is rolled out.

    Args:
        predictor: `spec.predictor`.
        annotations: Of the InferenceService.

    Raises:
        SpecError: a field is wrong; the message names it.
    """
    percent = predictor.number("canaryTrafficPercent", 0, 100)
    rollout = predictor.child("rollout")
    steps = _parse_steps(rollout)
    if steps and percent is not None:
        raise SpecError(
            predictor.path("canaryTrafficPercent"),
            "and rollout.steps both say how much traffic a canary gets: remove one of them",
        )
    rollback = rollout.choice("rollback", tuple(Rollback))
    deadline = rollout.number("progressDeadlineSeconds", 1, 86400)
    history = rollout.number("revisionHistoryLimit", 0, 100)
    settings = RolloutSettings(
        percent=percent,
        steps=steps,
        rollback=Rollback(rollback) if rollback else Rollback.AUTOMATIC,
        paused=rollout.flag("paused") or False,
        deadline_s=DEADLINE_SECONDS if deadline is None else deadline,
        history_limit=HISTORY_LIMIT if history is None else history,
        pinned=rollout.text(
            "pinnedRevision",
            lambda text: bool(_REVISION.fullmatch(text)),
            "is not a revision: give its name, as in status.components.predictor",
        ),
        promote=annotations.get(names.ANNOTATION_PROMOTE, ""),
        abort=annotations.get(names.ANNOTATION_ABORT, ""),
        retry=annotations.get(names.ANNOTATION_RETRY, ""),
    )
    rollout.finish()
    return settings


def _parse_steps(rollout: Reader) -> tuple[Step, ...]:
    items = rollout.objects("steps")
    if len(items) > MAX_STEPS:
        raise SpecError(rollout.path("steps"), f"has more than {MAX_STEPS} steps")
    return tuple(
        _parse_step(Reader(item, f"{rollout.path('steps')}[{index}]"))
        for index, item in enumerate(items)
    )


def _parse_step(item: Reader) -> Step:
    percent = item.number("percent", 0, 100)
    if percent is None:
        raise SpecError(item.path("percent"), "is missing: set 0 to 100")
    pause = item.text("pause")
    if not pause:
        raise SpecError(item.path("pause"), "is missing: set a duration such as 5m")
    seconds = parse_duration(pause)
    if seconds is None:
        raise SpecError(item.path("pause"), f"{pause!r} is not a duration such as 90s, 5m or 1h30m")
    item.finish()
    return Step(percent, seconds)


def parse_duration(text: str) -> int | None:
    """Seconds of a duration such as `1h30m`; None when it is none."""
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        return None
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds
