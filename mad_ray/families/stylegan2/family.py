"""StyleGAN2 (Karras et al. 2019, 2020) with adaptive augmentation; truncation of its styles is its sampling bias."""

from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from mad_ray.core.keys import Keys
from mad_ray.core.loop import Loop
from mad_ray.core.samples import Event
from mad_ray.core.settings import STRICT
from mad_ray.families.family import Model
from mad_ray.families.network import Network, noise, require, require_images

if TYPE_CHECKING:
    from torch import nn

    from mad_ray.families.phase import Phase
    from mad_ray.families.rows import Rows
    from mad_ray.families.stylegan2.generator import Widths

Kind = Literal["flip", "rotate", "translate", "scale", "colour"]
KINDS: tuple[Kind, ...] = ("flip", "rotate", "translate", "scale", "colour")
SMALLEST, LARGEST = 8, 256
"""Heights and widths of generated images: powers of two between these."""


@dataclass(frozen=True)
class StyleGAN2(Network):
    """Generator and discriminator that train each other. Images [C, H, W] uint8 up to 256x256, unconditional.

    lambda is the truncation of Karras et al. 2019: w' = mean(w) + lambda (w - mean(w)). Networks are square and a power
    of two; of images that are not, right and lower edge are repeated in training and cut off from samples.
    """

    __pydantic_config__ = STRICT
    name: ClassVar[str] = "stylegan2"

    n_steps: int = 1000
    """Steps of each network in each generation's training, from scratch; regularisers come on top."""
    batch_size: int = 32
    """Images per step."""
    learning_rate: float = 2.5e-3
    """Adam's learning rate of both networks, constant."""
    ema_decay: float = 0.99
    """Decay of the moving average of the generator's weights, which is the model: 0.5^(batch_size / h) for a half-life
    of h images, 10,000 in the paper. Warmed up, so that short runs forget their start."""
    style_size: int = 64
    """Length of latents z and styles w; 512 in the paper."""
    mapping_layers: int = 2
    """Layers of the mapping from z to w; 8 in the paper of 2019, 2 for small images in that of 2020 on limited data."""
    mapping_multiplier: float = 0.01
    """How much slower the mapping learns than the rest."""
    channel_base: int = 512
    """Feature maps times height of a layer: at r x r pixels there are channel_base / r, at most channel_max."""
    channel_max: int = 64
    """Most feature maps of a layer; 512 in the paper, with channel_base 16384 or 32768."""
    stddev_group: int = 4
    """Images whose spread the discriminator sees; batch_size / micro_batches must be a multiple of it."""
    style_mixing: float = 0.9
    """Share of images in training whose style changes at a random layer."""
    r1_gamma: float = 1.0
    """gamma of R1, the discriminator's gradient penalty on real images; 0: none."""
    r1_every: int = 16
    """Steps between two R1 penalties, each counted that many times (lazy regularisation)."""
    path_weight: float = 2.0
    """Weight of the path-length penalty on the generator; 0: none."""
    path_every: int = 4
    """Steps between two path-length penalties, each counted that many times."""
    path_decay: float = 0.01
    """Share of the newest path lengths in their running mean."""
    augment: tuple[Kind, ...] = KINDS
    """What the discriminator's images are changed by, each with a probability p that adapts: left-right flips, turns by
    90 degrees, shifts by whole pixels (to 1/8 of the size), zoom, and colour (brightness and contrast; of images with 3
    channels saturation and hue too). Empty: nothing."""
    augment_target: float = 0.6
    """The mean sign of D(real) that p is adapted to: above it the discriminator overfits, and p rises."""
    augment_images: int = 500_000
    """Images in which p could go from 0 to 1."""
    augment_max: float = 0.8
    """Largest p; above 0.8 augmentations leak into what is generated."""
    mean_styles: int = 4096
    """Latents whose mean style is the centre of truncation."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "augment", tuple(self.augment))
        for name in (
            "style_size",
            "mapping_layers",
            "channel_base",
            "channel_max",
            "stddev_group",
            "r1_every",
            "path_every",
            "augment_images",
            "mean_styles",
        ):
            value = getattr(self, name)
            require(value >= 1, f"family.{name}={value} is below 1; give a positive whole number")
        for name in ("style_mixing", "path_decay", "augment_max"):
            value = getattr(self, name)
            require(0 <= value <= 1, f"family.{name}={value} is outside [0, 1]; it is a share")
        for name in ("r1_gamma", "path_weight"):
            value = getattr(self, name)
            require(value >= 0, f"family.{name}={value} is negative; 0 turns it off")
        require(
            self.mapping_multiplier > 0,
            f"family.mapping_multiplier={self.mapping_multiplier} is not positive; typical: 0.01",
        )
        require(
            -1 < self.augment_target < 1,
            f"family.augment_target={self.augment_target} is outside (-1, 1); typical: 0.6",
        )
        part = self.batch_size // self.micro_batches
        require(
            part % self.stddev_group == 0,
            f"family.batch_size={self.batch_size} in micro_batches={self.micro_batches} leaves {part} images a part, "
            f"no multiple of stddev_group={self.stddev_group}; change one of the three",
        )

    def check(self, event: Event, loop: Loop, workers: int) -> None:
        """InvalidInput where the data are no images, or too large, or the workers cannot share a step."""
        super().check(event, loop, workers)
        require_images(self.name, event)
        require(
            max(event.shape[1:]) <= LARGEST,
            f"family=stylegan2 draws images of at most {LARGEST}x{LARGEST} pixels; data gives {list(event.shape)}: "
            "choose smaller images, where the source has a field for it by data.size",
        )

    def build(self, event: Event) -> "nn.Module":
        """The generator."""
        from mad_ray.families.stylegan2.generator import Generator

        return Generator(self._widths(event), self.style_size, self.mapping_layers, self.mapping_multiplier)

    def phases(self, net: "nn.Module", event: Event, keys: Keys) -> "list[Phase]":
        """Steps of the discriminator and of the generator, and their regularisers."""
        from mad_ray.families.neural import initialised
        from mad_ray.families.stylegan2.discriminator import Discriminator
        from mad_ray.families.stylegan2.game import Game, Rules
        from mad_ray.families.stylegan2.generator import Generator

        assert isinstance(net, Generator)
        build = partial(Discriminator, self._widths(event), self.stddev_group)
        rules = Rules(**{rule.name: getattr(self, rule.name) for rule in fields(Rules)})
        discriminator = initialised(build, keys.seed(0, "init", "discriminator"))
        assert isinstance(discriminator, Discriminator)
        return Game(net, discriminator, rules).phases()

    def finish(self, net: "nn.Module", rows: "Rows", keys: Keys) -> Model:
        """The mean style of the averaged weights, over addressed latents; it takes its place in the model's arrays."""
        import torch

        from mad_ray.families.stylegan2.generator import Generator

        assert isinstance(net, Generator)
        z = noise(keys.at("mean_style"), 0, self.mean_styles, (self.style_size,))
        with torch.inference_mode():
            w = net.mapping(torch.from_numpy(z).to(net.mean_style.device)).double().mean(dim=0)
        return {"net.mean_style": w.float().cpu().numpy()}

    def draw_chunk(self, net: "nn.Module", event: Event, first: int, bias: float, keys: Keys) -> np.ndarray:
        """uint8 [chunk, C, H, W]: samples first..first + chunk. Sample i's latent and noise maps are its own stream."""
        import torch

        from mad_ray.families.diffusion import to_bytes
        from mad_ray.families.stylegan2.generator import Generator, truncated

        assert isinstance(net, Generator)
        numbers = torch.from_numpy(noise(keys, first, self.chunk, (self.style_size + net.n_noise,)))
        z, maps = numbers.to(net.mean_style.device).split([self.style_size, net.n_noise], dim=1)
        w = truncated(net.mapping(z), net.mean_style, bias)
        x = to_bytes(net(w[:, None].expand(-1, net.n_styles, -1), maps))
        return x[:, :, : event.shape[1], : event.shape[2]].cpu().numpy()

    def _widths(self, event: Event) -> "Widths":
        from mad_ray.families.stylegan2.generator import Widths

        return Widths(event.shape[0], size_of(event), self.channel_base, self.channel_max)


def size_of(event: Event) -> int:
    """The smallest power of two, 8 at least, that holds the image."""
    return max(SMALLEST, 1 << (max(event.shape[1:]) - 1).bit_length())
