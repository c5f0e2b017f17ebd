"""Denoising diffusion on tensors: the noise schedule, the training loss, guidance, and three samplers.

Images x lie in [-1, 1]; abar [T] is the product of the alphas (Ho et al. 2020); t counts 0..T-1. The network predicts
the noise, eps(x, t, label). Imports torch.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mad_ray.shims import mend_torchvision

Noise = Callable[[], Tensor]
"""Fresh standard normal noise, [n, C, H, W]."""
Denoiser = Callable[[Tensor, int], Tensor]
"""(x_t, t) -> estimate of x_0, clipped to [-1, 1]."""


@lru_cache
def abar_of(schedule: str, T: int) -> Tensor:
    """abar [T] of diffusers' named schedule, float32."""
    mend_torchvision()
    from diffusers import DDPMScheduler

    scheduler: Any = DDPMScheduler(num_train_timesteps=T, beta_schedule=schedule)
    return scheduler.alphas_cumprod


def eps_loss(
    net: nn.Module, x: Tensor, label: Tensor, generator: torch.Generator, abar: Tensor, n_classes: int, dropout: float
) -> Tensor:
    """Mean squared error of the predicted noise, Eq. (14) of Ho et al. 2020; labels dropped as in Ho and Salimans 2022.

    x [n, C, H, W] uint8, label [n] (negative: none).
    """
    n = len(x)
    t = torch.randint(len(abar), (n,), generator=generator)
    eps = torch.randn(x.shape, generator=generator).to(x.device)
    dropped = (torch.rand(n, generator=generator) < dropout).to(x.device)
    label = torch.where(dropped | (label < 0), n_classes, label)
    a = abar[t].to(x.device).view(-1, 1, 1, 1)
    noisy = a.sqrt() * to_unit(x) + (1 - a).sqrt() * eps
    return nn.functional.mse_loss(net(noisy, t.to(x.device), label, return_dict=False)[0], eps)


def to_unit(x: Tensor) -> Tensor:
    """uint8 -> float32 in [-1, 1]."""
    return x.float() / 127.5 - 1


def to_bytes(x: Tensor) -> Tensor:
    """[-1, 1] -> the nearest uint8."""
    return ((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def guidance_of(bias: float) -> float:
    """w = (1 - lambda)/lambda: the guidance whose lambda = 1/(1 + w)."""
    return (1 - bias) / bias


def guided_eps(net: nn.Module, x: Tensor, t: int, label: Tensor, n_classes: int, w: float) -> Tensor:
    """(1 + w) eps(x, t, label) - w eps(x, t, none), Eq. (6) of Ho and Salimans 2022; both in one forward pass."""
    if w == 0:
        return net(x, t, label, return_dict=False)[0]
    labels = torch.cat([label, torch.full_like(label, n_classes)])
    conditional, unconditional = net(torch.cat([x, x]), t, labels, return_dict=False)[0].chunk(2)
    return (1 + w) * conditional - w * unconditional


def eps_to_x0(x: Tensor, eps: Tensor, abar_t: Tensor) -> Tensor:
    """The x_0 that this noise implies, clipped to where images lie: Eq. (15) of Ho et al. 2020."""
    return ((x - (1 - abar_t).sqrt() * eps) / abar_t.sqrt()).clamp(-1, 1)


def timesteps(T: int, n_steps: int) -> list[int]:
    """n_steps of T, evenly spaced, from T - 1 down ("trailing" in Table 2 of Lin et al. 2024)."""
    return [round(T - k * T / n_steps) - 1 for k in range(n_steps)]


def step(x: Tensor, x0: Tensor, abar_t: Tensor, abar_prev: Tensor, eta: float, noise: Noise) -> Tensor:
    """x_t -> x_prev, Eq. (12) and (16) of Song et al. 2021: eta = 0 is DDIM, eta = 1 the ancestral step of DDPM.

    With eta = 1 it is the posterior q(x_prev | x_t, x_0) of Ho et al. 2020, Eq. (7), for the clipped x_0.
    """
    sigma = eta * ((1 - abar_prev) / (1 - abar_t) * (1 - abar_t / abar_prev)).sqrt()
    eps = (x - abar_t.sqrt() * x0) / (1 - abar_t).sqrt()
    mean = abar_prev.sqrt() * x0 + (1 - abar_prev - sigma**2).clamp(min=0).sqrt() * eps
    return mean + sigma * noise() if sigma > 0 else mean


def _walk(eta: float, abar: Tensor, x: Tensor, denoise: Denoiser, n_steps: int, noise: Noise) -> Tensor:
    for t, prev in _pairs(timesteps(len(abar), n_steps)):
        x = step(x, denoise(x, t), abar[t], abar[prev] if prev >= 0 else torch.ones(()), eta, noise)
    return x


def _pairs(steps: list[int]) -> Iterator[tuple[int, int]]:
    return zip(steps, [*steps[1:], -1], strict=True)


def ddim(abar: Tensor, x: Tensor, denoise: Denoiser, n_steps: int, noise: Noise) -> Tensor:
    """Denoising diffusion implicit models (Song et al. 2021): deterministic, few steps."""
    return _walk(0.0, abar, x, denoise, n_steps, noise)


def ancestral(abar: Tensor, x: Tensor, denoise: Denoiser, n_steps: int, noise: Noise) -> Tensor:
    """Ancestral sampling (Ho et al. 2020, Algorithm 2), on n_steps of the T steps."""
    return _walk(1.0, abar, x, denoise, n_steps, noise)


def dpm_solver(abar: Tensor, x: Tensor, denoise: Denoiser, n_steps: int, noise: Noise) -> Tensor:
    """DPM-Solver++ (2M) of Lu et al. 2022, as diffusers has it: deterministic, second order."""
    from diffusers import DPMSolverMultistepScheduler

    solver: Any = DPMSolverMultistepScheduler(
        num_train_timesteps=len(abar),
        trained_betas=(1 - abar.double() / torch.cat([torch.ones(1), abar[:-1]]).double()).tolist(),
        # It is handed the clipped x_0, since it cannot clip to a fixed range itself.
        prediction_type="sample",
        timestep_spacing="trailing",
        # The cosine schedule starts at signal-to-noise ratio 0, where log-SNR steps are infinite.
        lambda_min_clipped=-5.1,
    )
    solver.set_timesteps(n_steps)
    for t in solver.timesteps:
        x = solver.step(denoise(x, int(t)), t, x, return_dict=False)[0]
    return x


Sampler = Callable[[Tensor, Tensor, Denoiser, int, Noise], Tensor]
SAMPLERS: dict[str, Sampler] = {"ddim": ddim, "ancestral": ancestral, "dpm_solver": dpm_solver}


@torch.inference_mode()
def draw(
    net: nn.Module,
    label: np.ndarray,
    noise: Callable[[], np.ndarray],
    *,
    abar: Tensor,
    n_classes: int,
    bias: float,
    sampler: str,
    n_steps: int,
) -> np.ndarray:
    """uint8 [n, C, H, W]: one image per label [n] (negative: none), from x_T = the first noise drawn."""
    device = next(net.parameters()).device
    labels = torch.from_numpy(np.where(label < 0, n_classes, label)).to(device)
    w = guidance_of(bias)

    def denoise(x: Tensor, t: int) -> Tensor:
        return eps_to_x0(x, guided_eps(net, x, t, labels, n_classes, w), abar[t])

    def fresh() -> Tensor:
        return torch.from_numpy(noise()).to(device)

    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
        return to_bytes(SAMPLERS[sampler](abar, fresh(), denoise, n_steps, fresh)).cpu().numpy()
