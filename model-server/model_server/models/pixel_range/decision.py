"""Decides which pixel range a model needs from the evidence in it. No I/O, format-independent.

In order of precedence: an input that takes bytes or encoded pictures, the metadata, the graph's own
operations on the picture, the range of the input's quantization, and the architecture's family. If
none of them is conclusive, a range is assumed and marked as such.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from model_server.models.base import (
    CAFFE_MEAN,
    TORCH_MEAN,
    TORCH_STD,
    ImageInput,
    PixelScaling,
    ResizeMethod,
)
from model_server.models.pixel_range.affine import Traced
from model_server.models.pixel_range.first_layer import FirstLayer

# The lowest and highest value that pixels 0 to 255 are scaled to.
_RANGES: dict[PixelScaling, tuple[float, float]] = {
    "none": (0.0, 255.0),
    "unit": (0.0, 1.0),
    "signed": (-1.0, 1.0),
    "torch": (
        float(((0.0 - TORCH_MEAN) / TORCH_STD).min()),
        float(((1.0 - TORCH_MEAN) / TORCH_STD).max()),
    ),
    "caffe": (float(-CAFFE_MEAN.max()), float(255.0 - CAFFE_MEAN.min())),
}
_WORDS = {
    "none": "0 to 255",
    "unit": "0 to 1",
    "signed": "-1 to 1",
    "caffe": "BGR minus the ImageNet mean",
    "torch": "ImageNet mean and deviation",
}
# Width of the range that reaches a first layer: far less than 255 if pixels have been scaled.
_NARROWEST, _WIDEST = 0.2, 16.0
# Tolerance for matching a range measured by calibration to one of the above, as a fraction of its
# width: calibration pictures do not always contain both black and white.
_CALIBRATION_SLACK = 0.08
_EXACT = 0.02


@dataclass(frozen=True)
class Evidence:
    """The evidence in a model for its pixel range.

    Attributes:
        arrivals: The picture as it reaches the first learned layer; one entry for each place where
            a trace ends.
        family: The architecture's name in keras.applications; empty if it is not one of them.
        family_scaling: The pixel scaling of that family.
        quantized: Lowest and highest real value of a quantized input; None for other inputs.
        metadata: Preparation from the model's metadata, or None.
        takes: Why the input needs no range (it takes bytes or encoded pictures); empty if it needs
            one.
        resize: The resize method of the format's own tools.
        layer: The first layer, which may suggest a range; None if unknown.
        assumed: The format's usual range, used if there is no evidence.
        notes: Additional notes to report along with an assumption.
    """

    arrivals: tuple[Traced, ...] = ()
    family: str = ""
    family_scaling: PixelScaling = "none"
    quantized: tuple[float, float] | None = None
    metadata: ImageInput | None = None
    takes: str = ""
    resize: ResizeMethod = "bicubic"
    layer: FirstLayer | None = None
    assumed: PixelScaling = "unit"
    notes: tuple[str, ...] = ()


def decide(evidence: Evidence) -> ImageInput:
    """Decides how to prepare a picture; `source` and `reason` of the result say why."""
    found = _known(evidence)
    if found is not None:
        return replace(found, resize=evidence.resize)
    scaling, why = evidence.assumed, "nothing in the model tells the range of its pixels"
    suggested = evidence.layer.suggests() if evidence.layer is not None else None
    if evidence.quantized is not None:
        scaling = _nearest(evidence.quantized)[0]
        why = "the range that its quantized input stands for comes nearest to it"
    elif suggested is not None:
        scaling, why = suggested, "the size of the first layer's weights suggests it"
    return ImageInput(
        scaling=scaling,
        resize=evidence.resize,
        source="assumed",
        reason="; ".join((why, *evidence.notes)),
    )


def _known(evidence: Evidence) -> ImageInput | None:
    if evidence.takes:
        return ImageInput(scaling="none", source="type", reason=evidence.takes)
    if evidence.metadata is not None:
        return replace(
            evidence.metadata, source="metadata", reason="the model's metadata has its mean and std"
        )
    from_graph = _from_arrivals(evidence.arrivals)
    if from_graph is not None:
        return ImageInput(scaling=from_graph[0], source="graph", reason=from_graph[1])
    if evidence.quantized is not None:
        scaling, distance = _nearest(evidence.quantized)
        # A range does not distinguish BGR from RGB or reveal each channel's mean and deviation, and
        # other means give nearly the same range.
        if distance <= _CALIBRATION_SLACK and scaling not in {"caffe", "torch"}:
            low, high = evidence.quantized
            return ImageInput(
                scaling=scaling,
                source="graph",
                reason=f"its quantized input stands for {low:.4g} to {high:.4g}",
            )
    if evidence.family:
        return ImageInput(
            scaling=evidence.family_scaling,
            source="family",
            reason=f"{evidence.family} takes {_WORDS[evidence.family_scaling]}",
        )
    return None


def _nearest(quantized: tuple[float, float]) -> tuple[PixelScaling, float]:
    """Returns the scaling with the nearest range, and its distance as a fraction of its width."""

    def distance(scaling: PixelScaling) -> float:
        low, high = _RANGES[scaling]
        return max(abs(quantized[0] - low), abs(quantized[1] - high)) / (high - low)

    best = min(_RANGES, key=distance)
    return best, distance(best)


def _from_arrivals(arrivals: Sequence[Traced]) -> tuple[PixelScaling, str] | None:
    """Returns the scaling that all arrivals agree on, and why; None if none or several fit."""
    found = {answer for arrival in arrivals if (answer := _from_arrival(arrival)) is not None}
    if len({scaling for scaling, _ in found}) != 1:
        return None
    return min(found)


def _from_arrival(arrival: Traced) -> tuple[PixelScaling, str] | None:
    if arrival.standardized == 2:
        return "none", "the graph standardizes each picture by its own mean and deviation"
    scales = np.array([channel.scale for channel in arrival.channels])
    offsets = np.array([channel.offset for channel in arrival.channels])
    if not (np.isfinite(scales).all() and np.isfinite(offsets).all()) or (scales == 0).any():
        return None
    said = _shown(scales, offsets)
    widths = np.abs(scales) * 255.0
    if (widths >= _NARROWEST).all() and (widths <= _WIDEST).all():
        return "none", f"the graph scales pixels by itself ({said})"
    if np.allclose(scales, 1.0, rtol=0.1) and (offsets < -20).all() and (offsets > -235).all():
        return "none", f"the graph subtracts a mean from pixels by itself ({said})"
    if np.allclose(scales, 1.0) and np.allclose(offsets, 0.0):
        return None
    scaling = _unit_or_signed(scales, offsets)
    return None if scaling is None else (scaling, f"the graph turns it into {said}")


def _unit_or_signed(scales: np.ndarray, offsets: np.ndarray) -> PixelScaling | None:
    """For a graph that takes values of about 1, picks the scaling that results in a common range.

    Picks the one that results in 0..1, -1..1, -0.5..0.5, 0..255 or a caffe range, if only one does.
    Otherwise picks the one whose result is centered, if the other is clearly off-center.
    """
    usual = ((0.0, 1.0), (-1.0, 1.0), (-0.5, 0.5), (0.0, 255.0))
    candidates: tuple[PixelScaling, ...] = ("unit", "signed")
    exact: list[PixelScaling] = []
    skew: dict[PixelScaling, float] = {}
    for candidate in candidates:
        low, high = _RANGES[candidate]
        lows, highs = scales * low + offsets, scales * high + offsets
        lows, highs = np.minimum(lows, highs), np.maximum(lows, highs)
        width = float((highs - lows).mean())
        for want_low, want_high in usual:
            slack = _EXACT * (want_high - want_low)
            if (np.abs(lows - want_low) <= slack).all() and (
                np.abs(highs - want_high) <= slack
            ).all():
                exact.append(candidate)
        if width > 200 and np.allclose(highs - lows, 255.0, rtol=0.02) and (lows < -50).all():
            exact.append(candidate)
        in_use = _NARROWEST < width < _WIDEST
        skew[candidate] = float(np.abs((lows + highs) / 2).mean()) / width if in_use else np.inf
    if len(exact) == 1:
        return exact[0]
    first, second = sorted(candidates, key=lambda candidate: skew[candidate])
    shifted = bool((offsets != 0).any())
    if not exact and shifted and skew[first] < 0.15 and skew[second] > 2 * skew[first] + 0.1:
        return first
    return None


def _shown(scales: np.ndarray, offsets: np.ndarray) -> str:
    def text(values: np.ndarray) -> str:
        shown = [f"{value:.4g}" for value in values]
        return shown[0] if len(set(shown)) == 1 else f"[{', '.join(shown)}]"

    return f"x * {text(scales)} + {text(offsets)}"
