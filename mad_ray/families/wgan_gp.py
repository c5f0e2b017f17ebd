"""Wasserstein GAN with gradient penalty (Gulrajani et al. 2017) for images, whose latent lambda narrows."""

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

BETAS = (0.0, 0.9)
"""Of Adam, in Algorithm 1 of Gulrajani et al. 2017."""


@dataclass(frozen=True)
class WganGp(Network):
    """A convolutional generator, trained against a critic whose gradient is held to length 1 (Gulrajani et al. 2017).
    Images [C, H, W] uint8, of any size. Bias: z ~ N(0, lambda I), so that 0 gives one image alone. (Our extension,
    after the paper's rule for flows: the paper runs WGAN-GP at lambda = 1 only. Nothing makes that one image likely,
    so that, unlike truncation or guidance, small lambda need not look clean.)

    The defaults suit short fits: on 3,000 digits of MNIST FID (LeNet) comes to about 120 in 15 CPU seconds.
    """

    name: ClassVar[str] = "wgan_gp"

    channels: list[int] | tuple[int, ...] = (32, 64)
    """Channels of each level of the critic, in the generator in reverse; every level halves the image."""
    patch: int = 2
    """The critic sees squares of so many pixels a side as one place of its first map; 1: every pixel is a place, finer
    and dearer."""
    kernel_size: int = 3
    """Side of the critic's kernels, odd (the authors' network has 5); the generator's are one larger."""
    critic_norm: Literal["none", "layer"] = "none"
    """Between the critic's layers: nothing, as in the authors' network for MNIST, or layer normalisation."""
    n_latent: int = 64
    """Dimensions of z (the paper: 128)."""
    n_critic: int = 2
    """Steps of the critic before each of the generator (the paper: 5)."""
    penalty: float = 10.0
    """Weight of the gradient penalty."""
    schedule: Literal["one_cycle", "constant"] = "one_cycle"
    """Of the learning rate: up over the first tenth and down to zero, for short fits; or constant (the paper)."""
    n_steps: int = 400
    """Steps of the generator in each generation's training, from scratch; each follows n_critic of the critic."""
    batch_size: int = 32
    """Images per step, real ones and generated ones each (the paper: 64)."""
    learning_rate: float = 1e-2
    """Adam's, of both networks; of a one-cycle schedule the peak. The paper's 1e-4 wants many thousands of steps."""
    ema_decay: float = 0.98
    """Decay of the moving average of the generator's weights, which is the model; 0: the weights themselves."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "channels", tuple(self.channels))
        require(
            len(self.channels) > 0 and all(c >= 1 for c in self.channels),
            f"family.channels={list(self.channels)}: needs positive numbers, one per level, such as [32, 64]",
        )
        for name in ("patch", "n_latent", "n_critic"):
            value = getattr(self, name)
            require(value >= 1, f"family.{name}={value} is below 1; give a positive whole number")
        require(
            self.kernel_size >= 3 and self.kernel_size % 2 == 1,
            f"family.kernel_size={self.kernel_size}: kernels are centred; give an odd number, 3 or more",
        )
        require(
            math.isfinite(self.penalty) and self.penalty > 0,
            f"family.penalty={self.penalty}: without it the critic has no bound; give a positive weight, typical: 10",
        )

    def check(self, event: Event, loop: Loop, workers: int) -> None:
        """Images, large enough for every level to halve something."""
        require_images(self.name, event)
        least = self.patch * 2 ** (len(self.channels) - 1) + 1
        require(
            min(event.shape[1:]) >= least,
            f"family=wgan_gp with {len(self.channels)} levels of channels and patch={self.patch} needs images of "
            f"{least}x{least} at least, found {event.shape[1]}x{event.shape[2]}; drop levels, or lower family.patch",
        )
        super().check(event, loop, workers)

    def steps_of(self, n: int) -> int:
        """Steps of the generator for n rows; an epoch is once through D^t by the critic."""
        per_step = self.batch_size * self.n_critic
        return max(1, round(self.epochs * n / per_step)) if self.epochs else self.n_steps

    def images_of_fit(self, n: int) -> int:
        """Real images that the critic sees."""
        return self.steps_of(n) * self.batch_size * self.n_critic

    def build(self, event: Event) -> "nn.Module":
        """The generator."""
        from mad_ray.families.wgan_nets import Generator

        return Generator(event.shape, self.channels, self.n_latent, self.kernel_size)

    def phases(self, net: "nn.Module", event: Event, keys: Keys) -> "list[Phase]":
        """n_critic steps of the critic, then one of the generator: Algorithm 1."""
        from mad_ray.families.neural import initialised
        from mad_ray.families.phase import Phase
        from mad_ray.families.wgan_nets import Critic, critic_loss, generator_loss

        build = partial(Critic, event.shape, self.channels, self.patch, self.kernel_size, self.critic_norm)
        critic = initialised(build, keys.seed(0, "init", "critic"))
        # The paper clips no gradients; the penalty bounds them.
        phase = partial(Phase, betas=BETAS, schedule=self.schedule, max_grad_norm=0)
        judge = partial(critic_loss, net=net, n_latent=self.n_latent, penalty=self.penalty)
        please = partial(generator_loss, critic=critic, n_latent=self.n_latent)
        return [
            phase(critic, judge, address=("critic",), repeats=self.n_critic),
            phase(net, please, address=("generator",)),
        ]

    def draw_chunk(self, net: Any, event: Event, first: int, bias: float, keys: Keys) -> np.ndarray:
        """uint8 [chunk, C, H, W]: G(sqrt(lambda) z), z ~ N(0, I)."""
        import torch

        from mad_ray.families.diffusion import to_bytes

        z = torch.from_numpy(noise(keys, first, self.chunk, (self.n_latent,)))
        z = z.to(next(net.parameters()).device)
        return to_bytes(net(math.sqrt(bias) * z)).cpu().numpy()
