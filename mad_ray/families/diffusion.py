"""Denoising diffusion on tensors: the noise schedule, the training loss, and three samplers.

Images x lie in [-1, 1]; abar [T] is the product of the alphas (Ho et al. 2020); t counts 0..T-1, the noise eps is
standard normal, and x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps. Imports torch.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mad_ray.families.guidance import hide_labels, predict
from mad_ray.shims import mend_torchvision

Prediction = Literal["epsilon", "v", "sample"]
"""What the network predicts: the noise, the velocity v, or x_0."""
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


def diffusion_loss(
    net: nn.Module,
    x: Tensor,
    label: Tensor,
    generator: torch.Generator,
    *,
    abar: Tensor,
    n_classes: int,
    dropout: float,
    prediction: Prediction = "epsilon",
) -> Tensor:
    """Mean squared error of what is predicted, Eq. (14) of Ho et al. 2020; labels dropped as in Ho and Salimans 2022.

    x [n, C, H, W] uint8, label [n] (negative: none).
    """
    n = len(x)
    t = torch.randint(len(abar), (n,), generator=generator)
    eps = torch.randn(x.shape, generator=generator).to(x.device)
    label = hide_labels(label, n_classes, dropout, generator)
    image, a = to_unit(x), abar[t].to(x.device).view(-1, 1, 1, 1)
    noisy = a.sqrt() * image + (1 - a).sqrt() * eps
    return nn.functional.mse_loss(predict(net, noisy, t.to(x.device), label), target(image, eps, a, prediction))


def target(x0: Tensor, eps: Tensor, abar_t: Tensor, prediction: Prediction) -> Tensor:
    """What the network is to say: the noise, v = sqrt(abar) eps - sqrt(1 - abar) x_0, or x_0 itself.

    v: Section 4 of Salimans and Ho 2022, with alpha = sqrt(abar) and sigma = sqrt(1 - abar).
    """
    if prediction == "v":
        return abar_t.sqrt() * eps - (1 - abar_t).sqrt() * x0
    return eps if prediction == "epsilon" else x0


def to_x0(x: Tensor, said: Tensor, abar_t: Tensor, prediction: Prediction) -> Tensor:
    """The x_0 that follows from x_t and what the network said: Eq. (15) of Ho et al. 2020; v as in `target`."""
    if prediction == "v":
        return abar_t.sqrt() * x - (1 - abar_t).sqrt() * said
    return (x - (1 - abar_t).sqrt() * said) / abar_t.sqrt() if prediction == "epsilon" else said


def to_eps(x: Tensor, x0: Tensor, abar_t: Tensor) -> Tensor:
    """The noise in x_t if this is x_0."""
    return (x - abar_t.sqrt() * x0) / (1 - abar_t).sqrt()


def to_unit(x: Tensor) -> Tensor:
    """uint8 -> float32 in [-1, 1]."""
    return x.float() / 127.5 - 1


def to_bytes(x: Tensor) -> Tensor:
    """[-1, 1] -> the nearest uint8."""
    return ((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def timesteps(T: int, n_steps: int) -> list[int]:
    """n_steps of T, evenly spaced, from T - 1 down ("trailing" in Table 2 of Lin et al. 2024)."""
    return [round(T - k * T / n_steps) - 1 for k in range(n_steps)]


def step(x: Tensor, x0: Tensor, abar_t: Tensor, abar_prev: Tensor, eta: float, noise: Noise) -> Tensor:
    """x_t -> x_prev, Eq. (12) and (16) of Song et al. 2021: eta = 0 is DDIM, eta = 1 the ancestral step of DDPM.

    With eta = 1 it is the posterior q(x_prev | x_t, x_0) of Ho et al. 2020, Eq. (7), for the clipped x_0.
    """
    sigma = eta * ((1 - abar_prev) / (1 - abar_t) * (1 - abar_t / abar_prev)).sqrt()
    rest = (1 - abar_prev - sigma**2).clamp(min=0).sqrt()
    mean = abar_prev.sqrt() * x0 + rest * to_eps(x, x0, abar_t)
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


def _dpm(algorithm: str, abar: Tensor, x: Tensor, denoise: Denoiser, n_steps: int, noise: Noise | None) -> Tensor:
    from diffusers import DPMSolverMultistepScheduler

    solver: Any = DPMSolverMultistepScheduler(
        num_train_timesteps=len(abar),
        trained_betas=(1 - abar.double() / torch.cat([torch.ones(1), abar[:-1]]).double()).tolist(),
        algorithm_type=algorithm,
        # It is handed the clipped x_0, since it cannot clip to a fixed range itself.
        prediction_type="sample",
        timestep_spacing="trailing",
        # The cosine schedule starts at signal-to-noise ratio 0, where log-SNR steps are infinite.
        lambda_min_clipped=-5.1,
    )
    solver.set_timesteps(n_steps)
    for t in solver.timesteps:
        fresh = noise() if noise else None
        x = solver.step(denoise(x, int(t)), t, x, variance_noise=fresh, return_dict=False)[0]
    return x


def dpm_solver(abar: Tensor, x: Tensor, denoise: Denoiser, n_steps: int, noise: Noise) -> Tensor:
    """DPM-Solver++ (2M) of Lu et al. 2022, as diffusers has it: deterministic, second order."""
    return _dpm("dpmsolver++", abar, x, denoise, n_steps, None)


def sde_dpm_solver(abar: Tensor, x: Tensor, denoise: Denoiser, n_steps: int, noise: Noise) -> Tensor:
    """SDE-DPM-Solver++ (2M) of Lu et al. 2022: fresh noise in every step, which makes up for errors of the network."""
    return _dpm("sde-dpmsolver++", abar, x, denoise, n_steps, noise)


Sampler = Callable[[Tensor, Tensor, Denoiser, int, Noise], Tensor]
SAMPLERS: dict[str, Sampler] = {
    "ddim": ddim,
    "ancestral": ancestral,
    "dpm_solver": dpm_solver,
    "sde_dpm_solver": sde_dpm_solver,
}


def denoise(
    said: Callable[[Tensor, int], Tensor],
    noise: Noise,
    *,
    abar: Tensor,
    prediction: Prediction,
    sampler: str,
    n_steps: int,
) -> Tensor:
    """From x_T = the first noise drawn to x_0 [n, C, H, W]; said: what the network says of (x_t, t).

    Estimates of x_0 are clipped to [-1, 1] on the way, as in the code of Ho et al. 2020.
    """

    def clipped_x0(x: Tensor, t: int) -> Tensor:
        return to_x0(x, said(x, t), abar[t], prediction).clamp(-1, 1)

    return SAMPLERS[sampler](abar, noise(), clipped_x0, n_steps, noise)
