"""Rectified flow (Liu et al. 2022; flow matching on straight paths, Lipman et al. 2023) on tensors. Imports torch.

Time runs from noise at t = 0 to images in [-1, 1] at t = 1, x_t = (1 - t) noise + t image, and the network predicts the
velocity, v(x_t, t) = E[image - noise | x_t].
"""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from mad_ray.families.diffusion import to_unit
from mad_ray.families.guidance import hide_labels, predict

Velocity = Callable[[Tensor, Tensor], Tensor]
"""(x_t [n, C, H, W], t []) -> velocity."""

TIME = 1000.0
"""The network is told TIME t, since its embedding of time is made for diffusion's steps 0..T-1."""


def flow_loss(
    net: nn.Module, x: Tensor, label: Tensor, generator: torch.Generator, *, n_classes: int, dropout: float
) -> Tensor:
    """Mean squared error of the velocity at a uniform t, Eq. (1) of Liu et al. 2022; labels dropped for guidance.

    x [n, C, H, W] uint8, label [n] (negative: none).
    """
    t = torch.rand(len(x), generator=generator).to(x.device)
    noise = torch.randn(x.shape, generator=generator).to(x.device)
    label = hide_labels(label, n_classes, dropout, generator)
    image, share = to_unit(x), t.view(-1, 1, 1, 1)
    found = predict(net, (1 - share) * noise + share * image, TIME * t, label)
    return nn.functional.mse_loss(found, image - noise)


def euler(velocity: Velocity, x: Tensor, n_calls: int) -> Tensor:
    """x_0 -> x_1 in n_calls equal steps of Euler's method: first order, one call a step."""
    times = torch.linspace(0, 1, n_calls + 1, device=x.device)
    for t in times[:-1]:
        x = x + velocity(x, t) / n_calls
    return x


def heun(velocity: Velocity, x: Tensor, n_calls: int) -> Tensor:
    """x_0 -> x_1 in n_calls / 2 equal steps of Heun's method: second order, two calls a step."""
    n_steps = n_calls // 2
    times = torch.linspace(0, 1, n_steps + 1, device=x.device)
    for t, following in pairwise(times):
        slope = velocity(x, t)
        ahead = velocity(x + slope / n_steps, following)
        x = x + (slope + ahead) / (2 * n_steps)
    return x


SOLVERS: dict[str, Callable[[Velocity, Tensor, int], Tensor]] = {"euler": euler, "heun": heun}
