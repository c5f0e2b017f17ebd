"""Doubling and halving images with the filter [1, 3, 3, 1], zeros beyond the edges. Imports torch."""

import torch
from torch import Tensor, nn
from torch.nn import functional as f

TAPS = (1.0, 3.0, 3.0, 1.0)
"""Binomial: no checkerboard, no aliasing to speak of (Zhang 2019; Karras et al. 2020, appendix B)."""


class Filter(nn.Module):
    """The separable 4x4 filter of sum 1, channel by channel; no parameters, and nothing in a model's arrays."""

    taps: Tensor

    def __init__(self) -> None:
        super().__init__()
        row = torch.tensor(TAPS) / sum(TAPS)
        self.register_buffer("taps", torch.outer(row, row)[None, None], persistent=False)

    def blur(self, x: Tensor, *, padding: int, gain: float = 1.0) -> Tensor:
        """x [n, c, H, W] -> [n, c, H + 2 padding - 3, W + 2 padding - 3], times gain."""
        return f.conv2d(x, self._kernel(x, gain), padding=padding, groups=x.shape[1])

    def up(self, x: Tensor) -> Tensor:
        """x [n, c, H, W] -> [n, c, 2H, 2W]; constants stay what they are, but at the edge. 4 times `down`'s adjoint."""
        return f.conv_transpose2d(x, self._kernel(x, 4.0), stride=2, padding=1, groups=x.shape[1])

    def down(self, x: Tensor) -> Tensor:
        """x [n, c, H, W] -> [n, c, H/2, W/2]; constants stay what they are, but at the edge."""
        return f.conv2d(x, self._kernel(x, 1.0), stride=2, padding=1, groups=x.shape[1])

    def _kernel(self, x: Tensor, gain: float) -> Tensor:
        return (self.taps * gain).expand(x.shape[1], 1, 4, 4).contiguous()
