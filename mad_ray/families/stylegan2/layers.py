"""Layers with an equalised learning rate, and the modulated convolution: what both networks are made of. Imports torch.

Karras et al. 2018, section 4.1, for the learning rate; Karras et al. 2020 ("Analyzing and Improving the Image Quality
of StyleGAN"), section 2, for the modulation.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as f

from mad_ray.families.stylegan2.resample import Filter

SLOPE = 0.2
"""Of the leaky ReLU below zero."""
EPS = 1e-8
"""Keeps roots and quotients finite."""


def activate(x: Tensor) -> Tensor:
    """Leaky ReLU times sqrt(2), which keeps the mean square of a centred Gaussian to 4 %."""
    return f.leaky_relu(x, SLOPE) * math.sqrt(2)


class EqualisedLinear(nn.Module):
    """x [n, i] -> [n, o]. Weights start as N(0, 1) / m, m the rate's multiplier, and are used times m / sqrt(i).

    Adam moves every weight by about its learning rate, so all layers learn equally fast, and those with m < 1 slower.
    """

    def __init__(self, n_in: int, n_out: int, *, bias: float = 0.0, multiplier: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in) / multiplier)
        self.bias = nn.Parameter(torch.full((n_out,), bias / multiplier))
        self.scale, self.multiplier = multiplier / math.sqrt(n_in), multiplier

    def forward(self, x: Tensor) -> Tensor:
        return f.linear(x, self.weight * self.scale, self.bias * self.multiplier)


class EqualisedConv(nn.Module):
    """x [n, i, H, W] -> [n, o, H, W], or half as large (`down`), smoothed first. Weights N(0, 1), scaled when used."""

    def __init__(self, n_in: int, n_out: int, kernel: int, *, down: bool = False, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(n_out)) if bias else None
        self.scale = 1 / math.sqrt(n_in * kernel**2)
        self.filter = Filter() if down else None

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight * self.scale
        padding = weight.shape[2] // 2
        if self.filter is None:
            return f.conv2d(x, weight, self.bias, padding=padding)
        # Smoothing eats 3 pixels in all, and the kernel 2 * padding: with stride 2 it then meets H / 2 places.
        return f.conv2d(self.filter.blur(x, padding=1 + padding), weight, self.bias, stride=2)


class ModulatedConv(nn.Module):
    """x [n, i, H, W], w [n, d] -> [n, o, H, W], or twice as large (`up`): a convolution whose weights w scales."""

    def __init__(
        self, n_in: int, n_out: int, kernel: int, style_size: int, *, demodulate: bool = True, up: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in, kernel, kernel))
        self.affine = EqualisedLinear(style_size, n_in, bias=1.0)
        self.scale, self.demodulate = 1 / math.sqrt(n_in * kernel**2), demodulate
        self.filter = Filter() if up else None

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        return modulated_conv(
            x, self.weight * self.scale, self.affine(w), demodulate=self.demodulate, filter_up=self.filter
        )


def modulated_conv(
    x: Tensor, weight: Tensor, style: Tensor, *, demodulate: bool = True, filter_up: Filter | None = None
) -> Tensor:
    """Eq. (1) and (3) of Karras et al. 2020: row n is convolved with s_ni v_oik, demodulated to unit norm over (i, k).

    x [n, i, H, W], weight v [o, i, k, k], style s [n, i] -> [n, o, H, W], or [n, o, 2H, 2W] with `filter_up`. Scales
    before and after one convolution for all rows give the same as a convolution per row, at a fraction of the cost.
    """
    x = x * style.to(x.dtype)[:, :, None, None]
    if filter_up is None:
        x = f.conv2d(x, weight, padding=weight.shape[2] // 2)
    else:
        x = filter_up.blur(f.conv_transpose2d(x, weight.transpose(0, 1), stride=2), padding=1, gain=4)
    if not demodulate:
        return x
    with torch.autocast(x.device.type, enabled=False):
        power = style.to(weight.dtype).square() @ weight.square().sum((2, 3)).T
        norm = (power + EPS).rsqrt()
    return x * norm.to(x.dtype)[:, :, None, None]


def unit_length(z: Tensor) -> Tensor:
    """z [n, d] scaled to mean square 1, row by row."""
    return z * (z.square().mean(dim=1, keepdim=True) + EPS).rsqrt()


def minibatch_stddev(x: Tensor, group: int) -> Tensor:
    """x [n, c, H, W] -> [n, c + 1, H, W]: one more channel that tells each row how much its group varies.

    Groups are `group` rows in a row (n is a multiple): the standard deviation (biased) over the group, averaged over
    all features (Karras et al. 2018, section 3).
    """
    n, _, height, width = x.shape
    assert n % group == 0, "family.py refuses batches that do not split in groups"
    groups = x.reshape(n // group, group, -1)
    variance = (groups - groups.mean(dim=1, keepdim=True)).square().mean(dim=1)
    spread = (variance + EPS).sqrt().mean(dim=1)
    column = spread.repeat_interleave(group).view(n, 1, 1, 1).expand(n, 1, height, width)
    return torch.cat([x, column.to(x.dtype)], dim=1)
