"""Estimates the input range of a first layer from its weights.

The TFLite converter folds scaling that comes right before a convolution into the convolution's
weights, which leaves no operator to find. The size of the weights still shows it: a filter for
values of about 1 has a norm of about 1 (initializers produce that, and folded batch normalization
preserves it), a filter for 0 to 255 about a hundredth of that. The biases show an offset. This is
a hint, not proof.
"""

from dataclasses import dataclass

import numpy as np

from model_server.models.base import Array, PixelScaling

# Thresholds for filter norms, far from both 1 and 1/255.
_SMALL, _ORDINARY = 0.05, 0.15
# An input offset must explain at least this fraction of the biases.
_EXPLAINED = 0.9


@dataclass(frozen=True)
class FirstLayer:
    """A first layer with weights.

    Attributes:
        norm: Median of its filters' norms.
        centre: The input value that it is centered on, if the biases reveal it; None otherwise.
    """

    norm: float
    centre: float | None = None

    @classmethod
    def of(cls, kernel: Array, bias: Array | None) -> "FirstLayer":
        """Computes norm and center from a layer's weights.

        Args:
            kernel: Weights, [filters, weights per filter].
            bias: Biases, [filters], or None.
        """
        norm = _median(np.linalg.norm(kernel.astype(np.float64), axis=1))
        return cls(norm, None if bias is None else _centre(kernel, bias))

    def suggests(self) -> PixelScaling | None:
        """Returns the scaling that fits the weights; None if none clearly fits."""
        if not np.isfinite(self.norm) or self.norm == 0:
            return None
        if self.norm < _SMALL:
            return "none"
        if self.norm > _ORDINARY and self.centre is not None:
            if 0.4 < self.centre < 0.6:
                return "unit"
            if -1.2 < self.centre < -0.8:
                return "signed"
        return None


def _median(values: Array) -> float:
    """Like `np.median`, but without its import of masked arrays, which takes 9 ms at startup."""
    if not len(values):
        return float("nan")
    ordered = np.sort(values)  # NaNs sort last
    middle = ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]
    return float(middle / 2) if np.isfinite(ordered[-1]) else float(ordered[-1])


def _centre(kernel: Array, bias: Array) -> float | None:
    """Fits c in w * (x - c), where the biases are -c times the filters' sums; None if it fails."""
    sums = kernel.astype(np.float64).sum(axis=1)
    bias = np.asarray(bias, np.float64).reshape(-1)
    if len(bias) != len(sums) or len(sums) < 4 or not (sums @ sums) or not (bias @ bias):
        return None
    slope = float(sums @ bias / (sums @ sums))
    rest = bias - slope * sums
    return -slope if float(rest @ rest) < (1 - _EXPLAINED) * float(bias @ bias) else None
