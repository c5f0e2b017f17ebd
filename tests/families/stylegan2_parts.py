"""What the tests of StyleGAN2's parts share: small networks, and numbers from seeds."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from mad_ray.families.neural import initialised
from mad_ray.families.stylegan2 import StyleGAN2
from mad_ray.families.stylegan2.discriminator import Discriminator
from mad_ray.families.stylegan2.game import Game, Rules
from mad_ray.families.stylegan2.generator import Generator, Widths

TINY = StyleGAN2(n_steps=2, batch_size=8, channel_base=64, channel_max=8, style_size=8, mean_styles=64, chunk=16)
WIDTHS = Widths(n_channels=1, size=8, channel_base=64, channel_max=4)


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Float64, N(0, 1)."""
    return torch.randn(*shape, generator=chance(seed), dtype=torch.float64)


def built(build: Callable[[], nn.Module], seed: int = 1) -> Any:
    """In float64."""
    return initialised(build, seed).double()


def game(**changes: Any) -> Game:
    """Two tiny networks, by the rules of TINY with these changed."""
    family = replace(TINY, **changes)
    rules = Rules(**{name: getattr(family, name) for name in Rules.__dataclass_fields__})
    net = initialised(lambda: Generator(WIDTHS, 8, 2, 0.01), 1)
    return Game(net, initialised(lambda: Discriminator(WIDTHS, 4), 2), rules)
