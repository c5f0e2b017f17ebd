"""Rectified flow (Liu et al. 2022; Lipman et al. 2023) on images, and the same flow through a transformer."""

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


@dataclass(frozen=True)
class FlowMatching(SizedDiffusion):
    """Flow matching on straight paths. lambda = 1/(1 + w), w the guidance on the velocity: our extension."""

    __pydantic_config__ = STRICT
    name: ClassVar[str] = "flow_matching"

    learning_rate: float = 8e-3
    """Peak of the one-cycle schedule; wider networks want less, [32, 64] channels about 4e-3."""
    weight_decay: float = 1e-2
    """AdamW's weight decay."""
    sampler: Literal["euler", "heun"] = "heun"
    """Solver of dx/dt = v(x, t): Euler's method, or Heun's, of second order at two evaluations a step."""
    sampler_steps: int = 10
    """Network evaluations per sample; for heun an even number, two for each step."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.sampler != "heun" or self.sampler_steps % 2 == 0,
            f"family.sampler_steps={self.sampler_steps} with sampler=heun: each step takes two network evaluations; "
            f"give an even number, or set sampler to euler",
        )

    def loss(self, event: Event) -> "Loss":
        """Of the velocity."""
        from mad_ray.families.rectified import flow_loss

        return partial(flow_loss, n_classes=self.n_classes(event), dropout=self.condition_dropout)

    def solve(self, said: "Callable[[Tensor, Any], Tensor]", noise: "Callable[[], Tensor]") -> "Tensor":
        """Along the velocity from t = 0 to 1."""
        from mad_ray.families.rectified import SOLVERS, TIME

        return SOLVERS[self.sampler](lambda x, t: said(x, TIME * t), noise(), self.sampler_steps)


@dataclass(frozen=True)
class DiT(FlowMatching):
    """A small diffusion transformer (Peebles and Xie 2023) trained by flow matching, as SiT is (Ma et al. 2024).

    `family: {name: ddpm, network: dit}` trains it by denoising, as its authors did. lambda as for flow_matching.
    """

    __pydantic_config__ = STRICT
    name: ClassVar[str] = "dit"

    network: Literal["dit"] = "dit"
    """The transformer."""
    learning_rate: float = 8e-3
    """Peak of the one-cycle schedule; wider and deeper networks want less, width 256 about 1e-3."""
