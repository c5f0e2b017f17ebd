"""Glow-style normalizing flow on vectors: exact likelihood, and a base that lambda narrows."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from mad_ray.core.keys import Keys
from mad_ray.core.loop import Loop
from mad_ray.core.samples import Event
from mad_ray.families.network import Network, arrays_to_event, noise, require
from mad_ray.families.vectors import require_vectors

if TYPE_CHECKING:
    from torch import nn

    from mad_ray.families.phase import Phase
    from mad_ray.families.rows import Rows

N_START = 4096
"""Rows, the first of the training order, from which every ActNorm takes its start."""


@dataclass(frozen=True)
class Flow(Network):
    """Affine couplings with ActNorm and learned linear maps between them (Kingma and Dhariwal 2018), fitted by maximum
    likelihood. Vectors of any d >= 2. Bias: the base is N(0, lambda I), as in section 4.2 of the paper, which has it
    from Glow's temperature; lambda = 1 samples from the very density that was fitted, 0 gives one point.
    """

    name: ClassVar[str] = "flow"
    measures: ClassVar[tuple[str, ...]] = ("nll",)
    """nll: mean negative log-likelihood of the source's held-out rows at lambda = 1, in nats a row; NaN where the
    source has none (Source.law: held_out)."""

    n_couplings: int = 8
    """Coupling layers, each with its ActNorm and linear map. The paper: 8."""
    hidden: int = 64
    """Width of the two hidden layers in each coupling's network. The paper: 64."""
    epochs: int = 20
    """How often training goes through D^t. The paper: 20. 0: n_steps counts."""
    batch_size: int = 256
    """Rows per optimiser step. The paper: 256."""
    learning_rate: float = 5e-3
    """Peak of the one-cycle schedule. The paper does not say; at its other settings 5e-3 ends 0.0015 nats from
    data=rosenbrock, 2e-3 0.018."""
    chunk: int = 1024
    """Samples per forward pass. Part of what a sample is: batch sizes change the rounding of matrix products."""
    precision: Literal["float32", "tf32", "bf16"] = "float32"
    """Of matrix products on CUDA. Less than float32 makes the likelihood inexact: the map back is no longer the inverse
    of the map that was trained."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("n_couplings", "hidden"):
            value = getattr(self, name)
            require(value >= 1, f"family.{name}={value} is below 1; the paper has 8 couplings and hidden 64")

    def check(self, event: Event, loop: Loop, workers: int) -> None:
        """Vectors of at least two coordinates: a coupling moves one half by what the other says."""
        require_vectors(self.name, event, "rosenbrock")
        require(
            event.dtype.startswith("float") and event.shape[0] >= 2,
            f"family=flow needs vectors of at least 2 real coordinates; data gives {event.dtype} {list(event.shape)}: "
            "use data=rosenbrock, or family=gmm",
        )
        super().check(event, loop, workers)

    def build(self, event: Event) -> "nn.Module":
        from mad_ray.families.couplings import FlowNet

        return FlowNet(event.shape[0], self.n_couplings, self.hidden)

    def phases(self, net: "nn.Module", event: Event, keys: Keys) -> "list[Phase]":
        """One: less negative log-likelihood."""
        from mad_ray.families.couplings import nll_loss
        from mad_ray.families.phase import Phase

        return [Phase(net, nll_loss)]

    def begin(self, net: Any, rows: "Rows", keys: Keys) -> None:
        """Glow's data-dependent start, from the first rows of the training order: the same for every worker."""
        from mad_ray.families.rows import generator_of

        first = min(N_START, len(rows.label))
        x = rows.x[rows.order(0, first, keys, generator_of(keys, "begin"))]
        net.set_from(x.double())

    def draw_chunk(self, net: Any, event: Event, first: int, bias: float, keys: Keys) -> np.ndarray:
        """[chunk, d]: z ~ N(0, lambda I) through the inverse."""
        import torch

        z = math.sqrt(bias) * torch.from_numpy(noise(keys, first, self.chunk, event.shape))
        device = next(net.parameters()).device
        x = net.inverse(z.to(device))
        return x.cpu().numpy().astype(event.dtype)

    def measure(
        self, model: Mapping[str, np.ndarray], law: Mapping[str, np.ndarray], names: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """The wanted ones of `measures`, [1] each, of the model at lambda = 1."""
        known = {"nll": self._nll}
        return {name: np.array([known[name](model, law)]) for name in names}

    def _nll(self, model: Mapping[str, np.ndarray], law: Mapping[str, np.ndarray]) -> float:
        if "held_out" not in law:
            return math.nan
        import torch

        from mad_ray.families.couplings import log_density
        from mad_ray.families.hardware import arithmetic
        from mad_ray.families.kept import kept_module

        net = kept_module(model, self, partial(self.build, arrays_to_event(dict(model))))
        x = torch.from_numpy(law["held_out"]).to(next(net.parameters()).device)
        with torch.inference_mode(), arithmetic(self.precision):
            return -float(log_density(net, x).double().mean())
