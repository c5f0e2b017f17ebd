"""A network whose word is taken, and another whose word is taken back: negative guidance. Imports torch."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from mad_ray.families.family import Model
from mad_ray.families.kept import kept_module

PREFIX = "away."


class Guided(nn.Module):
    """(1 + w) f - w f_away at the same x, t and label (Alemohammad et al. 2024, SIMS)."""

    def __init__(self, net: nn.Module, away: nn.Module, w: float) -> None:
        super().__init__()
        self.net, self.away, self.w = net, away, w

    def forward(self, *args: Any, **kwargs: Any) -> tuple[Tensor]:
        """As diffusers' UNet2DModel answers: (prediction,)."""
        said, unwanted = self.net(*args, **kwargs)[0], self.away(*args, **kwargs)[0]
        return ((1 + self.w) * said - self.w * unwanted,)


def with_guidance(net: nn.Module, model: Model, settings: object, build: Callable[[], nn.Module]) -> nn.Module:
    """The network, or the two of them if the model holds another to keep away from."""
    if f"{PREFIX}w" not in model:
        return net
    other = {name.removeprefix(PREFIX): array for name, array in model.items() if name.startswith(f"{PREFIX}net.")}
    return Guided(net, kept_module(other, settings, build), float(model[f"{PREFIX}w"]))
