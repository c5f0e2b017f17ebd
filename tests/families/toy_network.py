"""A network family that fits in milliseconds: a linear map of noise to vectors."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from mad_ray.core.keys import Keys
from mad_ray.core.samples import Event
from mad_ray.families.network import Network, noise
from mad_ray.families.phase import Phase


@dataclass(frozen=True)
class Toy(Network):
    """Samples are W z + b; the loss pulls them to the data's first rows, which is all the same to the tests."""

    name: ClassVar[str] = "toy"

    n_steps: int = 20
    batch_size: int = 8
    chunk: int = 16

    def build(self, event: Event) -> nn.Module:
        return nn.Linear(event.shape[0], event.shape[0])

    def phases(self, net: nn.Module, event: Event, keys: Keys) -> list[Phase]:
        return [Phase(net, _loss)]

    def draw_chunk(self, net: nn.Module, event: Event, first: int, bias: float, keys: Keys) -> np.ndarray:
        z = torch.from_numpy(noise(keys, first, self.chunk, event.shape)) * bias**0.5
        return net(z).numpy().astype(event.dtype)


def _loss(net: nn.Module, x: torch.Tensor, label: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return nn.functional.mse_loss(net(torch.randn(x.shape, generator=generator)), x.float())
