"""Convolutional variational autoencoder for images, whose prior lambda narrows."""

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from mad_ray.core.keys import Keys
from mad_ray.core.loop import Loop
from mad_ray.core.samples import Event
from mad_ray.families.network import Network, noise, require, require_images

if TYPE_CHECKING:
    from torch import nn

    from mad_ray.families.phase import Phase


@dataclass(frozen=True)
class Vae(Network):
    """A variational autoencoder (Kingma and Welling 2014; Shumailov et al. 2024 saw its tails vanish). Images [C, H, W]
    uint8, at least 8x8. Bias: z ~ N(0, lambda I), so that 0 gives one image, that of the prior's mode. (Our extension,
    after the paper's rule for flows: the paper has no autoencoder.)
    """

    name: ClassVar[str] = "vae"

    channels: list[int] | tuple[int, ...] = (32, 64)
    """Channels of each level; every level halves the image."""
    n_latent: int = 16
    """Dimensions of z."""
    pixels: Literal["gaussian", "bernoulli"] = "gaussian"
    """p(x|z): Gaussian pixels of one variance, which follows the error of reconstruction (Rybkin et al. 2021), for any
    image; or Bernoulli pixels, for images that are nearly black and white, whose greys count as probabilities."""
    published: Literal["mean", "draw"] = "mean"
    """The image made of z: the mean of p(x|z), as is usual, smooth and without the pixels' noise, so that even at
    lambda = 1 it has less variance than the model (and than D^t); or a draw from p(x|z), noise and all, from which
    lambda = 1 is unbiased. Lambda never touches the pixels' noise."""
    beta: float = 1.0
    """Weight of the divergence from the prior: 1 is the ELBO; less gives sharper images of z that fit the prior worse
    (Higgins et al. 2017)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "channels", tuple(self.channels))
        require(
            len(self.channels) > 0 and all(c >= 2 and c % 2 == 0 for c in self.channels),
            f"family.channels={list(self.channels)}: needs even, positive numbers, one per level, such as [32, 64]",
        )
        require(self.n_latent >= 1, f"family.n_latent={self.n_latent}: z needs at least 1 dimension; typical: 16")
        require(
            math.isfinite(self.beta) and self.beta >= 0,
            f"family.beta={self.beta} is no weight; 1 is the ELBO, 0 a plain autoencoder",
        )

    def check(self, event: Event, loop: Loop, workers: int) -> None:
        """Images, not so small that the lowest level would hold less than 2x2 pixels."""
        require_images(self.name, event)
        side = min(event.shape[1:])
        require(
            side >> len(self.channels) >= 2,
            f"family=vae: {len(self.channels)} levels of channels halve images of {event.shape[1]}x{event.shape[2]} "
            "below 2x2; drop levels from family.channels, or use larger images",
        )
        super().check(event, loop, workers)

    def build(self, event: Event) -> "nn.Module":
        from mad_ray.families.vae_net import VaeNet

        return VaeNet(event.shape, self.channels, self.n_latent)

    def phases(self, net: Any, event: Event, keys: Keys) -> "list[Phase]":
        """One: less the ELBO. After each step Gaussian pixels take over their new variance."""
        from mad_ray.families.phase import Phase
        from mad_ray.families.vae_net import elbo_loss

        follow = net.follow if self.pixels == "gaussian" else None
        return [Phase(net, partial(elbo_loss, pixels=self.pixels, beta=self.beta), after=follow)]

    def draw_chunk(self, net: Any, event: Event, first: int, bias: float, keys: Keys) -> np.ndarray:
        """uint8 [chunk, C, H, W]. Pixels' noise has streams of its own: both settings of `published` see the same z."""
        import torch

        from mad_ray.families.vae_net import publish

        def normal(keys: Keys, shape: tuple[int, ...]) -> torch.Tensor:
            return torch.from_numpy(noise(keys, first, self.chunk, shape)).to(net.variance.device)

        eps = normal(keys.at("pixels"), event.shape) if self.published == "draw" else None
        z = math.sqrt(bias) * normal(keys, (self.n_latent,))
        return publish(net, z, self.pixels, eps).cpu().numpy()
