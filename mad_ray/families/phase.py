"""One kind of optimiser step: whose parameters, which loss, how often. Imports torch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

Loss = Callable[[nn.Module, Tensor, Tensor, torch.Generator], Tensor | tuple[Tensor, Tensor]]
"""(module, x [b, *event] as stored, label [b] int64, generator on the CPU) -> mean loss of the rows, or

(loss, statistics [k]): these are averaged over the whole batch and handed to Phase.after.
"""


@dataclass(frozen=True)
class Phase:
    """One kind of optimiser step. Phases of one module share that module's optimiser, the first one's settings."""

    module: nn.Module
    """Whose parameters it trains; those of other phases stand still meanwhile."""
    loss: Loss
    address: tuple[str, ...] = ()
    """Below it lie the phase's random streams, its order of rows among them."""
    every: int = 1
    """It runs at steps s with s % every = 0 (lazy regularisation)."""
    repeats: int = 1
    """How many times in a row it then runs (critic steps per generator step)."""
    learning_rate: float | None = None
    """None: the recipe's."""
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float | None = None
    """None: the recipe's."""
    schedule: Literal["one_cycle", "constant"] = "one_cycle"
    max_grad_norm: float = 1.0
    """Longer gradients are cut to it; 0: none are."""
    after: Callable[[Tensor], None] | None = None
    """Told the mean statistics [k] after each step, the same in every worker; may set buffers of modules."""

    def turns(self, s: int) -> range:
        """Numbers of the phase's own optimiser steps that belong to step s."""
        if s % self.every:
            return range(0)
        first = s // self.every * self.repeats
        return range(first, first + self.repeats)
