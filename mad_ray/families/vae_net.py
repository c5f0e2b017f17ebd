"""The variational autoencoder on tensors: networks, the two terms of the ELBO, and what is published. Imports torch.

Bytes become x in [0, 1] where pixels are Bernoulli, in [-1, 1] where they are Gaussian; z [n, n_latent]. Terms are sums
over pixels or latents, in nats an image.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from mad_ray.families.diffusion import to_bytes, to_unit
from mad_ray.families.unet import n_groups, pad, padded

Pixels = Literal["gaussian", "bernoulli"]

MIN_VARIANCE = (2 / 255) ** 2 / 12
"""Of a Gaussian pixel: the rounding to bytes alone."""
FOLLOW = 0.05
"""How fast a Gaussian pixel's variance follows the error of reconstruction: a memory of 20 steps."""


class VaeNet(nn.Module):
    """Strided convolutions down to the latent's mean and log-variance, transposed ones back up; group norms, SiLU.

    Images [n, C, H, W] of any size: rows and columns are repeated at the edge until `channels` levels can halve them,
    and cut off again after decoding.
    """

    variance: Tensor

    def __init__(self, image: tuple[int, ...], channels: Sequence[int], n_latent: int) -> None:
        super().__init__()
        self.image, self.levels = image, len(channels) + 1
        height, width = (padded(size, self.levels) >> len(channels) for size in image[1:])
        self.lowest = (channels[-1], height, width)
        self.down = nn.Sequential(*_down(image[0], channels))
        self.to_latent = nn.Linear(math.prod(self.lowest), 2 * n_latent)
        self.from_latent = nn.Linear(n_latent, math.prod(self.lowest))
        self.up = nn.Sequential(*_up(image[0], channels))
        # Of a Gaussian pixel; set while training, since its best value is known in closed form.
        self.register_buffer("variance", torch.ones(()))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x [n, C, H, W] in [-1, 1] -> mean and log-variance of q(z|x), [n, n_latent] each."""
        mean, log_variance = self.to_latent(self.down(pad(x, self.levels)).flatten(1)).float().chunk(2, dim=1)
        return mean, log_variance

    def decode(self, z: Tensor) -> Tensor:
        """z [n, n_latent] -> what p(x|z) is made of, [n, C, H, W]: means of Gaussian pixels, logits of Bernoulli's."""
        raw = self.up(self.from_latent(z).view(-1, *self.lowest)).float()
        return raw[..., : self.image[1], : self.image[2]]

    @torch.no_grad()
    def follow(self, squared_error: Tensor) -> None:
        """Move the variance of a Gaussian pixel towards the mean squared error [1], at which the ELBO is greatest
        (Rybkin, Daniilidis and Levine 2021, Eq. (6))."""
        self.variance.lerp_(squared_error[0].to(self.variance), FOLLOW).clamp_(min=MIN_VARIANCE)


def _down(n_image: int, channels: Sequence[int]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for n_in, n_out in zip([n_image, *channels], channels, strict=False):
        layers += [nn.Conv2d(n_in, n_out, 4, 2, 1), nn.GroupNorm(n_groups([n_out]), n_out), nn.SiLU()]
    return layers


def _up(n_image: int, channels: Sequence[int]) -> list[nn.Module]:
    reverse = list(reversed(channels))
    layers: list[nn.Module] = []
    for n_in, n_out in zip(reverse, [*reverse[1:], n_image], strict=True):
        layers += [nn.GroupNorm(n_groups([n_in]), n_in), nn.SiLU(), nn.ConvTranspose2d(n_in, n_out, 4, 2, 1)]
    return layers


def kl_to_prior(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, exp(log_variance)) || N(0, I)) [n] of mean, log_variance [n, d]: Kingma and Welling 2014, App. B."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1)


def gaussian_log_likelihood(x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """log N(x; mean, variance I) [n]: x and mean [n, ...], variance []."""
    each = (x - mean).square() / variance + variance.log() + math.log(2 * math.pi)
    return -0.5 * each.flatten(1).sum(dim=1)


def bernoulli_log_likelihood(x: Tensor, logits: Tensor) -> Tensor:
    """sum x log p + (1 - x) log(1 - p) [n], p = sigmoid(logits): for grey x in [0, 1] its mean over images whose pixels
    are set to 1 with probability x."""
    return -nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(dim=1)


def means(raw: Tensor, pixels: Pixels) -> Tensor:
    """What `decode` gave -> the mean of p(x|z), in units where bytes lie in [-1, 1]."""
    return 2 * raw.sigmoid() - 1 if pixels == "bernoulli" else raw


def log_likelihood(raw: Tensor, x: Tensor, variance: Tensor, pixels: Pixels) -> Tensor:
    """log p(x|z) [n] of bytes x [n, C, H, W], from what `decode` gave for z; variance []: of Gaussian pixels."""
    if pixels == "bernoulli":
        return bernoulli_log_likelihood(x.float() / 255, raw)
    return gaussian_log_likelihood(to_unit(x), raw, variance)


def elbo_loss(
    net: nn.Module, x: Tensor, label: Tensor, generator: torch.Generator, *, pixels: Pixels, beta: float
) -> tuple[Tensor, Tensor]:
    """(mean over rows of beta KL(q(z|x) || N(0, I)) - log p(x|z), z ~ q(z|x), per pixel; the mean squared error [1]).

    beta = 1: less the evidence lower bound (Kingma and Welling 2014, Eq. (10)); others: Higgins et al. 2017, Eq. (4).
    """
    assert isinstance(net, VaeNet)
    mean, log_variance = net.encode(to_unit(x))
    eps = torch.randn(mean.shape, generator=generator).to(mean.device)
    raw = net.decode(mean + (0.5 * log_variance).exp() * eps)
    terms = beta * kl_to_prior(mean, log_variance) - log_likelihood(raw, x, net.variance, pixels)
    error = (to_unit(x) - means(raw.detach(), pixels)).square().mean()
    return terms.mean() / math.prod(x.shape[1:]), error[None]


def publish(net: VaeNet, z: Tensor, pixels: Pixels, eps: Tensor | None) -> Tensor:
    """Bytes [n, C, H, W]: the mean of p(x|z), or a draw from it that the standard normal eps [n, C, H, W] decides."""
    mean = means(net.decode(z), pixels)
    if eps is None:
        return to_bytes(mean)
    if pixels == "gaussian":
        return to_bytes(mean + net.variance.sqrt() * eps)
    return 255 * (2 * torch.special.ndtr(eps) - 1 < mean).to(torch.uint8)
