"""Make scores honest: of detections that score 0.7, about seven in ten shall be right.

Platt's method (Platt, "Probabilistic Outputs for Support Vector Machines", 1999): a logistic
regression of right or wrong on the raw logit, fitted on pictures that training never saw.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .evaluate import hits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .evaluate import Found, Truth


def fit(found: Sequence[Found], truths: Sequence[Truth]) -> tuple[float, float]:
    """Return the factor and the addend to be put on the logits of the scores.

    Args:
        found: Detections whose score is the plain sigmoid of the network's logit.
        truths: What is on those pictures, in the same order.
    """
    scores = np.concatenate([f.scores for f in found]).astype(np.float64)
    right = np.concatenate([hits(f, t) for f, t in zip(found, truths, strict=True)])
    scores = np.clip(scores, 1e-6, 1 - 1e-6)
    logit = np.log(scores / (1 - scores))
    inputs = np.stack([logit, np.ones_like(logit)], axis=1)
    weights = np.array([1.0, 0.0])
    for _ in range(25):  # Newton's method; a handful of steps suffice for two weights.
        chance = 1 / (1 + np.exp(-inputs @ weights))
        slope = inputs.T @ (right - chance)
        curvature = (inputs * (chance * (1 - chance))[:, None]).T @ inputs + 1e-6 * np.eye(2)
        weights += np.linalg.solve(curvature, slope)
    return float(weights[0]), float(weights[1])


def error(found: Sequence[Found], truths: Sequence[Truth], bins: int = 10) -> float:
    """Return the expected calibration error: mean gap between score and share of right answers."""
    scores = np.concatenate([f.scores for f in found])
    right = np.concatenate([hits(f, t) for f, t in zip(found, truths, strict=True)])
    place = np.minimum((scores * bins).astype(int), bins - 1)
    gaps = [
        abs(scores[place == b].mean() - right[place == b].mean()) * (place == b).mean()
        for b in range(bins)
        if (place == b).any()
    ]
    return float(np.sum(gaps))
