"""What a fit holds between two steps: modules, optimisers, averaged weights; as arrays too, for a checkpoint.

Imports torch.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from mad_ray.families.phase import Phase
from mad_ray.families.progress import State


class Training:
    """The modules of some phases, an AdamW for each, and the moving average of one module's weights."""

    def __init__(self, phases: Sequence[Phase], averaged: nn.Module, learning_rate: float, weight_decay: float) -> None:
        self.modules: list[nn.Module] = []
        self._optimisers: list[torch.optim.AdamW] = []
        self._rates: list[float] = []
        for phase in phases:
            if phase.module in self.modules:
                continue
            rate = learning_rate if phase.learning_rate is None else phase.learning_rate
            decay = weight_decay if phase.weight_decay is None else phase.weight_decay
            self.modules.append(phase.module)
            self._rates.append(rate)
            parameters = list(phase.module.parameters())
            optimiser = torch.optim.AdamW(parameters, rate, betas=phase.betas, weight_decay=decay, fused=True)
            self._optimisers.append(optimiser)
        # Listed once: walking through a module's parts at every step takes longer than a small one's step.
        self._trained = [[p for p in module.parameters() if p.requires_grad] for module in self.modules]
        self._averaged = averaged
        self._followed = list(averaged.parameters())
        self.average = [parameter.detach().clone() for parameter in self._followed]

    def only(self, module: nn.Module | None) -> None:
        """Let gradients flow to this module's parameters alone; None: to all of them again."""
        if len(self.modules) > 1:
            for other, parameters in zip(self.modules, self._trained, strict=True):
                for parameter in parameters:
                    parameter.requires_grad_(other is (module or other))

    def trained(self, phase: Phase) -> list[nn.Parameter]:
        """The parameters that the phase trains."""
        return self._trained[self.modules.index(phase.module)]

    def step(self, phase: Phase, rate: float) -> None:
        """One step of the phase's optimiser along the gradients that lie there, at `rate` times its learning rate."""
        i = self.modules.index(phase.module)
        optimiser = self._optimisers[i]
        if phase.max_grad_norm > 0:
            nn.utils.clip_grad_norm_(self._trained[i], phase.max_grad_norm)
        for group in optimiser.param_groups:
            group["lr"] = self._rates[i] * rate
        optimiser.step()

    def follow(self, keep: float) -> None:
        """average <- keep * average + (1 - keep) * current."""
        update_average(self.average, self._followed, keep)

    def state(self, n_done: int) -> State:
        """Everything that the steps after the first n_done depend on."""
        found: dict[str, Tensor] = {"n_done": torch.tensor(n_done)}
        found |= {f"average.{j}": weight for j, weight in enumerate(self.average)}
        for i, (module, optimiser) in enumerate(zip(self._all(), [*self._optimisers, None], strict=False)):
            found |= {f"module.{i}.{name}": tensor for name, tensor in module.state_dict().items()}
            for j, parameter in enumerate(module.parameters() if optimiser else ()):
                memory = optimiser.state.get(parameter, {}) if optimiser else {}
                found |= {f"optimiser.{i}.{j}.{name}": tensor for name, tensor in memory.items()}
        # Copies: NumPy arrays of CPU tensors share their memory, and the fit goes on.
        return {name: np.array(tensor.detach().cpu().contiguous().numpy()) for name, tensor in found.items()}

    def restore(self, state: State | None) -> int:
        """Take up that state; returns how many steps are done. None: the beginning, 0."""
        if state is None:
            return 0
        with torch.no_grad():
            for j, weight in enumerate(self.average):
                weight.copy_(torch.tensor(state[f"average.{j}"]))
            for i, module in enumerate(self._all()):
                prefix = f"module.{i}."
                own = {k[len(prefix) :]: torch.tensor(array) for k, array in state.items() if k.startswith(prefix)}
                module.load_state_dict(own)
        for i, optimiser in enumerate(self._optimisers):
            for j, parameter in enumerate(self.modules[i].parameters()):
                prefix = f"optimiser.{i}.{j}."
                memory = {k[len(prefix) :]: torch.tensor(array) for k, array in state.items() if k.startswith(prefix)}
                if memory:
                    optimiser.state[parameter] = {name: _beside(tensor, parameter) for name, tensor in memory.items()}
        return int(state["n_done"])

    def _all(self) -> list[nn.Module]:
        return self.modules if self._averaged in self.modules else [*self.modules, self._averaged]


def _beside(tensor: Tensor, parameter: Tensor) -> Tensor:
    """On the parameter's device, and laid out in memory as it is."""
    if tensor.dim() == 0:
        return tensor.to(parameter.device)
    return torch.empty_like(parameter, dtype=tensor.dtype).copy_(tensor)


def update_average(average: list[Tensor], current: list[nn.Parameter], keep: float) -> None:
    """average <- keep * average + (1 - keep) * current, in place."""
    with torch.no_grad():
        torch._foreach_lerp_(average, [parameter.detach() for parameter in current], 1 - keep)
