"""Denoising diffusion (Ho et al. 2020), class-conditional or not, with classifier-free guidance as its bias."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from mad_ray.core.samples import Event
from mad_ray.core.settings import STRICT
from mad_ray.families.denoising import SizedDiffusion
from mad_ray.families.network import require

if TYPE_CHECKING:
    from torch import Tensor

    from mad_ray.families.phase import Loss


MIN_LINEAR_T = 400
"""Below it more than 2 % of the variance at t = T is still the image's."""


@dataclass(frozen=True)
class DDPM(SizedDiffusion):
    """Denoising diffusion (Ho et al. 2020). Images [C, H, W] uint8; lambda = 1/(1 + w), w the guidance."""

    __pydantic_config__ = STRICT
    name: ClassVar[str] = "ddpm"

    T: int = 500
    """T: diffusion steps in training."""
    schedule: Literal["squaredcos_cap_v2", "linear"] = "linear"
    """Noise schedule, by diffusers' name: betas linear from 1e-4 to 0.02 (needs T >= 400), or cosine (any T)."""
    prediction: Literal["epsilon", "v"] = "epsilon"
    """What the network predicts: the noise, or v = sqrt(abar) noise - sqrt(1 - abar) image (Salimans and Ho 2022)."""
    learning_rate: float = 8e-3
    """Peak of the one-cycle schedule; wider networks want less, [32, 64] channels about 4e-3."""
    weight_decay: float = 1e-2
    """AdamW's weight decay."""
    sampler: Literal["ddim", "ancestral", "dpm_solver", "sde_dpm_solver"] = "ddim"
    """DDIM, DDPM's own ancestral sampling, DPM-Solver++ (2M), or its stochastic form."""
    sampler_steps: int = 10
    """Network evaluations per sample, at most T."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.T >= 1, f"family.T={self.T} is below 1; give a positive whole number")
        require(
            self.schedule != "linear" or self.T >= MIN_LINEAR_T,
            f"family.T={self.T} with schedule=linear ends before the image is noise, which sampling starts from: "
            f"raise T to {MIN_LINEAR_T} or more, or set schedule to squaredcos_cap_v2",
        )
        require(
            self.sampler_steps <= self.T,
            f"family.sampler_steps={self.sampler_steps} exceeds T={self.T}; lower sampler_steps or raise T",
        )

    def loss(self, event: Event) -> "Loss":
        """Of the noise, or of v."""
        from mad_ray.families.diffusion import abar_of, diffusion_loss

        return partial(
            diffusion_loss,
            abar=abar_of(self.schedule, self.T),
            n_classes=self.n_classes(event),
            dropout=self.condition_dropout,
            prediction=self.prediction,
        )

    def solve(self, said: "Callable[[Tensor, Any], Tensor]", noise: "Callable[[], Tensor]") -> "Tensor":
        """Down the steps from T, the estimate of x_0 clipped to where images lie."""
        from mad_ray.families.diffusion import abar_of, denoise

        return denoise(
            said,
            noise,
            abar=abar_of(self.schedule, self.T),
            prediction=self.prediction,
            sampler=self.sampler,
            n_steps=self.sampler_steps,
        )
