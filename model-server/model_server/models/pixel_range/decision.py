"""From what a model shows of itself to the range its pixels must have. Pure; knows no format.

The order of trust: what the graph does with the picture, what the metadata says, the family that
the architecture belongs to, the range that the input's quantization covers. Where none of them
tells, a range is assumed and said to be so.
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

# What the pixels 0 to 255 become: the lowest and the highest value.
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
# Widths of the range that a first layer gets: far fewer than 255 where pixels have been scaled.
_NARROWEST, _WIDEST = 0.2, 16.0
# How near a range that calibration has measured must be to one of the above, as a part of its
# width: calibration pictures need not have both black and white in them.
_CALIBRATION_SLACK = 0.08
_EXACT = 0.02


@dataclass(frozen=True)
class Evidence:
    """What a model shows of the range it takes.

    Attributes:
        arrivals: What the picture has become where the graph first learns from it; one for each
            such place.
        family: The architecture's name, as in keras.applications; empty when it is none of them.
        family_scaling: What pixels are for it.
        quantized: Lowest and highest real value that a quantized input can hold; None for others.
        metadata: What the model's metadata says, or None.
        takes: Why no range is needed ("bytes"), empty if one is.
        resize: The method of the format's own tools.
        layer: The first layer, which may suggest a range; None if it is not known.
        assumed: The format's usual range, for when nothing tells.
        notes: What else to tell whoever is told of an assumption.
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
    """How a picture is prepared, with where that is known from (`source`, `reason`)."""
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
        # An interval tells neither BGR from RGB nor the mean and deviation of each channel, and
        # other means give nearly the same one.
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
    """The scaling whose range is nearest, and how far it is, as a part of its own width."""

    def distance(scaling: PixelScaling) -> float:
        low, high = _RANGES[scaling]
        return max(abs(quantized[0] - low), abs(quantized[1] - high)) / (high - low)

    best = min(_RANGES, key=distance)
    return best, distance(best)


def _from_arrivals(arrivals: Sequence[Traced]) -> tuple[PixelScaling, str] | None:
    """The range that all places agree on, with the reason; None if none tells or two disagree."""
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
    """For a graph that takes values of about 1: which of the two gives a range that is in use.

    Exactly one of them must give 0..1, -1..1, -0.5..0.5, 0..255 or a caffe range; else the one
    that is centred, if the other is clearly not.
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
