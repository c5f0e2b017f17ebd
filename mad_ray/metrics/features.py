"""Feature extractors: what turns samples into the vectors that are compared."""

from typing import Protocol

import numpy as np


class Extractor(Protocol):
    """Samples to features. Row i of the answer depends on sample i alone, to the last bit."""

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """x [n, *event] -> features [n, d], floating point. InvalidInput for an event that it cannot read."""
        ...


class Identity:
    """The samples themselves, flattened; images (uint8) in [0, 1]."""

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """x [n, *event] -> [n, d] float64."""
        rows = x.reshape(len(x), -1).astype(np.float64)
        return rows / 255 if x.dtype == np.uint8 else rows
