"""The generator: mapping network, constant input, modulated layers with noise, skip connections to the image.

Karras et al. 2020, figure 2(c) and figure 7(b). Imports torch.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mad_ray.families.stylegan2.layers import EqualisedLinear, ModulatedConv, activate, unit_length
from mad_ray.families.stylegan2.resample import Filter

COARSEST = 4
"""Height and width of the constant input, and of what the discriminator ends with."""


@dataclass(frozen=True)
class Widths:
    """Images [n_channels, size, size], size a power of two, and how wide layers are."""

    n_channels: int
    size: int
    channel_base: int
    channel_max: int

    @property
    def sizes(self) -> list[int]:
        """4, 8, .., size."""
        return [2**k for k in range(int(math.log2(COARSEST)), int(math.log2(self.size)) + 1)]

    def at(self, size: int) -> int:
        """Feature maps of layers at this size."""
        return max(1, min(self.channel_base // size, self.channel_max))


class Mapping(nn.Module):
    """z [n, d] -> w [n, d]: z at unit mean square, then layers that learn slower than the rest."""

    def __init__(self, style_size: int, n_layers: int, multiplier: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            EqualisedLinear(style_size, style_size, multiplier=multiplier) for _ in range(n_layers)
        )

    def forward(self, z: Tensor) -> Tensor:
        w = unit_length(z)
        for layer in self.layers:
            w = activate(layer(w))
        return w


class StyledLayer(nn.Module):
    """Modulated 3x3 convolution, noise [n, 1, H, W] of learned strength (at first none), bias, leaky ReLU."""

    def __init__(self, n_in: int, n_out: int, style_size: int, *, up: bool) -> None:
        super().__init__()
        self.conv = ModulatedConv(n_in, n_out, 3, style_size, up=up)
        self.strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(n_out))

    def forward(self, x: Tensor, w: Tensor, noise: Tensor) -> Tensor:
        return activate(self.conv(x, w) + self.strength * noise + self.bias[:, None, None])


class ToImage(nn.Module):
    """Modulated 1x1 convolution to the image's channels, not demodulated, and a bias."""

    def __init__(self, n_in: int, n_channels: int, style_size: int) -> None:
        super().__init__()
        self.conv = ModulatedConv(n_in, n_channels, 1, style_size, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(n_channels))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        return self.conv(x, w) + self.bias[:, None, None]


class Generator(nn.Module):
    """Styles w [n, n_styles, d] and noise [n, n_noise] -> images [n, C, size, size], about in [-1, 1].

    `mapping` makes styles of latents. Buffers: `mean_style` [d], towards which samples are truncated, and
    `path_length`, the running mean of `n_paths` measurements that the path-length penalty pulls to.
    """

    mean_style: Tensor
    path_length: Tensor
    n_paths: Tensor

    def __init__(self, widths: Widths, style_size: int, n_mapping: int, mapping_multiplier: float) -> None:
        super().__init__()
        self.mapping = Mapping(style_size, n_mapping, mapping_multiplier)
        self.sizes = widths.sizes
        self.constant = nn.Parameter(torch.randn(1, widths.at(COARSEST), COARSEST, COARSEST))
        self.layers, self.to_image = nn.ModuleList(), nn.ModuleList()
        n_in = widths.at(COARSEST)
        for size in self.sizes:
            n_out = widths.at(size)
            if size > COARSEST:
                self.layers.append(StyledLayer(n_in, n_out, style_size, up=True))
            self.layers.append(StyledLayer(n_out, n_out, style_size, up=False))
            self.to_image.append(ToImage(n_out, widths.n_channels, style_size))
            n_in = n_out
        self.filter = Filter()
        self.register_buffer("mean_style", torch.zeros(style_size))
        self.register_buffer("path_length", torch.zeros(()))
        self.register_buffer("n_paths", torch.zeros(()))

    @property
    def n_styles(self) -> int:
        """One per layer, and one for the last ToImage; the others share the next layer's."""
        return len(self.layers) + 1

    @property
    def noise_sizes(self) -> list[int]:
        """Height of each layer's noise map."""
        return [self.sizes[0], *(size for size in self.sizes[1:] for _ in range(2))]

    @property
    def n_noise(self) -> int:
        """Numbers of noise per image, all layers together."""
        return sum(size**2 for size in self.noise_sizes)

    def forward(self, w: Tensor, noise: Tensor) -> Tensor:
        maps = [
            part.view(len(part), 1, size, size) for part, size in zip(self._split(noise), self.noise_sizes, strict=True)
        ]
        x = self.constant.expand(len(w), -1, -1, -1)
        image: Tensor | None = None
        for level, to_image in enumerate(self.to_image):
            for i in range(max(0, 2 * level - 1), 2 * level + 1):
                x = self.layers[i](x, w[:, i], maps[i])
            here = to_image(x, w[:, 2 * level + 1])
            image = here if image is None else self.filter.up(image) + here
        assert image is not None
        return image

    def _split(self, noise: Tensor) -> tuple[Tensor, ...]:
        return noise.split([size**2 for size in self.noise_sizes], dim=1)


def truncated(w: Tensor, mean: Tensor, bias: float) -> Tensor:
    """mean(w) + lambda (w - mean(w)): truncation (Karras et al. 2019), the paper's bias. w [n, d], mean [d]."""
    return torch.lerp(mean.expand_as(w), w, bias)
