"""What the weights of a first layer suggest of the range of its input.

The TFLite converter multiplies scaling that comes right before a convolution into the
convolution's weights, where no operator is left to be seen. It shows in their size: a filter for
values of about 1 has a norm of about 1 (that is what initializers give, and what folded batch
normalization keeps), one for 0 to 255 a hundredth of that. An offset shows in the biases. This
suggests; it does not prove.
"""

from dataclasses import dataclass

import numpy as np

from model_server.models.base import Array, PixelScaling

# Norms of filters, far from both 1 and 1/255.
_SMALL, _ORDINARY = 0.05, 0.15
# Of the biases, as much must be explained by an offset of the input.
_EXPLAINED = 0.9


@dataclass(frozen=True)
class FirstLayer:
    """A first layer with weights.

    Attributes:
        norm: Median of its filters' norms.
        centre: The input value that it is centred on, where the biases tell; None otherwise.
    """

    norm: float
    centre: float | None = None

    @classmethod
    def of(cls, kernel: Array, bias: Array | None) -> "FirstLayer":
        """Reads a layer.

        Args:
            kernel: [filters, weights of each].
            bias: [filters], or None.
        """
        norm = _median(np.linalg.norm(kernel.astype(np.float64), axis=1))
        return cls(norm, None if bias is None else _centre(kernel, bias))

    def suggests(self) -> PixelScaling | None:
        """The range that fits its weights; None if none does clearly."""
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
    """As `np.median`, which imports masked arrays for 9 ms at every start."""
    if not len(values):
        return float("nan")
    ordered = np.sort(values)  # what is not a number comes last
    middle = ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]
    return float(middle / 2) if np.isfinite(ordered[-1]) else float(ordered[-1])


def _centre(kernel: Array, bias: Array) -> float | None:
    """C where the layer is w * (x - c): the biases are then -c times the sums of the filters."""
    sums = kernel.astype(np.float64).sum(axis=1)
    bias = np.asarray(bias, np.float64).reshape(-1)
    if len(bias) != len(sums) or len(sums) < 4 or not (sums @ sums) or not (bias @ bias):
        return None
    slope = float(sums @ bias / (sums @ sums))
    rest = bias - slope * sums
    return -slope if float(rest @ rest) < (1 - _EXPLAINED) * float(bias @ bias) else None
