"""Wasserstein GAN with gradient penalty on tensors: generator, critic, and their losses (Gulrajani et al. 2017).

Images x [n, C, H, W] lie in [-1, 1]; latents z [n, n_latent]; a critic gives one number per image, [n]. Imports torch.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from mad_ray.families.diffusion import to_unit

SLOPE = 0.2
"""Of the critic's leaky ReLU below zero."""

Norm = Literal["none", "layer"]
Score = Callable[[Tensor], Tensor]
"""What judges: images [n, C, H, W] -> [n]."""


class Generator(nn.Module):
    """z [n, n_latent] -> images [n, C, H, W] in (-1, 1).

    A linear layer makes the coarsest map, each level doubles its sides, and what exceeds H and W is cut off. Nothing is
    normalised: a map scaled to unit variance would forget how long z is, and that is all that lambda changes.
    """

    def __init__(self, image: tuple[int, ...], channels: Sequence[int], n_latent: int, kernel_size: int) -> None:
        super().__init__()
        self.sides = image[1:]
        self.coarsest = (channels[-1], *(coarsest(side, len(channels)) for side in self.sides))
        self.first = nn.Linear(n_latent, math.prod(self.coarsest))
        widths = [*reversed(channels), image[0]]
        # Even kernels at stride 2: every pixel is reached equally often, which spares checkerboards.
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(a, b, kernel_size + 1, 2, kernel_size // 2) for a, b in pairwise(widths)
        )

    def forward(self, z: Tensor) -> Tensor:
        x = self.first(z).view(-1, *self.coarsest)
        for layer in self.up:
            x = layer(x.relu())
        return x[..., : self.sides[0], : self.sides[1]].tanh()


class Critic(nn.Module):
    """Images [n, C, H, W] -> [n], unbounded. Patches are folded into channels, then each level halves the sides.

    No batch normalisation, since the penalty is on the gradient of each image by itself (section 4 of the paper);
    norm="layer" normalises every image over its channels and places instead, which the paper recommends.
    """

    def __init__(
        self, image: tuple[int, ...], channels: Sequence[int], patch: int, kernel_size: int, norm: Norm
    ) -> None:
        super().__init__()
        height, width = image[1:]
        layers: list[nn.Module] = [nn.ZeroPad2d((0, -width % patch, 0, -height % patch)), nn.PixelUnshuffle(patch)]
        for level, (a, b) in enumerate(pairwise([image[0] * patch**2, *channels])):
            layers.append(nn.Conv2d(a, b, kernel_size, 2, kernel_size // 2))
            if norm == "layer" and level > 0:
                layers.append(nn.GroupNorm(1, b))
            layers.append(nn.LeakyReLU(SLOPE))
        n_features = channels[-1] * math.prod(coarsest(side, len(channels), patch) for side in image[1:])
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(n_features, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).squeeze(1).float()


def coarsest(side: int, n_levels: int, patch: int = 1) -> int:
    """The side of the coarsest map: side / patch, halved n_levels times, always rounded up."""
    return -(-side // (patch * 2**n_levels))


def distance(critic: Score, real: Tensor, fake: Tensor) -> Tensor:
    """mean D(real) - mean D(fake): for the best 1-Lipschitz D the Wasserstein-1 distance, Eq. (2)."""
    return critic(real).mean() - critic(fake).mean()


def gradient_penalty(critic: Score, real: Tensor, fake: Tensor, share: Tensor) -> Tensor:
    """Mean over rows of (|grad D(x)| - 1)^2 at x = share * real + (1 - share) * fake: Eq. (3) without its weight.

    real, fake [n, ...]; share [n] in [0, 1]. A scalar that can be differentiated by the critic's weights.
    """
    share = share.view(-1, *[1] * (real.dim() - 1))
    x = (share * real + (1 - share) * fake).detach().requires_grad_()
    # float32 under bf16 too: what is squared here is a small difference of large numbers.
    with torch.autocast(x.device.type, enabled=False):
        (gradient,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
        return (gradient.flatten(1).norm(dim=1) - 1).square().mean()


def critic_loss(
    critic: nn.Module,
    x: Tensor,
    label: Tensor,
    generator: torch.Generator,
    *,
    net: nn.Module,
    n_latent: int,
    penalty: float,
) -> Tensor:
    """mean D(G(z)) - mean D(x) + penalty * gradient penalty, the penalty's places uniform between x and G(z): Eq. (3).

    x [n, C, H, W] uint8; net: the generator G, which stands still.
    """
    real = to_unit(x)
    with torch.no_grad():
        fake = net(latents(x, n_latent, generator)).float()
    share = torch.rand(len(x), generator=generator).to(x.device)
    # Of `forward` itself: what torch.compile makes of a module has no second derivative.
    return penalty * gradient_penalty(critic.forward, real, fake, share) - distance(critic, real, fake)


def generator_loss(
    net: nn.Module, x: Tensor, label: Tensor, generator: torch.Generator, *, critic: nn.Module, n_latent: int
) -> Tensor:
    """- mean D(G(z)) over as many z as there are rows x: Algorithm 1, line 12."""
    return -critic(net(latents(x, n_latent, generator))).mean()


def latents(x: Tensor, n_latent: int, generator: torch.Generator) -> Tensor:
    """z ~ N(0, I) [n, n_latent], one for each row of x, on its device."""
    return torch.randn((len(x), n_latent), generator=generator).to(x.device)
