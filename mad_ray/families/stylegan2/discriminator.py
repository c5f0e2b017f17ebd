"""The residual discriminator (Karras et al. 2020, figure 7(c)), and the strength of its augmentation. Imports torch."""

import math

import torch
from torch import Tensor, nn

from mad_ray.families.stylegan2.generator import COARSEST, Widths
from mad_ray.families.stylegan2.layers import EqualisedConv, EqualisedLinear, activate, minibatch_stddev


class Block(nn.Module):
    """x [n, i, H, W] -> [n, o, H/2, W/2]: two 3x3 convolutions and a 1x1 beside them, over sqrt(2) to keep variance."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.first = EqualisedConv(n_in, n_in, 3)
        self.second = EqualisedConv(n_in, n_out, 3, down=True)
        self.skip = EqualisedConv(n_in, n_out, 1, down=True, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return (activate(self.second(activate(self.first(x)))) + self.skip(x)) * math.sqrt(0.5)


class Discriminator(nn.Module):
    """Images [n, C, size, size] -> logits [n] of being real. `p` is the probability of each augmentation."""

    p: Tensor

    def __init__(self, widths: Widths, group: int) -> None:
        super().__init__()
        sizes = widths.sizes[::-1]
        self.group = group
        self.from_image = EqualisedConv(widths.n_channels, widths.at(sizes[0]), 1)
        self.blocks = nn.Sequential(*(Block(widths.at(size), widths.at(size // 2)) for size in sizes[:-1]))
        n = widths.at(COARSEST)
        self.last = EqualisedConv(n + 1, n, 3)
        self.hidden = EqualisedLinear(n * COARSEST**2, n)
        self.logit = EqualisedLinear(n, 1)
        self.register_buffer("p", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(activate(self.from_image(x)))
        x = activate(self.last(minibatch_stddev(x, self.group)))
        return self.logit(activate(self.hidden(x.flatten(1)))).squeeze(1)
